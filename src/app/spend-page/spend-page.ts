/** `/dashboard` and `/api`: what was spent, on what and under which budgets, read from the ledger. */
import type { ServerResponse } from 'node:http'
import type { RandomBytes } from '../../core/ids.ts'
import { TollwayError } from '../../core/errors.ts'
import { exchangeOf } from '../../../middleware/http/exchange-of.ts'
import { asyncHandler, type Handler, type Request } from '../../../middleware/http/handler.ts'
import { findPath } from '../../../middleware/http/paths.ts'
import { sendJson } from '../../../middleware/http/send-json.ts'
import { setResponseHeaders } from '../../../middleware/http/response-headers.ts'
import { DECISION_BODY, readAdminBody } from '../admin/admin-body.ts'
import type { AdminKey } from '../admin/admin-key.ts'
import { approvalJson } from '../approvals/approval-json.ts'
import { Access } from './access.ts'
import { apiPaths, type ApiOptions } from './api.ts'
import { PAGES, pageAssets, type PageAsset } from './assets.ts'
import { EventStreams } from './event-stream.ts'
import type { ChargeFeed } from './feed.ts'
import { Sessions } from './sessions.ts'
import { signIn, signOut, wantsPage } from './sign-in.ts'

/** Options of {@link spendPage}. */
export interface SpendPageOptions extends Omit<ApiOptions, 'streams' | 'hasKey'> {
  /** Without a key the page is available to this machine only. */
  readonly adminKey: AdminKey
  readonly random: RandomBytes
  readonly feed: ChargeFeed
}

/** The handler, with control over the open live streams. */
export interface SpendPage extends Handler {
  /** Number of open live streams. */
  openStreams(): number
  /** Ends the live streams: a closing server would otherwise wait for them. */
  close(): void
}

/** Everything comes from this origin, nothing runs inline, no page may frame it. */
const CONTENT_SECURITY_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"

const SIGN_IN = '/dashboard/sign-in'
/** Followed by the id of a call that waits for approval. */
const DECISIONS = '/api/approvals/'
const SIGN_OUT = '/dashboard/sign-out'

/** Serves the page and its data to clients with the admin key; without a key, only to this machine. */
export function spendPage(options: SpendPageOptions): SpendPage {
  const { adminKey, clock, random, feed, ledger } = options
  const access = new Access({ adminKey, sessions: new Sessions(clock, random) })
  const streams = new EventStreams({ feed, instance: ledger.instance })
  const api = apiPaths({ ...options, streams, hasKey: access.hasKey })
  const assets = new Map<string, PageAsset>(
    [...pageAssets()].map(([name, asset]) => [`/dashboard/${name}`, asset]),
  )
  const isOurs = (path: string): boolean =>
    (assets.size > 0 && (path === '/dashboard' || path === '/dashboard/')) ||
    assets.has(path) ||
    api.has(path)

  const look = async (req: Request, res: ServerResponse, path: string): Promise<void> => {
    const exchange = exchangeOf(req)
    exchange.endpoint = path
    res.setHeader('cache-control', 'no-store')
    setResponseHeaders(res, exchange)
    const asset = assets.get(path)
    // The sign-in form needs its style and script; they contain nothing secret.
    if (asset && access.hasKey) return send(res, 200, asset)
    const page = asset ?? (api.has(path) ? undefined : PAGES.dashboard)
    try {
      await access.check(req)
    } catch (error) {
      if (!page || !mayShowForm(req, access, error)) throw error
      exchange.record.code = 'invalid_api_key'
      return send(res, 401, PAGES.signIn)
    }
    if (page) return send(res, 200, page)
    const value = await api.get(path)?.(req, res, req.originalUrl ?? req.url ?? '')
    if (value) sendJson(res, exchange, 200, value)
  }

  const decide = async (req: Request, res: ServerResponse, id: string): Promise<void> => {
    const exchange = exchangeOf(req)
    exchange.endpoint = `${DECISIONS}{id}`
    res.setHeader('cache-control', 'no-store')
    await access.check(req)
    const { decision } = await readAdminBody(req, DECISION_BODY)
    const decided = await options.approvals.decide(id, decision)
    sendJson(res, exchange, 200, { ...approvalJson(decided), decision })
  }

  const handler = asyncHandler('spendPage', async (req, res, next) => {
    if (req.method === 'POST') {
      const decided = findPath(req, (at) => at.startsWith(DECISIONS) && at.length > DECISIONS.length)
      if (decided !== undefined) return await decide(req, res, decided.slice(DECISIONS.length))
      const path = findPath(req, (at) => at === SIGN_IN || at === SIGN_OUT)
      if (path === undefined || !access.hasKey) return next()
      exchangeOf(req).endpoint = path
      res.setHeader('cache-control', 'no-store')
      setResponseHeaders(res, exchangeOf(req))
      if (path === SIGN_OUT) return signOut(req, res, access)
      return await signIn(req, res, access)
    }
    if (req.method !== 'GET' && req.method !== 'HEAD') return next()
    const path = findPath(req, isOurs)
    if (path === undefined) return next()
    return await look(req, res, path)
  })
  return Object.assign(handler, { close: () => streams.close(), openStreams: () => streams.size })
}

/** A browser without a session gets the form at the same address, which keeps its filters. */
function mayShowForm(req: Request, access: Access, error: unknown): boolean {
  return access.hasKey && wantsPage(req) && error instanceof TollwayError && error.code === 'invalid_api_key'
}

function send(res: ServerResponse, status: number, asset: PageAsset): void {
  res.statusCode = status
  res.setHeader('content-security-policy', CONTENT_SECURITY_POLICY)
  res.setHeader('x-content-type-options', 'nosniff')
  // Not `no-referrer`: browsers would then send forms with the origin `null`, which is refused as foreign.
  res.setHeader('referrer-policy', 'same-origin')
  res.setHeader('cross-origin-opener-policy', 'same-origin')
  res.setHeader('content-type', asset.type)
  res.end(asset.text())
}
