/** The paths of x402-buyer other than the model endpoints: `/healthz`, `/status`, `/admin/reload`, `/admin/remove`. */
import { TollwayError } from '../../core/errors.ts'
import { exchangeOf } from '../../../middleware/http/exchange-of.ts'
import { asyncHandler, type Handler } from '../../../middleware/http/handler.ts'
import { plainPath } from '../../core/request/endpoints.ts'
import { setResponseHeaders } from '../../../middleware/http/response-headers.ts'
import { sendJson } from '../../../middleware/http/send-json.ts'
import { assertAdmin, type AdminRules } from '../admin/assert-admin.ts'
import type { ObolPools } from './pool-routes.ts'
import { reloadPools } from './reload-pools.ts'
import { statusOf } from './status.ts'

/** Options of {@link buyerApi}. */
export interface BuyerApiOptions extends AdminRules {
  readonly pools: ObolPools
}

const PATHS: ReadonlySet<string> = new Set(['/status', '/healthz', '/admin/reload', '/admin/remove'])

/** Serves them; without a pool `/status` is empty and the others pass. */
export function buyerApi({ pools, ...rules }: BuyerApiOptions): Handler {
  return asyncHandler('buyerApi', async (req, res, next) => {
    const path = plainPath(req.url ?? '')
    if (path === undefined || !PATHS.has(path) || (pools.size === 0 && path !== '/status')) return next()
    const isAdmin = path.startsWith('/admin/')
    if (isAdmin ? req.method !== 'POST' : req.method !== 'GET' && req.method !== 'HEAD') return next()
    const exchange = exchangeOf(req)
    exchange.endpoint = path
    if (path === '/healthz') {
      setResponseHeaders(res, exchange)
      res.setHeader('content-type', 'text/plain; charset=utf-8')
      res.end('ok')
      return
    }
    if (path === '/status') return sendJson(res, exchange, 200, await statusOf(pools))
    await assertAdmin(req, rules)
    if (path === '/admin/reload') {
      return sendJson(res, exchange, 200, { status: reloadPools(pools) })
    }
    const name = new URL(req.url ?? '', 'http://localhost').searchParams.get('name') ?? ''
    if (name === '') {
      throw new TollwayError({
        code: 'invalid_query',
        message: 'missing name: say which upstream, as in /admin/remove?name=remote-qwen.',
        param: 'name',
      })
    }
    for (const pool of pools.values()) await pool.remove(name)
    sendJson(res, exchange, 200, { status: 'removed', name })
  })
}
