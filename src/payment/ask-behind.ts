/** Asks a seller for its terms behind an answer that was paid on remembered ones, so that a change is learnt off the way of any request. */
import { clockSkew } from '../core/telemetry/clock-skew.ts'
import type { OutgoingRequest } from '../io/transport/upstream.ts'
import type { PayingCall } from './payment-context.ts'
import { readChallenge } from './read-challenge.ts'
import { headerOf } from './answer/read-reply.ts'
import { askOnce } from './send-unpaid.ts'
import type { RememberedTerms, TermsQuestion } from '../core/x402/remembered-terms.ts'

/** How long such a question may take, milliseconds: no request waits for it. */
const PATIENCE_MS = 20_000

/**
 * Sends the question again, without a payment, when its turn has come. Whatever answers it but a 402 with the same terms has the next
 * request ask first.
 * @returns resolves when the answer is noted; never rejects
 */
export async function askBehind(
  call: PayingCall,
  terms: RememberedTerms,
  question: TermsQuestion,
  request: OutgoingRequest,
): Promise<void> {
  const { context } = call
  const endTurn = terms.takeTurn(question, context.clock.now())
  if (!endTurn) return
  reportTerms(call, 'asked_behind')
  const timeouts = { ...request.timeouts, firstByteMs: PATIENCE_MS, totalMs: PATIENCE_MS }
  try {
    const answer = await askOnce(context.upstream, { ...request, timeouts, signal: terms.closing })
    if (answer.status === 402) {
      const challenge = await readChallenge(answer, PATIENCE_MS)
      const now = context.clock.now()
      noteTerms(call, terms, question, challenge, clockSkew(headerOf(answer, 'date'), now))
    } else {
      answer.body.destroy()
      terms.doubt(question)
    }
  } catch {
    terms.doubt(question)
  } finally {
    endTurn()
  }
}

/** Notes the answer to a question, and reports a seller that is seen to price each request. */
export function noteTerms(
  call: PayingCall,
  terms: RememberedTerms,
  question: TermsQuestion,
  challenge: Parameters<RememberedTerms['note']>[1],
  skew: number | undefined,
): void {
  const now = call.context.clock.now()
  const wasVarying = terms.isVarying(question.seller, now)
  if (terms.note(question, challenge, skew, now) === 'varies' && !wasVarying) reportTerms(call, 'varies')
}

/** Tells observers what became of remembered terms. */
export function reportTerms(
  { context, candidate }: Pick<PayingCall, 'context' | 'candidate'>,
  result: 'remembered' | 'asked_behind' | 'changed' | 'paid_again' | 'varies',
): void {
  const { apiBase, modelName } = candidate.route
  const seller = new URL(apiBase).origin
  for (const observer of context.observers) observer({ type: 'terms', seller, route: modelName, result })
}
