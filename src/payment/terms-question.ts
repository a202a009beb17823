/** What the price of a request may depend on, as far as it can be told from the request. */
import { membersOf } from '../core/request/exchange.ts'
import type { OutgoingRequest } from '../io/transport/upstream.ts'
import { isDryRun } from './dry-run.ts'
import type { PayingCall } from './payment-context.ts'
import type { TermsQuestion } from '../core/x402/remembered-terms.ts'

/** Members of a JSON body by which sellers price: how much is asked for, and how well. */
const PRICED: ReadonlySet<string> = new Set([
  'best_of',
  'duration',
  'max_completion_tokens',
  'max_output_tokens',
  'max_tokens',
  'n',
  'quality',
  'reasoning',
  'reasoning_effort',
  'resolution',
  'seconds',
  'service_tier',
  'size',
  'thinking',
  'web_search_options',
])

/** The longest value of such a member that is compared, bytes. */
const MAX_VALUE = 200

/**
 * @param request as it is sent to the seller
 * @returns `undefined` where the seller is always asked: `terms: ask`, a request for a price only, or one that names its seller by
 * its path
 */
export function termsQuestion(call: PayingCall, request: OutgoingRequest): TermsQuestion | undefined {
  const { context, exchange, candidate } = call
  const { route, remoteModel } = candidate
  if (!context.terms || exchange.request.direct || !request.body) return undefined
  if ((route.terms ?? context.policy.terms) === 'ask') return undefined
  return {
    seller: route.apiBase,
    key: JSON.stringify([request.method, request.url, remoteModel, route.payer]),
    shape: shapeOf(call, request),
    size: request.body.length,
  }
}

/** Whether terms may be taken from memory for this request; a dry run is there to ask, and so is a call that waited for approval. */
export function mayRecall({ exchange, approved }: Pick<PayingCall, 'exchange' | 'approved'>): boolean {
  return !isDryRun(exchange) && approved === undefined
}

function shapeOf({ exchange }: PayingCall, { headers }: OutgoingRequest): string | undefined {
  const { body } = exchange.request
  const found: string[] = [String(exchange.payment.reducedMaxTokens), String(headers['content-type'])]
  for (const { key, valueStart, valueEnd } of membersOf(exchange.request)) {
    if (!PRICED.has(key)) continue
    if (valueEnd - valueStart > MAX_VALUE) return undefined
    found.push(`${key}:${body?.toString('utf8', valueStart, valueEnd)}`)
  }
  return JSON.stringify(found)
}
