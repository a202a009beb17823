/** Takes a request from candidate to candidate until one answers. */
import { needsBody } from '../core/routing/answer-class.ts'
import { TollwayError } from '../core/errors.ts'
import type { Exchange } from '../core/request/exchange.ts'
import type { Attempt } from '../core/routing/attempt.ts'
import type { Candidate, FallbackKind } from '../core/routing/route.ts'
import type { IncomingReply, OutgoingRequest } from '../io/transport/upstream.ts'
import { paysFor } from '../core/routing/paid-endpoints.ts'
import { spentOf } from '../core/request/exchange.ts'
import { printable } from '../core/printable.ts'
import { ApprovedLateError } from './ask-first.ts'
import { sendMetered } from './send-metered.ts'
import { askedPause, classOf, sendUnpaid, SellerUnavailableError } from './send-unpaid.ts'
import { answerDryRun, isDryRun, withoutDryRun } from './dry-run.ts'
import { type ClientRequest, outgoingRequest } from './outgoing-request.ts'
import { PaidCall } from './paid-call.ts'
import type { CandidateCall, PayingCall, PaymentContext } from './payment-context.ts'
import { peekBody, whenDone } from './peek-body.ts'
import { OtherPaymentError } from './not-x402.ts'
import {
  isRefusal,
  mayBeEdge,
  QuestionRefusedError,
  refusedQuestion,
  withoutPage,
} from './refused-question.ts'
import { askWithoutPaying } from './unpaid-endpoint.ts'
import { askBehind } from './ask-behind.ts'
import { mayRecall, termsQuestion } from './terms-question.ts'
import { forgetReduction, reducedRequest } from './reduce-max-tokens.ts'
import { takeOver } from '../core/request/when-exhausted.ts'
import { relayedHeaders } from '../core/request/header-policy.ts'

/** Answers of an unpaid probe that are about the request and are relayed as they are. */
const RELAYED_PROBE_STATUSES: ReadonlySet<number> = new Set([400, 404, 413, 415, 422])

/** What a candidate is to blame for: too many of these in a row and the others go first. */
const SELLER_FAULTS: ReadonlySet<string> = new Set([
  'seller_unavailable',
  'no_supported_offer',
  'insufficient_funds',
  'pool_exhausted',
  'offer_undecodable',
  'offer_too_large',
  'offer_empty',
  'payment_uncertain',
  'payment_rejected',
  'terms_changed',
  'paid_not_delivered',
  'seller_error',
])

/** Enough for an error; a longer body is no error that could be understood. */
const MAX_ERROR_BYTES = 65_536

/** How one candidate answered. */
interface Verdict {
  /** `served`: the exchange has the answer · else why another may do better; the answer is kept for when there is none. */
  readonly kind: 'served' | FallbackKind
  readonly status: number
  readonly retryAfterMs: number | undefined
}

/**
 * Fills `exchange.relay.reply` from the first candidate that serves. After a refusal by policy or budget, and after a signed
 * send, nothing follows (rules 5 and 7).
 * @param leaving aborted when the client is gone; nothing is signed for it after that
 * @throws the first candidate's failure when all fail, as LiteLLM does: it belongs to the model the caller meant
 */
export async function tryCandidates(
  context: PaymentContext,
  req: ClientRequest,
  exchange: Exchange,
  leaving: AbortSignal,
): Promise<void> {
  const { attempts } = exchange.routing
  const trail: string[] = []
  let queue = exchange.routing.candidates ?? []
  let failure: unknown
  for (let at = 0; at < queue.length; at++) {
    const candidate = queue[at]
    if (!candidate) break
    const moveOn = (reason: string): void => {
      trail.push(trailOf(candidate, reason))
      const next = queue[at + 1]
      if (next) attempts?.movedOn(candidate, next, reason)
    }
    exchange.routing.route = candidate.route.modelName
    exchange.routing.payer = candidate.route.payer
    exchange.routing.candidate = candidate
    const attempt = attempts?.enter(candidate)
    if (attempts && !attempt) {
      failure ??= full(candidate)
      moveOn('full')
      continue
    }
    try {
      const verdict = await serve({ context, exchange, candidate, leaving }, req)
      close(attempt, verdict)
      const others = verdict.kind === 'served' ? [] : othersFor(verdict.kind, exchange, queue, at)
      if (others.length === 0) {
        trail.push(trailOf(candidate, `status_${verdict.status}`))
        holdPlaceUntilRead(exchange, candidate, attempt)
        recordTrail(exchange, trail)
        return
      }
      giveUpReply(exchange, attempt)
      queue = [...queue.slice(0, at + 1), ...others]
      failure ??= new SellerUnavailableError(
        `answered with status ${verdict.status}`,
        `status_${verdict.status}`,
      )
      moveOn(verdict.kind === 'unavailable' ? `status_${verdict.status}` : verdict.kind)
    } catch (error) {
      blame(attempt, error)
      attempt?.leave()
      // The charge is checked as well: no error code may open the way to a second payment (rule 5).
      if (error instanceof TollwayError && error.mayTryNext && spentOf(exchange) === 'no') {
        failure ??= error
        moveOn(error.code)
        continue
      }
      const others = takeOver(exchange, error)
      if (others.length > 0) {
        queue = [...queue.slice(0, at + 1), ...others]
        failure = error
        moveOn('budget_exhausted')
        continue
      }
      trail.push(trailOf(candidate, error instanceof TollwayError ? error.code : 'fault'))
      recordTrail(exchange, trail)
      throw error
    }
  }
  recordTrail(exchange, trail)
  throw failure
}

