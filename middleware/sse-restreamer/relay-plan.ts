/** How an answer is sent to the client: unchanged, or in the other form. */
import { DIRECT_ENDPOINT, keyedCostOf, type Exchange, type Reply } from '../../src/core/request/exchange.ts'
import { answerKind, type AnswerKind } from '../../src/core/stream/stream-json.ts'
import { contentCoding } from '../../src/io/transport/content-coding.ts'
import { isJsonType, mediaType } from '../../src/core/request/header-policy.ts'

/**
 * `untouched`: byte for byte · `watched`: the same, its usage read · `events`: an event stream whose events are
 * inspected · `json`: a JSON answer whose cost is set · `keyed-json`: one of an upstream with a key, whose cost follows from its usage · `json-to-events`, `events-to-json`: converted for a client
 * that asked for the other form · `undeliverable`: the stream was opened early, and this answer cannot be sent as
 * a stream.
 */
export type RelayPlan =
  | { readonly way: 'undeliverable' }
  | { readonly way: 'untouched' | 'watched' | 'events' | 'json' | 'keyed-json' }
  | { readonly way: 'json-to-events' | 'events-to-json'; readonly kind: AnswerKind }

/**
 * Chooses how to relay an answer. Answers of unpaid routes are relayed byte for byte; only those that always
 * stream are converted too.
 */
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
  // For APIs other than the model APIs nothing is known, not even what `usage` means.
  if (exchange.endpoint === DIRECT_ENDPOINT) return { way: 'untouched' }
  // Paid answers are decoded by now; the others pass unchanged.
  if (contentCoding(reply.headers) !== '') return { way: 'watched' }
  const type = mediaType(reply.headers)
  const isStream = type === 'text/event-stream'
  const isJson = isJsonType(type)
  const isPaid = reply.kind === 'paid'
  // An upstream bills it to a key: its cost is told too, and nothing else of it is changed.
  const isKeyed = !isPaid && keyedCostOf(exchange) !== undefined
  const route = exchange.routing.candidate?.route
  const kind = answerKind(exchange.endpoint)
  // The stream is already open: any answer that can become a stream is converted.
  const isOpen = exchange.relay.openedEarly
  const isOurs =
    isPaid || isOpen || (route !== undefined && (route.payer !== undefined || route.alwaysStream === true))
  // If the body was not read, it is unknown what the client asked for.
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
    const isRead = isPaid || isKeyed || (isOurs && exchange.relay.usageChunk === 'forced')
    return { way: isRead ? 'events' : 'watched' }
  }
  if (isJson && isKeyed) return { way: 'keyed-json' }
  return { way: isJson && isPaid ? 'json' : 'watched' }
}
