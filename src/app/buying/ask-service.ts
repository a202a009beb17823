/** The unpaid question of `tollway pay`: by the method that the user named, else by the one that the seller describes. */
import { property } from '../../core/property.ts'
import type { Challenge } from '../../core/x402/x402.ts'
import type { IncomingReply, OutgoingRequest } from '../../io/transport/upstream.ts'
import { readChallengeKept } from '../../payment/read-challenge.ts'
import { isRefusal, mayBeEdge, refusedQuestion } from '../../payment/refused-question.ts'
import { askSeller, PRICE_MS, type CommandRequest } from './ask-price.ts'
import type { BuyingContext } from './buying-context.ts'

/** A service that asks for a payment. */
export interface AskedService {
  /** What was sent, and is sent once more with the payment. */
  readonly request: OutgoingRequest
  readonly challenge: Challenge
  /** The 402, its body unread. */
  readonly again: IncomingReply
  /** What the user should know of how the service was called. */
  readonly note: string | undefined
}

/**
 * Asks for the offers.
 * @param isMethodGiven whether the user chose the method, or a body that implies it
 * @returns `undefined` when no payment is asked for: the exchange has the answer
 * @throws TollwayError `seller_unavailable` for a redirect or a bot protection, and why a 402 cannot be read
 */
export async function askService(
  context: Pick<BuyingContext, 'upstream' | 'clock' | 'timers'>,
  asked: CommandRequest,
  request: OutgoingRequest,
  isMethodGiven: boolean,
  signal: AbortSignal,
): Promise<AskedService | undefined> {
  const first = await ask(context, asked, request, signal)
  const method = first && describedMethod(first.challenge)
  if (!first || method === undefined || method === request.method)
    return first && { ...first, note: undefined }
  if (isMethodGiven) {
    const note = `Note: the seller describes this service as ${method}, and it was called with ${request.method}.`
    return { ...first, note }
  }
  const second = await ask(context, asked, { ...request, method }, signal)
  const note = `Note: called with ${method}, as the seller describes it; -X chooses another method.`
  return second && { ...second, note }
}

async function ask(
  context: Pick<BuyingContext, 'upstream' | 'clock' | 'timers'>,
  asked: CommandRequest,
  request: OutgoingRequest,
  signal: AbortSignal,
): Promise<Omit<AskedService, 'note'> | undefined> {
  const answer = await askSeller(context, asked, request, signal)
  if (answer.status === 402) return { request, ...(await readChallengeKept(answer, PRICE_MS)) }
  const isRedirect = isRefusal(answer.status) && answer.status < 400
  const refused =
    isRedirect || mayBeEdge(answer) ? await refusedQuestion(answer, request.url, 'the address') : undefined
  if (refused) throw refused
  const { exchange } = asked
  exchange.record.outcome = 'free'
  exchange.relay.reply = { ...answer, kind: 'unpaid' }
  return undefined
}

const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'])

/** The method in a seller's description: the bazaar extension of v2, `outputSchema` of v1. */
function describedMethod({ extensions, offers }: Challenge): string | undefined {
  const inputs = [
    property(property(property(extensions, 'bazaar'), 'info'), 'input'),
    ...offers.map(({ raw }) => property(raw['outputSchema'], 'input')),
  ]
  return inputs
    .map((input) => property(input, 'method'))
    .map((method) => (typeof method === 'string' ? method.toUpperCase() : ''))
    .find((method) => METHODS.has(method))
}
