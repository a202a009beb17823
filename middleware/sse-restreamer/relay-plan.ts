/** How an answer goes to the client: as it is, or in the other form. */
import { DIRECT_ENDPOINT, type Exchange, type Reply } from '../../src/core/request/exchange.ts'
import { answerKind, type AnswerKind } from '../../src/core/stream/stream-json.ts'
import { contentCoding } from './content-coding.ts'
import { isJsonType, mediaType } from '../../src/core/request/header-policy.ts'

/**
 * `untouched`: byte for byte · `watched`: the same, its usage read · `events`: an event stream whose events are looked at · `json`: a JSON answer whose cost
 * is set · `json-to-events`, `events-to-json`: converted for a client that asked for the other form · `undeliverable`: the
 * stream was opened early, and this cannot go into one.
 */
export type RelayPlan =
  | { readonly way: 'undeliverable' }
  | { readonly way: 'untouched' | 'watched' | 'events' | 'json' }
  | { readonly way: 'json-to-events' | 'events-to-json'; readonly kind: AnswerKind }

/** The way of an answer. Unpaid routes are relayed byte for byte; only those that always stream are converted too. */
export function relayPlanOf(exchange: Exchange, reply: Reply): RelayPlan {
  const plan = waysOf(exchange, reply)
  if (!exchange.relay.openedEarly) return plan
  const isSuccess = reply.status >= 200 && reply.status < 300
  const isEvents = plan.way === 'events' || plan.way === 'json-to-events' || isPlainStream(plan, reply)
  return isSuccess && isEvents ? plan : { way: 'undeliverable' }
}

function isPlainStream({ way }: RelayPlan, { headers }: Reply): boolean {
  return way === 'watched' && mediaType(headers) === 'text/event-stream' && contentCoding(headers) === ''
}

function waysOf(exchange: Exchange, reply: Reply): RelayPlan {
  // Of another API than those for models nothing is known, not even what its `usage` means.
  if (exchange.endpoint === DIRECT_ENDPOINT) return { way: 'untouched' }
  // Paid ones are decoded by now; the others go through as they are.
  if (contentCoding(reply.headers) !== '') return { way: 'watched' }
  const type = mediaType(reply.headers)
  const isStream = type === 'text/event-stream'
  const isJson = isJsonType(type)
  const isPaid = reply.kind === 'paid'
  const route = exchange.routing.candidate?.route
  const kind = answerKind(exchange.endpoint)
  // The stream is open already: what can become one does.
  const isOpen = exchange.relay.openedEarly
  const isOurs =
    isPaid || isOpen || (route !== undefined && (route.payer !== undefined || route.alwaysStream === true))
  // Without a body that was read nobody knows what the client asked for.
  if (
    kind !== undefined &&
    isOurs &&
    exchange.request.body !== undefined &&
    (reply.status === 200 || isOpen)
  ) {
    if (isStream && !exchange.request.stream) return { way: 'events-to-json', kind }
    if (isJson && exchange.request.stream) return { way: 'json-to-events', kind }
  }
  if (isStream) {
    return { way: isPaid || (isOurs && exchange.relay.usageChunk === 'forced') ? 'events' : 'watched' }
  }
  return { way: isJson && isPaid ? 'json' : 'watched' }
}
