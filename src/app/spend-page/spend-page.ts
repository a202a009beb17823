/** `/dashboard` and the JSON behind it: budgets and the latest charges, read from the ledger. */
import { timingSafeEqual } from 'node:crypto'
import type { BudgetRule } from '../../core/budget.ts'
import type { Charge } from '../../core/charge.ts'
import type { Clock } from '../../core/clock.ts'
import { TollwayError } from '../../core/errors.ts'
import { formatUnits, formatUsd } from '../../core/money.ts'
import { hashKey } from '../../io/hash-key.ts'
import type { Ledger } from '../../io/ledger.ts'
import { exchangeOf } from '../../../middleware/exchange.ts'
import { asyncHandler, type Handler, type Request } from '../../../middleware/handler.ts'
import { findPath } from '../../../middleware/paths.ts'
import { sendJson } from '../../../middleware/send-json.ts'
import { setAnswerHeaders } from '../../../middleware/answer-headers.ts'
import { budgetsJson } from '../budget-json.ts'
import { PAGE, PAGE_SCRIPT, PAGE_STYLE } from './page.ts'

/** Options of {@link spendPage}. */
export interface SpendPageOptions {
  readonly ledger: Ledger
  readonly budgets: readonly BudgetRule[]
  /** SHA-256 of the admin key, lower-case hex; without one the page is for this machine only. */
  readonly adminKeyDigest: string | undefined
  readonly clock: Clock
}

/** Everything comes from this origin, nothing runs inline, no page may frame it. */
const CONTENT_SECURITY_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

/** How many charges the page lists. */
const LATEST = 100

const FILES: Readonly<Record<string, { readonly type: string; readonly text: string }>> = {
  '/dashboard': { type: 'text/html; charset=utf-8', text: PAGE },
  '/dashboard/page.js': { type: 'text/javascript; charset=utf-8', text: PAGE_SCRIPT },
  '/dashboard/page.css': { type: 'text/css; charset=utf-8', text: PAGE_STYLE },
}

/** Serves the page and its data to whoever has the admin key; without a key, to this machine alone. */
export function spendPage(options: SpendPageOptions): Handler {
  const { ledger, budgets, adminKeyDigest, clock } = options
  return asyncHandler('spendPage', async (req, res, next) => {
    const path = findPath(req, (at) => at in FILES || at === '/api/budgets' || at === '/api/charges')
    if (path === undefined || (req.method !== 'GET' && req.method !== 'HEAD')) return next()
    const exchange = exchangeOf(req)
    exchange.endpoint = path
    if (!mayEnter(req, adminKeyDigest)) {
      res.setHeader('www-authenticate', 'Basic realm="Tollway", charset="UTF-8"')
      throw refusal(adminKeyDigest !== undefined)
    }
    res.setHeader('cache-control', 'no-store')
    const file = FILES[path]
    if (file) {
      setAnswerHeaders(res, exchange)
      res.setHeader('content-security-policy', CONTENT_SECURITY_POLICY)
      res.setHeader('x-content-type-options', 'nosniff')
      res.setHeader('referrer-policy', 'no-referrer')
      res.setHeader('content-type', file.type)
      res.end(file.text)
      return
    }
    const data =
      path === '/api/budgets'
        ? {
            time: new Date(clock.now()).toISOString(),
            budgets: budgetsJson(budgets, await ledger.budgets(budgets), clock.now()),
          }
        : { charges: (await ledger.store.charges({ limit: LATEST })).map(chargeJson) }
    sendJson(res, exchange, 200, data)
  })
}

/** A request that came over a proxy may come from anywhere: then only the key opens. */
function mayEnter(req: Request, digest: string | undefined): boolean {
  if (digest !== undefined) return keyOf(req).some((key) => sameDigest(hashKey(key), digest))
  const forwarded = Object.keys(req.headers).some(
    (name) => name === 'forwarded' || name.startsWith('x-forwarded-'),
  )
  return !forwarded && isLoopbackPeer(req.socket.remoteAddress) && isLoopbackName(req.headers.host)
}

/** A page that made its own name resolve to this machine comes from a loopback peer too, under that name. */
function isLoopbackName(host: string | undefined): boolean {
  return host !== undefined && /^(?:localhost|127\.0\.0\.1|\[::1\])(?::\d+)?$/i.test(host)
}

function isLoopbackPeer(address: string | undefined): boolean {
  return address !== undefined && /^(?:127\.|::1$|::ffff:127\.)/.test(address)
}

/** The key as a bearer token (programs) or as the password of Basic (browsers). */
function keyOf(req: Request): string[] {
  const [scheme, value] = (req.headers.authorization ?? '').split(' ', 2)
  if (value === undefined) return []
  if (/^bearer$/i.test(scheme ?? '')) return [value]
  if (!/^basic$/i.test(scheme ?? '')) return []
  const text = Buffer.from(value, 'base64').toString('utf8')
  return [text.slice(text.indexOf(':') + 1)]
}

function sameDigest(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b))
}

function refusal(hasKey: boolean): TollwayError {
  return new TollwayError({
    code: 'invalid_api_key',
    message: 'The spend page needs the admin key.',
    advice: hasKey
      ? ['Send it as a bearer token, or as the password your browser asks for.']
      : [
          'Set admin.key: requests that come over a proxy or from another machine are not served without one.',
        ],
  })
}

function chargeJson(charge: Charge): Record<string, unknown> {
  return {
    charge: charge.id,
    time: new Date(charge.reservedAt).toISOString(),
    state: charge.state,
    proof: charge.proof ?? null,
    reason: charge.reason ?? null,
    caller: charge.caller,
    model: charge.model,
    route: charge.route,
    payer: charge.payer,
    seller: charge.seller,
    network: charge.network,
    asset: charge.symbol,
    amount: formatUnits(charge.amount, charge.decimals),
    amount_atomic: charge.amount.toString(),
    usd: charge.microUsd === undefined ? null : formatUsd(charge.microUsd),
    transaction: charge.transaction ?? null,
    request: charge.requestId,
  }
}