async function serve(call: CandidateCall, req: ClientRequest): Promise<Verdict> {
  const { context, exchange, candidate } = call
  const dryRun = isDryRun(exchange)
  const asked = outgoingRequest(req, exchange, candidate)
  const request = dryRun && asked.body ? { ...asked, body: withoutDryRun(asked.body) } : asked
  const payerName = candidate.route.payer
  if (payerName === undefined) {
    if (dryRun) return quoteOnly(call)
    return await unpaidReply(call, await sendMetered(call, request))
  }
  const payer = context.payers.get(payerName)
  if (!payer) {
    throw unknownPayer(candidate.route.modelName, payerName, [...context.payers.keys()])
  }
  const question = { method: req.method ?? '', endpoint: exchange.endpoint, direct: exchange.request.direct }
  if (!paysFor(candidate.route, question)) {
    if (dryRun) return quoteOnly(call)
    const answer = await probeAnswer(await askWithoutPaying(call, request), request, exchange, candidate)
    return await unpaidReply(call, withoutSellersHeaders(answer))
  }
  const paying: PayingCall = { ...call, payer }
  try {
    return await buy(paying, request)
  } catch (error) {
    const smaller = reducedRequest(call, request, error)
    if (!smaller) throw error
    try {
      return await buy(paying, smaller)
    } catch (again) {
      forgetReduction(exchange)
      throw again
    }
  }
}

/** Buys; where a person took time to approve, at the terms that the seller asks after that, or not at all. */
async function buy(call: PayingCall, request: OutgoingRequest): Promise<Verdict> {
  try {
    return await buyOnce(call, request)
  } catch (error) {
    if (!(error instanceof ApprovedLateError)) throw error
    return await buyOnce({ ...call, approved: error.approved }, request)
  }
}

/** Asks what the request costs, unless that is known, and pays it. */
async function buyOnce(call: PayingCall, request: OutgoingRequest): Promise<Verdict> {
  const { context, exchange } = call
  const { terms, running } = context
  const startedAt = performance.now()
  const line = isDryRun(exchange) ? undefined : context.upstream.openLine?.(request)
  const question = termsQuestion(call, request)
  const paying = new PaidCall(call, request, line, question)
  try {
    const known = question && mayRecall(call) ? terms?.recall(question, context.clock.now()) : undefined
    if (known && (await running.track(paying.runRemembered(known, startedAt)))) {
      if (terms && question) void askBehind(call, terms, question, request)
      return PAID
    }
    const answer = await sendUnpaid(call, request).catch((error: unknown) => {
      if (question) terms?.doubt(question)
      throw error
    })
    const isFree = answer.status >= 200 && answer.status < 300
    if (question && isFree) terms?.forget(question)
    else if (question && answer.status !== 402) terms?.doubt(question)
    if (isDryRun(exchange) && isFree) {
      answer.body.destroy()
      return quoteOnly(call)
    }
    if (answer.status !== 402) {
      return await unpaidReply(
        call,
        withoutSellersHeaders(await probeAnswer(answer, request, exchange, call.candidate)),
      )
    }
    await running.track(paying.run(answer, startedAt))
    return PAID
  } finally {
    line?.close()
  }
}

/** The seller asks for no payment, and the request only asked what it costs. */
function quoteOnly(call: CandidateCall): Verdict {
  answerDryRun(call, undefined)
  return { kind: 'served', status: 200, retryAfterMs: undefined }
}

/** The exchange has the paid answer. */
const PAID: Verdict = { kind: 'served', status: 200, retryAfterMs: undefined }

/** Puts an answer without payment into the exchange, and tells whether another candidate may do better. */
async function unpaidReply(call: CandidateCall, answer: IncomingReply): Promise<Verdict> {
  const { context, exchange, candidate } = call
  const { status } = answer
  const retryAfterMs = askedPause(answer, context.clock.now())
  exchange.record.outcome = 'free'
  exchange.relay.reply = { ...answer, kind: 'unpaid' }
  if (!needsBody(status) || !hasStandIns(exchange)) return { kind: kindOf(answer), status, retryAfterMs }
  const { bytes, body } = await peekBody(answer.body, MAX_ERROR_BYTES)
  exchange.relay.reply = { ...answer, body, kind: 'unpaid' }
  return { kind: kindOf(answer, bytes), status, retryAfterMs }

  function kindOf(reply: IncomingReply, errorBody?: Uint8Array): Verdict['kind'] {
    const found = classOf(reply, candidate, errorBody)
    return found === 'ok' || found === 'request' ? 'served' : found
  }
}

