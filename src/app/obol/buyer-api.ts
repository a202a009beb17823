/** The paths of x402-buyer beside the model endpoints: `/healthz`, `/status`, `/admin/reload`, `/admin/remove`. */
import { timingSafeEqual } from 'node:crypto'
import { TollwayError } from '../../core/errors.ts'
import { hashKey } from '../../io/hash-key.ts'
import { exchangeOf } from '../../../middleware/exchange.ts'
import { asyncHandler, type Handler, type Request } from '../../../middleware/handler.ts'
import { plainPath } from '../../../middleware/endpoints.ts'
import { setAnswerHeaders } from '../../../middleware/answer-headers.ts'
import { sendJson } from '../../../middleware/send-json.ts'
import { cameOverProxy } from '../over-proxy.ts'
import type { ObolPools } from './pool-routes.ts'
import { statusOf } from './status.ts'

/** Options of {@link buyerApi}. */
export interface BuyerApiOptions {
  readonly pools: ObolPools
  /** SHA-256 of the admin key, lower-case hex; without one `/admin` is for this machine only. */
  readonly adminKeyDigest: string | undefined
}

const PATHS: ReadonlySet<string> = new Set(['/status', '/healthz', '/admin/reload', '/admin/remove'])

/** Serves them; without a pool `/status` is empty and the others pass. */
export function buyerApi({ pools, adminKeyDigest }: BuyerApiOptions): Handler {
  return asyncHandler('buyerApi', async (req, res, next) => {
    const path = plainPath(req.url ?? '')
    if (path === undefined || !PATHS.has(path) || (pools.size === 0 && path !== '/status')) return next()
    const isAdmin = path.startsWith('/admin/')
    if (isAdmin ? req.method !== 'POST' : req.method !== 'GET' && req.method !== 'HEAD') return next()
    const exchange = exchangeOf(req)
    exchange.endpoint = path
    if (path === '/healthz') {
      setAnswerHeaders(res, exchange)
      res.setHeader('content-type', 'text/plain; charset=utf-8')
      res.end('ok')
      return
    }
    if (path === '/status') return sendJson(res, exchange, 200, await statusOf(pools))
    assertAdmin(req, adminKeyDigest)
    if (path === '/admin/reload') {
      const reloads = [...pools.values()].map((pool) => pool.reload('admin'))
      for (const { done } of reloads) done.catch(() => undefined)
      const pending = reloads.every((reload) => reload.pending)
      return sendJson(res, exchange, 200, { status: pending ? 'reload already pending' : 'reload triggered' })
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

/** A request that came over a proxy may come from anywhere: then only the key opens. */
function assertAdmin(req: Request, digest: string | undefined): void {
  const key = /^Bearer +(\S+)$/i.exec(req.headers.authorization ?? '')?.[1] ?? ''
  const mayEnter =
    digest === undefined
      ? isLoopback(req)
      : timingSafeEqual(Buffer.from(hashKey(key), 'hex'), Buffer.from(digest, 'hex'))
  if (mayEnter) return
  throw new TollwayError({
    code: 'invalid_api_key',
    message: 'The admin paths need the admin key.',
    advice: [
      digest === undefined
        ? 'Set admin.key: requests that come over a proxy or from another machine are not served without one.'
        : 'Send it as a bearer token.',
    ],
  })
}

function isLoopback(req: Request): boolean {
  return !cameOverProxy(req.headers) && /^(?:127\.|::1$|::ffff:127\.)/.test(req.socket.remoteAddress ?? '')
}
