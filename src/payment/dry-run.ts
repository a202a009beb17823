/** `dry_run: true` in a JSON body: what the request would cost, answered without spending. */
import { Readable } from 'node:stream'
import { DIRECT_ENDPOINT, membersOf, type Exchange } from '../core/request/exchange.ts'
import { removeMembers, scanTopLevel } from '../core/json/json-scan.ts'
import { formatUsd } from '../core/money/money.ts'
import type { Quote } from '../core/policy/gate.ts'
import type { Route } from '../core/routing/route.ts'
import type { CandidateCall } from './payment-context.ts'

const FIELD = new Set(['dry_run'])

/** Whether the request only asks what it would cost: a top-level `dry_run` that is `true`. */
export function isDryRun({ request, endpoint }: Pick<Exchange, 'request' | 'endpoint'>): boolean {
  // Other APIs may give the field a meaning of their own.
  if (endpoint === DIRECT_ENDPOINT) return false
  // Keys are compared decoded, and of several any one counts: a request that says so anywhere must not be paid.
  return membersOf(request).some(
    ({ key, valueStart, valueEnd }) =>
      key === 'dry_run' && request.body?.toString('utf8', valueStart, valueEnd) === 'true',
  )
}

/** The body as a seller gets it: the field is ours. */
export function withoutDryRun(body: Buffer): Buffer {
  const members = scanTopLevel(body)
  return members === undefined ? body : removeMembers(body, members, FIELD)
}

/**
 * Puts the answer into the exchange.
 * @param quote what would be paid; `undefined` where the route or the seller asks for nothing
 */
export function answerDryRun(
  { exchange, candidate }: Pick<CandidateCall, 'exchange' | 'candidate'>,
  quote: Quote | undefined,
): void {
  const { route, remoteModel } = candidate
  const answer = {
    object: 'tollway.dry_run',
    dry_run: true,
    model: exchange.request.model ?? null,
    route: route.modelName,
    seller_model: remoteModel,
    payment_required: quote !== undefined,
    cost_usd: costOf(route, quote),
    quote: quote
      ? {
          amount: quote.amount.toString(),
          asset: quote.asset.symbol,
          address: quote.asset.address,
          network: quote.asset.network,
          pay_to: quote.payTo,
          scheme: quote.scheme,
          seller: quote.origin,
          payer: route.payer ?? null,
        }
      : null,
  }
  const body = Readable.from([Buffer.from(JSON.stringify(answer))])
  const headers = { 'content-type': 'application/json', 'cache-control': 'no-store' }
  exchange.relay.reply = { status: 200, headers, body, kind: 'unpaid' }
  exchange.record.outcome = 'free'
  exchange.payment.isDryRun = true
  exchange.record.details['dry_run'] = true
}

/** In USD; `null` when it is not known here, such as what an upstream bills to its key. */
function costOf({ payer, apiKey, forwardCredentials }: Route, quote: Quote | undefined): string | null {
  if (quote) return quote.microUsd === undefined ? null : formatUsd(quote.microUsd)
  const isBilled = payer === undefined && (apiKey !== undefined || forwardCredentials === true)
  return isBilled ? null : '0'
}
