/** One paid call: quote, gate, reserve, authorize, record, send once, judge. The order is the money rules'. */
import type { Charge } from '../core/charge/charge.ts'
import { TollwayError } from '../core/errors.ts'
import type { TollwayEvent } from '../core/telemetry/events.ts'
import { spentOf, type Exchange } from '../core/request/exchange.ts'
import type { Authorization, Provider } from '../core/payer/provider.ts'
import { refuseOwnWallet } from '../core/policy/forbidden-payee.ts'
import type { Quote } from '../core/policy/gate.ts'
import { judgePaidAnswer, namedTransaction, claimedTransaction } from '../core/charge/judge-paid-answer.ts'
import { paymentHeaderNames } from '../core/x402/payment-headers.ts'
import type { Challenge } from '../core/x402/x402.ts'
import { readingReceipt } from './receipt/answer-receipt.ts'
import { decodeReceipt, receiptInBody } from '../core/x402/receipt.ts'
import type { IncomingReply, OutgoingRequest } from '../io/transport/upstream.ts'
import type { PaymentLine } from '../io/transport/payment-line.ts'
import { askFirst } from './ask-first.ts'
import { answerDryRun, isDryRun } from './dry-run.ts'
import { noteHints } from './seller-hints.ts'
import { explainReuse } from './mpp/fit-charges.ts'
import { NonceUsedError } from '../io/ledger/record-authorization.ts'
import { ClientLeftError, type PayingCall, type PaymentContext } from './payment-context.ts'
import { clockSkew, skewAllowance } from '../core/telemetry/clock-skew.ts'
import { paymentSecrets } from '../core/x402/payment-secrets.ts'
import { redactReply } from './answer/redact-payment.ts'
import { checkedReceipt, flagFindings } from './receipt/paid-receipt.ts'
import { noteEvidence } from './receipt/signed-evidence.ts'
import { signInInstead } from './sign-in/sign-in.ts'
import { awaited } from './timing.ts'
import { chooseOffer, reportOffer, reportRefusal, reportUnacceptable, type Vetted } from './vet-offers.ts'
import { noteTerms, reportTerms } from './ask-behind.ts'
import { changedTerms } from './changed-terms.ts'
import type { RememberedOffer, TermsQuestion } from '../core/x402/remembered-terms.ts'
import { judgeLostAnswer } from './judge-lost-answer.ts'
import { readChallenge } from './read-challenge.ts'
import { headerOf } from './answer/read-reply.ts'
import { ERROR_BODY_MS, failedAnswer, failureBody } from './failed-answer.ts'

/** How often a payer that offers what was recorded before is asked for the next: each one is gone then. */
const MAX_OFFERS = 8

/** The payment of one request at one candidate, from the seller's 402 to the judged answer. */
export class PaidCall {
  readonly #call: PayingCall
  readonly #context: PaymentContext
  readonly #exchange: Exchange
  readonly #payer: Provider
  readonly #leaving: AbortSignal
  readonly #request: OutgoingRequest
  readonly #question: TermsQuestion | undefined
  #line: PaymentLine | undefined
  #skew: number | undefined
  /** The terms that are paid without having asked for them. */
  #remembered: RememberedOffer | undefined
  /** What the seller asked for instead of those. */
  #changed: Challenge | undefined

  /**
   * @param request what was sent unpaid, and is sent once more with the payment
   * @param line the connection for it, when it was opened ahead
   * @param question under what its terms are remembered; they are not without it
   */
  constructor(call: PayingCall, request: OutgoingRequest, line?: PaymentLine, question?: TermsQuestion) {
    this.#call = call
    this.#context = call.context
    this.#exchange = call.exchange
    this.#payer = call.payer
    this.#leaving = call.leaving
    this.#request = request
    this.#line = line
    this.#question = question
  }

