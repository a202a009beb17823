/**
 * `tollway pay`: one request to any paid service, with at most one payment. It takes the same path as a request through the
 * gateway: gate, budgets, record, one send.
 */
import { z } from 'zod'
import type { Approval, CallToApprove } from '../../core/approval/approval.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'
import { PaidCall } from '../../payment/paid-call.ts'
import { CallsInFlight } from '../../payment/calls-in-flight.ts'
import { callerRules, withCallerRules, type BudgetedCaller } from '../../core/budget/caller-budgets.ts'
import type { Charge } from '../../core/charge/charge.ts'
import { TollwayError, type ErrorCode } from '../../core/errors.ts'
import { formatUsd, parseUsd } from '../../core/money/money.ts'
import type { Provider } from '../../core/payer/provider.ts'
import type { Exchange, Reply } from '../../core/request/exchange.ts'
import type { Quote } from '../../core/policy/gate.ts'
import type { Challenge } from '../../core/x402/x402.ts'
import type { OutgoingRequest } from '../../io/transport/upstream.ts'
import { askService } from './ask-service.ts'
import { commandRequest, headersOf, type CommandRequest } from './ask-price.ts'
import { termsOf } from '../../payment/reserve-terms.ts'
import { ledgerAddress } from './endpoint.ts'
import { narrowed, type OfferChoice } from './offer-choice.ts'
import { signingCeiling, type BuyingContext } from './buying-context.ts'
import { replyReceipt, type PaymentReceipt } from './receipt.ts'
import { StoppedError } from './stopped.ts'

/** For whom a command pays: its own budgets and those of its team hold beside the configured ones. */
export interface PayingCaller extends BudgetedCaller {
  readonly team?: string | undefined
}

/** The request to send and what it may cost. */
export interface PayRequest {
  readonly url: URL
  readonly method: string
  readonly data: Buffer | undefined
  /** With lower-case names. */
  readonly headers: Readonly<Record<string, string>>
  /** Name of the payer. */
  readonly payer: string
  /** Micro-USD; policy's own ceiling applies too. */
  readonly maxMicroUsd: bigint | undefined
  readonly choice: OfferChoice
  /** Whom the ledger names as the caller; default `cli`. */
  readonly caller?: PayingCaller | undefined
  /** Sees the offers before anything is reserved, and refuses them by throwing. */
  readonly inspect?:
    | ((challenge: Challenge, payer: Provider, method: string) => void | Promise<void>)
    | undefined
  /** Asks a person about a price above `policy.approve_above_usd`; refuses it by throwing. Without it such a price is refused. */
  readonly approve?: ((call: CallToApprove, signal: AbortSignal) => Promise<void>) | undefined
  /** Whether the user named the method. A method that was not named follows the seller's own description. */
  readonly isMethodGiven?: boolean | undefined
}

/** A finished call, with a response or an error; money may have moved in either case. */
export interface Paid {
  readonly receipt: PaymentReceipt
  /** The response, not read yet. */
  readonly reply: Reply | undefined
  readonly error: unknown
  /** What the user should know of how the service was called. */
  readonly note?: string | undefined
}

/** Longest wait for response headers, milliseconds: agents take their time. */
const FIRST_BYTE_MS = 600_000

/**
 * Sends the request without payment first, and pays if the seller asks for it.
 * @param signal ends the call at any time: a payment already sent is recorded as uncertain, or with the seller's result
 * @param onStop called at once when the call is ended, with a function that returns the current receipt
 * @param use reads the response; if it throws, the response counts as not delivered and the payment stays recorded
 */
export async function pay<T>(
  context: BuyingContext,
  payRequest: PayRequest,
  signal: AbortSignal,
  use: (paid: Paid) => Promise<T>,
  onStop: (receipt: () => PaymentReceipt) => void = () => undefined,
): Promise<T> {
  const { clock } = context
  const asked = commandRequest(clock.now(), {
    route: 'pay',
    payer: payRequest.payer,
    ...ledgerAddress(payRequest.url),
    model: modelOf(payRequest) ?? 'pay',
    caller: payRequest.caller?.id,
  })
  const { exchange } = asked
  exchange.caller.team = payRequest.caller?.team
  let error: unknown
  let note: string | undefined
  const stop = (): void => onStop(() => replyReceipt(exchange))
  signal.addEventListener('abort', stop, { once: true })
  try {
    await call(context, payRequest, asked, signal, (text) => (note = text))
  } catch (thrown) {
    const isEarly = signal.aborted && replyReceipt(exchange).spent === 'no'
    error = isEarly ? new StoppedError('Stopped; nothing was paid.') : thrown
  }
  try {
    return await use({ receipt: replyReceipt(exchange), reply: exchange.relay.reply, error, note })
  } catch (thrown) {
    error ??= thrown
    throw thrown
  } finally {
    signal.removeEventListener('abort', stop)
    await record(context, payRequest, exchange, error)
  }
}

