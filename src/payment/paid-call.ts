/** One paid call: quote, gate, reserve, authorize, record, send once, judge. The order is the money rules'. */
import type { Charge } from '../core/charge/charge.ts'
import { TollwayError } from '../core/errors.ts'
import { approveAdvice } from '../core/payer/permit2.ts'
import type { TollwayEvent } from '../core/telemetry/events.ts'
import type { Exchange, Reply } from '../core/request/exchange.ts'
import type { Authorization, Provider } from '../core/payer/provider.ts'
import { paymentToSign } from '../core/hooks/hook-facts.ts'
import { refuseOwnWallet } from '../core/policy/forbidden-payee.ts'
import type { Quote } from '../core/policy/gate.ts'
import {
  judgePaidAnswer,
  namedTransaction,
  claimedTransaction,
  type VerdictError,
} from '../core/charge/judge-paid-answer.ts'
import { paymentHeaderNames } from '../core/x402/payment-headers.ts'
import { MAX_CHALLENGE_BYTES } from '../core/x402/x402.ts'
import { decodeReceipt, receiptInBody } from '../core/x402/receipt.ts'
import type { BoundedBody, IncomingReply, OutgoingRequest } from '../io/transport/upstream.ts'
import type { PaymentLine } from '../io/transport/payment-line.ts'
import { answerDryRun, isDryRun } from './dry-run.ts'
import { noteHints } from './seller-hints.ts'
import { NonceUsedError } from '../io/ledger/record-authorization.ts'
import { ClientLeftError, type PayingCall, type PaymentContext } from './payment-context.ts'
import { clockSkew, describeSkew, skewAllowance } from '../core/telemetry/clock-skew.ts'
import { paymentSecrets } from '../core/x402/payment-secrets.ts'
import { redactReply } from './redact-payment.ts'
import { adviceFor, isRequestCode, type PaymentFacts } from '../core/x402/seller-reasons.ts'
import { readSellerError } from '../core/x402/seller-error.ts'
import { findNetwork } from '../core/money/assets.ts'
import { formatUnits } from '../core/money/money.ts'
import { checkedReceipt, flagFindings } from './paid-receipt.ts'
import { isRejection, sellerAnswer } from './seller-message.ts'
import { signInInstead } from './sign-in/sign-in.ts'
import { awaited } from './timing.ts'
import { chooseOffer, type Vetted } from './vet-offers.ts'
import { changedTerms } from './changed-terms.ts'
import { judgeLostAnswer } from './judge-lost-answer.ts'
import { readChallenge } from './read-challenge.ts'
import { headerOf, readReply } from './read-reply.ts'

/** How long the body of a 402 or of a failed paid call is waited for: the money is booked, only words follow. */
const ERROR_BODY_MS = 10_000

/** How often a payer that offers what was recorded before is asked for the next: each one is gone then. */
const MAX_OFFERS = 8

const NO_BODY: BoundedBody = { bytes: Buffer.alloc(0), truncated: false }

/** The payment of one request at one candidate, from the seller's 402 to the judged answer. */
export class PaidCall {
  readonly #call: PayingCall
  readonly #context: PaymentContext
  readonly #exchange: Exchange
  readonly #payer: Provider
  readonly #leaving: AbortSignal
  readonly #request: OutgoingRequest
  readonly #line: PaymentLine | undefined
  #skew: number | undefined

  /**
   * @param request what was sent unpaid, and is sent once more with the payment
   * @param line the connection for it, when it was opened ahead
   */
  constructor(call: PayingCall, request: OutgoingRequest, line?: PaymentLine) {
    this.#call = call
    this.#context = call.context
    this.#exchange = call.exchange
    this.#payer = call.payer
    this.#leaving = call.leaving
    this.#request = request
    this.#line = line
  }