  /**
   * Pays a 402 and puts the paid answer into the exchange.
   * @param startedAt when the unpaid request was sent, `performance.now()`
   * @throws ClientLeftError, TollwayError
   */
  async run(answer: IncomingReply, startedAt: number): Promise<void> {
    const first = await awaited(this.#exchange, readChallenge(answer, ERROR_BODY_MS, this.#request))
    const skew = this.#noteClock(answer)
    this.#noteTerms(first)
    const signedIn = await awaited(this.#exchange, signInInstead(this.#call, this.#request, first))
    if (signedIn.kind === 'served') {
      this.#exchange.record.outcome = 'free'
      this.#exchange.relay.reply = { ...signedIn.reply, kind: 'unpaid' }
      return
    }
    const challenge =
      signedIn.kind === 'asked_again'
        ? await awaited(this.#exchange, readChallenge(signedIn.reply, ERROR_BODY_MS, this.#request))
        : first
    const vetted = await chooseOffer(this.#call, challenge, skewAllowance(skew)).catch((error: unknown) => {
      reportUnacceptable(this.#call, error)
      throw error
    })
    this.#phase('quote', startedAt)
    if (isDryRun(this.#exchange)) return answerDryRun(this.#call, vetted.quote)
    await this.#pay(vetted)
  }

  /**
   * Pays terms that are remembered, without asking for them, and puts the paid answer into the exchange.
   * @param startedAt `performance.now()`
   * @returns false when they may not be paid as things are: the seller has to be asked, and nothing was done yet
   * @throws ClientLeftError, TollwayError
   */
  async runRemembered(remembered: RememberedOffer, startedAt: number): Promise<boolean> {
    const allowance = skewAllowance(remembered.skew)
    const vetted = await chooseOffer(this.#call, remembered.challenge, allowance).catch((error: unknown) => {
      if (error instanceof TollwayError) return undefined
      throw error
    })
    // A seller that may name any payee may name another one in each request.
    if (!vetted || vetted.isAnyPayee) return false
    this.#remembered = remembered
    this.#skew = remembered.skew
    this.#phase('quote', startedAt)
    reportTerms(this.#call, 'remembered')
    try {
      await this.#pay(vetted)
    } catch (error) {
      if (!(await this.#payAgain())) throw error
    }
    return true
  }

  async #pay(vetted: Vetted): Promise<void> {
    const { authorized, authorization } = await this.#prepare(vetted)
    try {
      const reply = await this.#send(authorized, authorization)
      await this.#judge(authorized, reply, vetted, authorization)
    } catch (error) {
      // Whatever is wrong with the seller, it says so for nothing before the next payment.
      if (this.#question) this.#context.terms?.doubt(this.#question)
      throw error
    }
  }

  /**
   * `on_changed_terms: pay_again`: pays what the seller asked for instead of the remembered terms. The first payment stays counted,
   * and both together stay under the ceiling of one request (rule 5).
   * @returns false when nothing more was sent; the exchange is then as the first payment left it
   */
  async #payAgain(): Promise<boolean> {
    const { payment, record } = this.#exchange
    const { charge: first } = payment
    const { policy } = this.#context
    const choice = this.#call.candidate.route.onChangedTerms ?? policy.onChangedTerms
    const changed = this.#changed
    if (!changed || choice !== 'pay_again' || first?.state !== 'uncertain') return false
    // A third payment never follows.
    this.#remembered = undefined
    this.#changed = undefined
    this.#line = undefined
    try {
      const vetted = await chooseOffer(this.#call, changed, skewAllowance(this.#skew))
      if (policy.maxMicroUsd !== 'none') {
        const together = (first.microUsd ?? 0n) + (vetted.quote.microUsd ?? 0n)
        if (together > policy.maxMicroUsd) return false
      }
      payment.earlier = first
      await this.#pay(vetted)
    } catch (error) {
      if (payment.charge !== first && spentOf({ payment: { ...payment, earlier: undefined } }) !== 'no') {
        throw error
      }
      payment.charge = first
      payment.earlier = undefined
      record.details['not_paid_again'] = error instanceof TollwayError ? error.code : 'client_left'
      return false
    }
    record.details['paid_again_after'] = first.id
    reportTerms(this.#call, 'paid_again')
    return true
  }

  #noteTerms(challenge: Challenge): void {
    const { terms } = this.#context
    if (terms && this.#question) noteTerms(this.#call, terms, this.#question, challenge, this.#skew)
  }

  /** Reserves, signs and records: what fails here is a refusal of the seller's offer. */
  async #prepare(vetted: Vetted): Promise<{ authorized: Charge; authorization: Authorization }> {
    const { quote, pin } = vetted
    const { network } = quote.asset
    reportOffer(this.#call, 'offered', network)
    const guard = this.#exchange.payment.guard
    if (!guard) throw new TypeError('a paid call needs the budget guard')
    try {
      await askFirst(this.#call, vetted)
      const reserving = performance.now()
      const held = await guard.reserve(quote, this.#call.candidate, pin)
      this.#phase('reserve', reserving)
      this.#exchange.payment.charge = held
      return await this.#authorize(quote, held)
    } catch (error) {
      reportRefusal(this.#call, error, network)
      throw error
    }
  }

  /** Signs and records. Whatever fails here, nothing has left the process, and the hold is given back. */
  async #authorize(
    quote: Quote,
    held: Charge,
  ): Promise<{ authorized: Charge; authorization: Authorization }> {
    const { ledger } = this.#context
    const leaving = this.#leaving
    try {
      for (let tries = 1; ; tries += 1) {
        if (leaving.aborted) throw new ClientLeftError()
        const signing = performance.now()
        const authorization = await this.#payer.authorize(quote, held.id, leaving)
        this.#phase('sign', signing)
        if (leaving.aborted) throw new ClientLeftError()
        refuseOwnWallet(authorization.record, quote)
        const recording = performance.now()
        const authorized = await ledger
          .authorize(held, authorization.record)
          .catch(async (error: unknown) => {
            if (
              !(error instanceof NonceUsedError) ||
              this.#payer.mayOfferUsed !== true ||
              tries === MAX_OFFERS
            )
              throw error
            await this.#close(held, 'uncertain')
          })
        if (!authorized) continue
        this.#phase('record', recording)
        this.#exchange.payment.charge = authorized
        return { authorized, authorization }
      }
    } catch (error) {
      const released = await ledger.release(held, releaseReason(error, leaving, this.#exchange))
      // What was recorded before may have been sent then: a payer with a pool must not offer it again.
      await this.#close(released, error instanceof NonceUsedError ? 'uncertain' : released.state)
      throw leaving.aborted ? new ClientLeftError() : explainReuse(error, quote)
    }
  }

  /** Sends the signed request once. It is not ended when the client leaves: the seller may have taken the money already. */
  async #send(charge: Charge, authorization: Authorization): Promise<IncomingReply> {
    const { name, value } = authorization.header
    if (name === 'authorization') this.#exchange.record.details['payment_protocol'] = 'mpp'
    const names = paymentHeaderNames(name, authorization.alsoAs, this.#call.candidate.route.paymentHeader)
    const sending = performance.now()
    const isEarly = this.#call.candidate.route.earlyKeepalive === true
    const endKeepAlives = isEarly ? this.#exchange.payment.sendKeepAlives?.() : undefined
    try {
      return await awaited(
        this.#exchange,
        this.#context.upstream.send({
          ...this.#request,
          carriesPayment: true,
          line: this.#line,
          headers: { ...this.#request.headers, ...Object.fromEntries(names.map((each) => [each, value])) },
        }),
      )
    } catch (cause) {
      const lost = await judgeLostAnswer(this.#context.ledger, charge, this.#request, cause)
      await this.#close(lost.charge)
      throw lost.error
    } finally {
      endKeepAlives?.()
      this.#phase('send', sending)
    }
  }

  /** Books by status and receipt. A failure without a receipt in its headers may have one in its body: that is read first. */
  async #judge(
    charge: Charge,
    raw: IncomingReply,
    { quote, pin, priceKey, knownPrice, signedOffers }: Vetted,
    authorization: Authorization,
  ): Promise<void> {
    const { ledger } = this.#context
    const secrets = paymentSecrets(authorization.header.value)
    const reply = redactReply(raw, secrets)
    const inHeaders = decodeReceipt((name) => headerOf(raw, name))
    const isAnswer = reply.status >= 200 && reply.status < 300
    const early = isAnswer || (inHeaders && reply.status !== 402) ? undefined : await failureBody(reply)
    const found = inHeaders ?? (early && receiptInBody(early.bytes))
    const { receipt, findings } = await checkedReceipt(ledger, charge, found)
    const changed =
      early && reply.status === 402 ? changedTerms(reply, early, quote, this.#remembered) : undefined
    const verdict = judgePaidAnswer(reply.status, receipt, changed?.told)
    if (this.#remembered && changed && verdict.error?.code === 'terms_changed') {
      this.#changed = changed.challenge
      this.#noteTerms(changed.challenge)
      reportTerms(this.#call, 'changed')
    }
    noteHints(this.#exchange, (name) => headerOf(raw, name))
    if (verdict.state === 'settled') {
      // Begun first and waited for last: it shares the settlement's commit.
      const noted = knownPrice?.last === quote.amount ? undefined : ledger.notePrice(priceKey, quote.amount)
      await this.#close(await ledger.settle(charge, verdict.proof, namedTransaction(receipt), pin))
      await noted
    } else {
      await this.#close(await ledger.uncertain(charge, verdict.reason, claimedTransaction(receipt)))
    }
    const { transaction } = receipt ?? {}
    const evidence = { charge, quote, offers: signedOffers, url: this.#request.url, transaction, secrets }
    const wrong = await noteEvidence(this.#exchange, evidence, raw, this.#context.clock.now())
    const booked = this.#exchange.payment.charge ?? charge
    await flagFindings(ledger, booked, this.#exchange.record, [...findings, ...wrong])
    if (verdict.error) {
      const { code } = verdict.error
      if (code === 'payment_rejected') reportOffer(this.#call, 'rejected', quote.asset.network, code)
      const body = early ?? (await failureBody(reply))
      const facts = { reply, body, quote, authorization, skew: this.#skew, payer: this.#payer }
      throw await failedAnswer(verdict.error, facts)
    }
    this.#exchange.record.outcome = 'paid'
    const answer = inHeaders ? reply : readingReceipt(ledger, this.#exchange, reply, raw.trailers)
    this.#exchange.relay.reply = { ...answer, kind: 'paid' }
  }

  /** Compares the seller's clock with ours: a difference explains why a seller calls a payment expired. */
  #noteClock(answer: IncomingReply): number | undefined {
    const seconds = clockSkew(headerOf(answer, 'date'), this.#context.clock.now())
    if (seconds === undefined) return undefined
    this.#skew = seconds
    const source = new URL(this.#call.candidate.route.apiBase).origin
    for (const observer of this.#context.observers) observer({ type: 'clock_skew', source, seconds })
    return seconds
  }

  /** Tells the exchange and the payer how the charge ended. A payer that fails here cannot undo what happened. */
  async #close(charge: Charge, state = charge.state): Promise<void> {
    this.#exchange.payment.charge = charge
    const { transaction } = charge
    if (state !== 'settled' && state !== 'uncertain' && state !== 'released') return
    await this.#payer.closed(charge.id, { state, transaction }).catch((error: unknown) => {
      this.#exchange.record.details['payer_close_error'] = error instanceof Error ? error.name : 'unknown'
    })
  }

  #phase(phase: Extract<TollwayEvent, { type: 'phase' }>['phase'], since: number): void {
    const seconds = (performance.now() - since) / 1000
    for (const observer of this.#context.observers) observer({ type: 'phase', phase, seconds })
  }
}

function releaseReason(error: unknown, leaving: AbortSignal, { relay }: Exchange): string {
  if (leaving.aborted) return relay.closedBy ?? 'client_left'
  return error instanceof TollwayError ? error.code : 'internal_error'
}
