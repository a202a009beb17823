/** Finds the {@link Exchange} of a request; the first middleware that asks creates it. */
import { randomUUID } from 'node:crypto'
import { systemClock, type Clock } from '../../src/core/clock.ts'
import { newExchange, type Exchange } from '../../src/core/request/exchange.ts'
import { worksOn } from './one-copy.ts'
import type { Request } from './handler.ts'

const EXCHANGE = Symbol('tollway.exchange')
const SAFE_ID = /^[\x21-\x7e]{1,128}$/

/**
 * The exchange of a request, created on first use. A client's `x-request-id` is kept if it is safe ASCII of up to
 * 128 characters.
 */
export function exchangeOf(req: Request, clock: Clock = systemClock): Exchange {
  const holder = req as Request & { [EXCHANGE]?: Exchange }
  holder[EXCHANGE] ??= open(req, clock)
  return holder[EXCHANGE]
}

/** Whether a request names its seller in its path; creates no exchange. */
export function isDirect(req: Request): boolean {
  return (req as Request & { [EXCHANGE]?: Exchange })[EXCHANGE]?.request.direct !== undefined
}

function open(req: Request, clock: Clock): Exchange {
  worksOn(req)
  const offered = req.headers['x-request-id']
  const isSafe = typeof offered === 'string' && SAFE_ID.test(offered)
  return newExchange({
    id: isSafe ? offered : `req_${randomUUID()}`,
    startedAt: clock.now(),
    begunAt: performance.now(),
  })
}
