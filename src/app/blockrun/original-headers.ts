/** The headers of blockrun-openclaw-proxy: what an answer cost, and what was spent today with it. */
import { formatUsd, parseUsd } from '../../core/money/money.ts'
import { asyncHandler, type Handler } from '../../../middleware/http/handler.ts'

/**
 * Sets `x-blockrun-proxy-booked-cost-usd` and `x-blockrun-proxy-spent-today-usd` on answers of chat completions. The second is what was
 * taken when the request came, and its own cost: of requests that run at once it does not count the others.
 * @param spentToday what of the daily budget is taken now, micro-USD
 */
export function originalHeaders(spentToday: () => Promise<bigint>): Handler {
  return asyncHandler('blockrunHeaders', async (req, res, next) => {
    if (req.method !== 'POST' || !/^(?:\/v1)?\/chat\/completions(?:\?|$)/.test(req.url ?? '')) return next()
    const before = await spentToday()
    const writeHead = res.writeHead.bind(res)
    Object.assign(res, {
      writeHead(...args: unknown[]): unknown {
        if (res.statusCode < 400) {
          const cost = parseUsd(res.getHeader('x-tollway-cost-usd')) ?? 0n
          res.setHeader('x-blockrun-proxy-booked-cost-usd', formatUsd(cost))
          res.setHeader('x-blockrun-proxy-spent-today-usd', formatUsd(before + cost))
        }
        return Reflect.apply(writeHead, undefined, args)
      },
    })
    next()
  })
}