async function call(
  context: BuyingContext,
  payRequest: PayRequest,
  asked: CommandRequest,
  signal: AbortSignal,
  note: (text: string | undefined) => void,
): Promise<void> {
  const { exchange, candidate } = asked
  const { config, ledger, upstream, clock, timers, observers } = context
  const request: OutgoingRequest = {
    method: payRequest.method,
    url: payRequest.url.href,
    headers: { ...headersOf(config, payRequest.payer), ...payRequest.headers },
    body: payRequest.data,
    toSeller: true,
    timeouts: { firstByteMs: Math.max(FIRST_BYTE_MS, config.timeouts.firstByteMs) },
  }
  const startedAt = performance.now()
  const isMethodGiven = payRequest.isMethodGiven === true || payRequest.data !== undefined
  const { service, note: asking } = await askService(context, asked, request, isMethodGiven, signal)
  note(asking)
  if (!service) return
  const { challenge, again } = service
  const opened = await context.payer(payRequest.payer)
  await payRequest.inspect?.(challenge, opened, service.request.method)
  const payer = narrowed(opened, challenge, payRequest.choice, config.assets)
  const ceiling = signingCeiling(config)
  const { maxMicroUsd = ceiling } = payRequest
  const budgets = withCallerRules(config.budgets, callerRules(payRequest.caller ? [payRequest.caller] : []))
  exchange.payment.guard = {
    reserve: (quote: Quote, _candidate, pin): Promise<Charge> =>
      ledger.reserve({ ...termsOf(exchange, quote, candidate), tags: [] }, budgets, pin),
  }
  const policy = {
    ...config.policy,
    assets: config.assets,
    maxMicroUsd: lower(maxMicroUsd, ceiling),
    // A ceiling for this very payment replaces the check against the pinned price.
    ...(payRequest.maxMicroUsd === undefined ? {} : { maxPriceChange: undefined }),
  }
  const payment = {
    ledger,
    upstream,
    payers: new Map([[payRequest.payer, payer]]),
    origins: new Set([payRequest.url.origin]),
    policy,
    running: new CallsInFlight(),
    keepaliveMs: 1,
    clock,
    timers,
    observers,
    approval: approvalOf(config, payRequest),
  }
  // A gateway never aborts a paid call; the user of a command may.
  const paid = { ...service.request, signal }
  try {
    const paying = { context: payment, exchange, candidate, payer, leaving: signal }
    await new PaidCall(paying, paid).run(again, startedAt)
  } catch (error) {
    throw aboveMaxUsd(error, payRequest, ceiling) ?? error
  }
}

/** A command has nobody else to wait for: it asks whoever started it, or refuses. */
function approvalOf(
  { approval }: Pick<ResolvedConfig, 'approval'>,
  { approve }: PayRequest,
): Approval | undefined {
  if (!approval) return undefined
  const { aboveMicroUsd } = approval
  return {
    isNeeded: (microUsd) => microUsd === undefined || microUsd > aboveMicroUsd,
    async ask(asked, signal) {
      if (approve) return await approve(asked, signal)
      const price =
        asked.microUsd === undefined ? 'This payment' : `A payment of $${formatUsd(asked.microUsd)}`
      throw new TollwayError({
        code: 'approval_refused',
        message: `${price} needs a person's approval (policy.approve_above_usd is $${formatUsd(aboveMicroUsd)}), and nobody can be asked here. Nothing was paid.`,
        advice: ['Pay it with tollway pay on a terminal, which asks, or with its option --yes.'],
      })
    },
  }
}

/** The refusal of a price above --max-usd, in terms of that option. */
function aboveMaxUsd(error: unknown, { maxMicroUsd }: PayRequest, ceiling: bigint): TollwayError | undefined {
  if (!(error instanceof TollwayError) || error.code !== 'price_above_limit') return undefined
  const asked = parseUsd(error.details['asked_usd'])
  if (maxMicroUsd === undefined || asked === undefined || maxMicroUsd >= ceiling) return undefined
  const { code, details } = error
  const too = asked > ceiling ? `, and policy.max_usd_per_request ($${formatUsd(ceiling)}) too,` : ''
  return new TollwayError({
    code,
    message: `The seller asks $${formatUsd(asked)}, above --max-usd ${formatUsd(maxMicroUsd)}; nothing was paid.`,
    advice: [`Raise --max-usd${too} if you accept this price.`],
    details,
    cause: error,
  })
}

/** Writes one audit record per call, including refusals, as the gateway does. */
async function record(
  { ledger, clock }: BuyingContext,
  payRequest: PayRequest,
  exchange: Exchange,
  error: unknown,
): Promise<void> {
  const { charge } = exchange.payment
  const { reply } = exchange.relay
  const { spent } = replyReceipt(exchange)
  await ledger.note('request', {
    requestId: exchange.id,
    method: payRequest.method,
    endpoint: 'pay',
    caller: exchange.caller.id,
    route: exchange.routing.route ?? 'pay',
    payer: payRequest.payer,
    model: exchange.request.model ?? null,
    status: reply?.status ?? (error instanceof TollwayError ? error.status : 0),
    outcome: outcomeOf(exchange, error),
    code: error instanceof StoppedError ? 'stopped' : (codeOf(error) ?? null),
    charge: charge?.id ?? null,
    spent,
    stream: false,
    truncated: reply !== undefined && error !== undefined,
    seconds: (Math.max(0, clock.now() - exchange.startedAt) / 1000).toFixed(3),
    details: exchange.record.details,
  })
}

function outcomeOf(exchange: Exchange, error: unknown): string {
  if (error === undefined) return exchange.record.outcome ?? 'failed'
  if (replyReceipt(exchange).spent !== 'no') return 'uncertain'
  return error instanceof TollwayError && error.status < 500 ? 'refused' : 'failed'
}

function codeOf(error: unknown): ErrorCode | undefined {
  if (error === undefined) return undefined
  return error instanceof TollwayError ? error.code : 'internal_error'
}

const MODEL = z.looseObject({ model: z.string().min(1) })

/** The model named in a JSON body: sellers price by it. */
function modelOf({ data }: PayRequest): string | undefined {
  try {
    return MODEL.parse(JSON.parse(data?.toString('utf8') ?? '')).model.slice(0, 200)
  } catch {
    return undefined
  }
}

/** The lower of two ceilings. */
function lower(a: bigint | 'none', b: bigint | 'none'): bigint | 'none' {
  if (a === 'none' || b === 'none') return a === 'none' ? b : a
  return a < b ? a : b
}
