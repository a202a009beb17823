/** The unpaid question of `tollway pay`: by the method that the user named, else by the one that the seller describes. */
import type { Challenge } from '../../core/x402/x402.ts'
import type { IncomingReply, OutgoingRequest } from '../../io/transport/upstream.ts'
import { readChallengeKept } from '../../payment/read-challenge.ts'
import { isRefusal, mayBeEdge, refusedQuestion } from '../../payment/refused-question.ts'
import { describedMethod, METHODS } from '../../core/x402/described-method.ts'
import { askSeller, PRICE_MS, type CommandRequest } from './ask-price.ts'
import type { BuyingContext } from './buying-context.ts'

/** A service that asks for a payment. */
export interface AskedService {
  /** What was sent, and is sent once more with the payment. */
  readonly request: OutgoingRequest
  readonly challenge: Challenge
  /** The 402, its body unread. */
  readonly again: IncomingReply
}

/** What came of the question. */
export interface AskedAnswer {
  /** `undefined` when no payment is asked for: the exchange has the answer. */
  readonly service: AskedService | undefined
  /** What the user should know of how the service was called. */
  readonly note: string | undefined
}

type Context = Pick<BuyingContext, 'upstream' | 'clock' | 'timers'>

/**
 * Asks for the offers.
 * @param isMethodGiven whether the user chose the method, or a body that implies it
 * @throws TollwayError `seller_unavailable` for a redirect or a bot protection, and why a 402 cannot be read
 */
export async function askService(
  context: Context,
  asked: CommandRequest,
  request: OutgoingRequest,
  isMethodGiven: boolean,
  signal: AbortSignal,
): Promise<AskedAnswer> {
  const first = await ask(context, asked, request, signal)
  if ('answer' in first)
    return await askOtherwise(context, asked, request, { ...first, isMethodGiven }, signal)
  const method = describedMethod(first.challenge)
  if (method === undefined || method === request.method) return { service: first, note: undefined }
  if (isMethodGiven) {
    const note = `Note: the seller describes this service as ${method}, and it was called with ${request.method}.`
    return { service: first, note }
  }
  return await askWith(context, asked, { ...request, method }, 'as the seller describes it', signal)
}

/** Asks by another method that the user did not name. Nothing was paid by the first one. */
async function askWith(
  context: Context,
  asked: CommandRequest,
  request: OutgoingRequest,
  why: string,
  signal: AbortSignal,
): Promise<AskedAnswer> {
  const second = await ask(context, asked, request, signal)
  const note = `Note: called with ${request.method}, ${why}; -X chooses another method.`
  if (!('answer' in second)) return { service: second, note }
  return { service: undefined, note }
}

/**
 * The service asks for no payment. A 405 that allows one method is asked by it; of another 405, and of a 404, which many frameworks
 * answer to a wrong method, the user is told.
 */
async function askOtherwise(
  context: Context,
  asked: CommandRequest,
  request: OutgoingRequest,
  { answer, isMethodGiven }: { readonly answer: IncomingReply; readonly isMethodGiven: boolean },
  signal: AbortSignal,
): Promise<AskedAnswer> {
  if (answer.status !== 404 && answer.status !== 405) return { service: undefined, note: undefined }
  const allowed = allowedMethods(answer).filter((method) => method !== request.method)
  const [only, ...others] = allowed
  if (answer.status === 405 && only !== undefined && others.length === 0 && !isMethodGiven) {
    answer.body.destroy()
    asked.exchange.relay.reply = undefined
    asked.exchange.record.outcome = undefined
    return await askWith(
      context,
      asked,
      { ...request, method: only },
      'the only method that the seller allows',
      signal,
    )
  }
  const named = allowed.length > 0 ? `It allows ${allowed.join(', ')}. ` : ''
  const example = allowed[0] ?? (request.method === 'GET' ? 'POST' : 'GET')
  const body = example === 'GET' ? '' : ", and give its body with --data '{…}'"
  const note = `Note: the seller answered ${answer.status} to ${request.method}. ${named}If the address is right, name the method: -X ${example}${body}.`
  return { service: undefined, note }
}

/** The methods of an Allow header that could call a service. */
function allowedMethods({ headers }: IncomingReply): string[] {
  const allow = headers['allow']
  const list = typeof allow === 'string' ? allow : (allow ?? []).join(',')
  const methods = list.split(',').map((method) => method.trim().toUpperCase())
  return [...new Set(methods)].filter((method) => METHODS.has(method) && method !== 'HEAD')
}

/** Asks once: the offers of a 402, or an answer that asks for none, which is the exchange's then. */
async function ask(
  context: Context,
  asked: CommandRequest,
  request: OutgoingRequest,
  signal: AbortSignal,
): Promise<AskedService | { readonly answer: IncomingReply }> {
  const answer = await askSeller(context, asked, request, signal)
  if (answer.status === 402) return { request, ...(await readChallengeKept(answer, PRICE_MS)) }
  const isRedirect = isRefusal(answer.status) && answer.status < 400
  const refused =
    isRedirect || mayBeEdge(answer)
      ? await refusedQuestion(answer, request.url, { name: 'the address' })
      : undefined
  if (refused) throw refused
  const { exchange } = asked
  exchange.record.outcome = 'free'
  exchange.relay.reply = { ...answer, kind: 'unpaid' }
  return { answer }
}