function hasStandIns({ routing: { attempts } }: Exchange): boolean {
  if (!attempts) return false
  return attempts.fallbacks('context_window').length > 0 || attempts.fallbacks('content_policy').length > 0
}

/** Who comes next: the rest of the queue, or the models named for this kind of failure. */
function othersFor(
  kind: FallbackKind,
  { routing: { attempts }, payment: { noPaidStandIn } }: Exchange,
  queue: readonly Candidate[],
  at: number,
): readonly Candidate[] {
  if (kind === 'unavailable') return queue.slice(at + 1)
  // The candidates left are of the same model, and would say the same.
  const tried = queue.slice(0, at + 1)
  return (attempts?.fallbacks(kind) ?? []).filter(
    ({ route, remoteModel }) =>
      !(noPaidStandIn && route.payer !== undefined) &&
      !tried.some((other) => other.route === route && other.remoteModel === remoteModel),
  )
}

function close(attempt: Attempt | undefined, { kind, status, retryAfterMs }: Verdict): void {
  if (kind === 'unavailable') attempt?.failed(`status_${status}`, retryAfterMs)
  else attempt?.answered()
}

function blame(attempt: Attempt | undefined, error: unknown): void {
  // A wrong address or key is no outage: the route fails the same way after any pause.
  if (error instanceof QuestionRefusedError || error instanceof OtherPaymentError) attempt?.unknown()
  else if (error instanceof TollwayError && SELLER_FAULTS.has(error.code)) attempt?.failed(error.code)
  else attempt?.unknown()
}

/** An answer that is given up for another candidate's. */
function giveUpReply(exchange: Exchange, attempt: Attempt | undefined): void {
  exchange.relay.reply?.body.destroy()
  exchange.relay.reply = undefined
  exchange.record.outcome = undefined
  attempt?.leave()
}

/** A route with a limit counts a request until its answer is through. */
function holdPlaceUntilRead(exchange: Exchange, { route }: Candidate, attempt: Attempt | undefined): void {
  const { reply } = exchange.relay
  if (!attempt) return
  if (route.maxParallel === undefined || !reply) attempt.leave()
  else exchange.relay.reply = { ...reply, body: whenDone(reply.body, () => attempt.leave()) }
}

/** A seller that answers for free is still a seller: it may set neither our headers nor cookies of the client. */
function withoutSellersHeaders(reply: IncomingReply): IncomingReply {
  return { ...reply, headers: Object.fromEntries(relayedHeaders({ headers: reply.headers, kind: 'paid' })) }
}

/** An answer to the unpaid probe that asks for no payment: free answers and errors about the request pass, the rest is an outage. */
async function probeAnswer(
  answer: IncomingReply,
  { url }: OutgoingRequest,
  { request: { direct } }: Exchange,
  { route: { apiBase } }: Candidate,
): Promise<IncomingReply> {
  const { status } = answer
  if ((status >= 200 && status < 300) || RELAYED_PROBE_STATUSES.has(status)) {
    return direct && !mayBeEdge(answer) ? answer : await withoutPage(answer)
  }
  // Only this seller can serve a direct request: the client gets its answer, but no redirect.
  if (direct && (status >= 400 || status === 304)) return answer
  const refused =
    isRefusal(status) || mayBeEdge(answer) ? await refusedQuestion(answer, url, { apiBase }) : undefined
  if (refused) throw refused
  answer.body.destroy()
  throw new SellerUnavailableError(`answered the unpaid request with status ${status}`, `status_${status}`)
}

function full({ route }: Candidate): TollwayError {
  return new TollwayError({
    code: 'seller_unavailable',
    message: `This route has ${route.maxParallel} requests under way, which is its limit; nothing was sent.`,
    details: { reason: 'full' },
    headers: { 'retry-after': '1' },
  })
}

function trailOf({ route }: Candidate, result: string): string {
  return `${printable(route.modelName)}@${new URL(route.apiBase).host}=${result}`
}

/** For the audit record: who was asked before, and how that ended. */
function recordTrail(exchange: Exchange, trail: readonly string[]): void {
  if (trail.length > 1) exchange.record.details['tried'] = trail.join(' ')
}

function unknownPayer(route: string, payer: string, known: readonly string[]): TollwayError {
  const fix = `Give paymentInterceptor({ payers }) a payer of that name, or name one of its payers in the route: ${known.join(', ') || 'it has none'}.`
  return new TollwayError({
    code: 'setup_error',
    message: `The route "${route}" is paid by "${payer}", and paymentInterceptor() has no such payer. Nothing was paid.`,
    advice: [fix],
    details: { fix },
  })
}