  /**
   * Pays a 402 and puts the paid answer into the exchange.
   * @param startedAt when the unpaid request was sent, `performance.now()`
   * @throws ClientLeftError, TollwayError
   */
  async run(answer: IncomingReply, startedAt: number): Promise<void> {
    const first = await awaited(this.#exchange, readChallenge(answer, ERROR_BODY_MS))
    const signedIn = await awaited(this.#exchange, signInInstead(this.#call, this.#request, first))
    if (signedIn.kind === 'served') {
      this.#exchange.record.outcome = 'free'
      this.#exchange.relay.reply = { ...signedIn.reply, kind: 'unpaid' }
      return
    }
    const challenge =
      signedIn.kind === 'asked_again'
        ? await awaited(this.#exchange, readChallenge(signedIn.reply, ERROR_BODY_MS))
        : first
    const skew = this.#noteClock(answer)
    const vetted = await chooseOffer(this.#call, challenge, skewAllowance(skew))
    const { quote, pin } = vetted
    this.#phase('quote', startedAt)
    if (isDryRun(this.#exchange)) return answerDryRun(this.#call, quote)
    const guard = this.#exchange.payment.guard
    if (!guard) throw new TypeError('a paid call needs the budget guard')
    await this.#askApplication(quote)
    const reserving = performance.now()
    const held = await guard.reserve(quote, this.#call.candidate, pin)
    this.#phase('reserve', reserving)
    this.#exchange.payment.charge = held
    const { authorized, authorization } = await this.#authorize(quote, held)
    const reply = await this.#send(authorized, authorization)
    await this.#judge(authorized, reply, vetted, authorization)
  }

  /** A hook may take its time: nothing is reserved yet, and a client that leaves ends the wait. */
  async #askApplication(quote: Quote): Promise<void> {
    const { beforeSign } = this.#context
    if (!beforeSign) return
    const payment = paymentToSign(this.#exchange, this.#call.candidate, quote)
    const asked = awaited(this.#exchange, beforeSign(payment, this.#leaving))
    await asked.catch((error: unknown) => {
      throw this.#leaving.aborted ? new ClientLeftError() : error
    })
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
      throw leaving.aborted ? new ClientLeftError() : error
    }
  }

  /** Sends the signed request once. It is not ended when the client leaves: the seller may have taken the money already. */
  async #send(charge: Charge, authorization: Authorization): Promise<IncomingReply> {
    const { name, value } = authorization.header
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
    { quote, pin, priceKey, knownPrice }: Vetted,
    authorization: Authorization,
  ): Promise<void> {
    const { ledger } = this.#context
    const reply = redactReply(raw, paymentSecrets(authorization.header.value))
    const inHeaders = decodeReceipt((name) => headerOf(raw, name))
    const isAnswer = reply.status >= 200 && reply.status < 300
    const early = isAnswer || (inHeaders && reply.status !== 402) ? undefined : await failureBody(reply)
    const found = inHeaders ?? (early && receiptInBody(early.bytes))
    const { receipt, findings } = await checkedReceipt(ledger, charge, found)
    const changed = early && reply.status === 402 ? newTerms(reply, early, quote) : undefined
    const verdict = judgePaidAnswer(reply.status, receipt, changed)
    noteHints(this.#exchange, (name) => headerOf(raw, name))
    if (verdict.state === 'settled') {
      // Begun first and waited for last: it shares the settlement's commit.
      const noted = knownPrice?.last === quote.amount ? undefined : ledger.notePrice(priceKey, quote.amount)
      await this.#close(await ledger.settle(charge, verdict.proof, namedTransaction(receipt), pin))
      await noted
    } else {
      await this.#close(await ledger.uncertain(charge, verdict.reason, claimedTransaction(receipt)))
    }
    await flagFindings(ledger, this.#exchange.payment.charge ?? charge, this.#exchange.record, findings)
    if (verdict.error) {
      const body = early ?? (await failureBody(reply))
      throw this.#failure(verdict.error, { reply, body, quote, authorization })
    }
    this.#exchange.record.outcome = 'paid'
    this.#exchange.relay.reply = { ...reply, kind: 'paid' }
  }

  /** The seller's time beside ours: a payment that it finds expired is explained by it. */
  #noteClock(answer: IncomingReply): number | undefined {
    const seconds = clockSkew(headerOf(answer, 'date'), this.#context.clock.now())
    if (seconds === undefined) return undefined
    this.#skew = seconds
    const source = new URL(this.#call.candidate.route.apiBase).origin
    for (const observer of this.#context.observers) observer({ type: 'clock_skew', source, seconds })
    return seconds
  }

  #failure(error: VerdictError, { reply, body, quote, authorization }: FailedAnswer): TollwayError {
    const { record } = authorization
    const reported = readSellerError((name) => headerOf(reply, name), body.bytes)
    const seller = sellerAnswer(reply.status, reported)
    const { message } = seller
    const needsApproval = reply.status === 412 && quote.method === 'permit2'
    return new TollwayError({
      ...error,
      advice: needsApproval
        ? approveAdvice(quote.asset, quote.amount)
        : [
            ...(error.advice ?? []),
            ...adviceFor(reported, {
              ...paymentFacts(quote, record.from),
              clock: describeSkew(this.#skew),
            }),
          ],
      details: { seller_status: reply.status, seller_message: message },
      headers: message === null ? {} : { 'x-tollway-seller-message': message },
      seller,
      ...(reported.code !== undefined && isRequestCode(reported.code) ? { clientCode: reported.code } : {}),
    })
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

/** An answer to a payment that is none. */
interface FailedAnswer {
  readonly reply: Pick<Reply, 'status' | 'headers'>
  readonly body: BoundedBody
  readonly quote: Quote
  readonly authorization: Authorization
}

/** What a fresh 402 asks for instead of what was signed. A refusal of the payment that carries its offer along is none. */
function newTerms(reply: Pick<Reply, 'headers'>, body: BoundedBody, quote: Quote): string | undefined {
  return isRejection(body.bytes) ? undefined : changedTerms(reply, body, quote)
}

/** The body of a failure: waited for within bounds, since it may never end, and nothing where it breaks off. */
async function failureBody(reply: Omit<Reply, 'kind'>): Promise<BoundedBody> {
  return await readReply(reply, MAX_CHALLENGE_BYTES, ERROR_BODY_MS).catch(() => NO_BODY)
}

function paymentFacts({ amount, asset }: Quote, from: string): PaymentFacts {
  const price = `${formatUnits(amount, asset.decimals)} ${asset.symbol}`
  return { from, price, network: findNetwork(asset.network)?.alias ?? asset.network }
}

function releaseReason(error: unknown, leaving: AbortSignal, { relay }: Exchange): string {
  if (leaving.aborted) return relay.closedBy ?? 'client_left'
  return error instanceof TollwayError ? error.code : 'internal_error'
}
