/** The paths of x402-buyer other than the model endpoints: `/healthz`, `/status`, `/admin/reload`, `/admin/remove`. */
import { TollwayError } from '../../core/errors.ts'
import { exchangeOf } from '../../../middleware/http/exchange-of.ts'
import { asyncHandler, type Handler, type Request } from '../../../middleware/http/handler.ts'
import { plainPath } from '../../core/request/endpoints.ts'
import { setResponseHeaders } from '../../../middleware/http/response-headers.ts'
import { sendJson } from '../../../middleware/http/send-json.ts'
import type { AdminKey } from '../admin/admin-key.ts'
import { isLocal } from '../spend-page/access.ts'
import type { ObolPools } from './pool-routes.ts'
import { statusOf } from './status.ts'

/** Options of {@link buyerApi}. */
export interface BuyerApiOptions {
  readonly pools: ObolPools
  /** Where none is set `/admin` is for programs of this machine only. */
  readonly adminKey: AdminKey
  /** Whether callers have keys: then `/admin` requires the admin key. */
  readonly asksForKeys: boolean
}

const PATHS: ReadonlySet<string> = new Set(['/status', '/healthz', '/admin/reload', '/admin/remove'])

/** Serves them; without a pool `/status` is empty and the others pass. */
export function buyerApi({ pools, adminKey, asksForKeys }: BuyerApiOptions): Handler {
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
    await assertAdmin(req, adminKey, asksForKeys)
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

/** @throws TollwayError `invalid_api_key`, `too_many_attempts` */
async function assertAdmin(req: Request, adminKey: AdminKey, asksForKeys: boolean): Promise<void> {
  if (adminKey.isSet) {
    const key = /^Bearer +(\S+)$/i.exec(req.headers.authorization ?? '')?.[1]
    if (key === undefined) throw refused('Send it as a bearer token.')
    await adminKey.compare(req, key, () => refused('Send it as a bearer token.'))
    return
  }
  if (asksForKeys) {
    throw refused(
      'Set admin.key, such as admin: { key: "${env:TOLLWAY_ADMIN_KEY}" }: when callers have keys, these paths need an admin key of their own.',
    )
  }
  if (!isLocal(req) || isFromBrowser(req)) {
    throw refused(
      'Set admin.key, such as admin: { key: "${env:TOLLWAY_ADMIN_KEY}" }: without one these paths are for programs of this machine, not over a proxy.',
    )
  }
}

/** A page can send a form to this machine; older browsers say neither where it is from nor whether it is another site's. */
function isFromBrowser({ headers }: Request): boolean {
  const tells = ['origin', 'referer', 'cookie', 'sec-fetch-site', 'upgrade-insecure-requests']
  return tells.some((name) => headers[name] !== undefined) || /^mozilla\//i.test(headers['user-agent'] ?? '')
}

function refused(advice: string): TollwayError {
  return new TollwayError({
    code: 'invalid_api_key',
    message: 'The admin paths need the admin key.',
    advice: [advice],
  })
}
