/**
 * A payer that is another program and insists on making the call itself: it is made to call the shim, and what it signs there
 * becomes an ordinary authorization. Streaming, receipts and accounting then work as for every other payer.
 */
import { paymentExtensions } from '../../src/core/x402/extensions.ts'
import type { Clock } from '../../src/core/clock.ts'
import { TollwayError } from '../../src/core/errors.ts'
import {
  externalPayload,
  isExternallyPayable,
  type ExternalFault,
  type ExternalPayment,
} from '../../src/core/payer/external-payment.ts'
import { permitExtensions } from '../../src/core/payer/external-permit.ts'
import type { Authorization, ChargeOutcome, Provider } from '../../src/core/payer/provider.ts'
import { Quote } from '../../src/core/policy/gate.ts'
import { Semaphore } from '../../src/core/semaphore.ts'
import { systemTimers, type Timers } from '../../src/core/timers.ts'
import { furtherNames } from '../../src/core/x402/payment-headers.ts'
import { encodePayment } from '../../src/core/x402/x402.ts'
import { ShimFault, startShim, type ShimCall } from '../../src/io/external-payers/shim.ts'

/** Makes the external program call the shim. */
export interface Driver {
  /**
   * Makes the program call the shim, and resolves when the program has finished with the call, whatever the outcome. If the program
   * ends without paying, it rejects with the reason, in a message that the client may see.
   * @param signal aborted when the payment is no longer wanted
   */
  pay(call: ShimCall, quote: Quote, signal: AbortSignal): Promise<void>
  /**
   * Whether the program could be asked to pay now, as far as that shows without a payment.
   * @throws TollwayError `signer_unavailable`
   */
  check(): Promise<void>
  /** Ends whatever it started. */
  close(): Promise<void>
}

/** Options of {@link externalPayer}. */
export interface ExternalPayerContext {
  readonly name: string
  /** The program's display name, for messages. */
  readonly program: string
  /** CAIP-2 ids. */
  readonly networks: readonly string[]
  /** How it transfers tokens: `eip3009`, `permit2`. */
  readonly methods: readonly string[]
  /** The most payments in flight. */
  readonly concurrency: number
  /** Longest wait for a slot and for the program to sign, milliseconds. Must be below the 30 s that a reservation lasts. */
  readonly timeoutMs: number
  /** The longest remaining validity of its payments, seconds; default the quote's. Pre-signed payments need more. */
  readonly maxValiditySeconds?: number | undefined
  /** Where the shim listens; default a free port of 127.0.0.1. */
  readonly shim?: { readonly host: string; readonly port: number } | undefined
  readonly clock: Clock
  readonly timers?: Timers | undefined
  /** Creates the driver once the shim listens. */
  driver(shimUrl: string): Driver
}

/** A payment that the program was asked to make, until its outcome is known. */
interface Open {
  readonly call: ShimCall
  readonly stop: AbortController
  readonly driving: Promise<void>
}

/** How long the program may take to read its response, milliseconds. */
const LINGER_MS = 5_000

/** How often a payment is asked for when a pool offers one that was already used. */
const MAX_ATTEMPTS = 3

/**
 * Opens the payer.
 * @throws ConfigError when the shim's address is in use
 */
export async function externalPayer(context: ExternalPayerContext): Promise<Provider> {
  const shim = await startShim({ ...context.shim, clock: context.clock })
  const driver = context.driver(shim.url)
  const slots = new Semaphore(context.concurrency)
  const timers = context.timers ?? systemTimers
  const open = new Map<string, Set<Open>>()
  const ending = new Set<Promise<void>>()
  const closing = new AbortController()
  let closed: Promise<void> | undefined

  function supports(offer: Quote['offer']): boolean {
    return isExternallyPayable(offer, context.methods)
  }

  async function attempt(
    quote: Quote,
    late: Promise<never>,
    left: Promise<never>,
  ): Promise<{ payment: ExternalPayment; made: Open }> {
    const call = shim.open(quote, context.maxValiditySeconds)
    const stop = new AbortController()
    const driving = driver.pay(call, quote, stop.signal)
    const made: Open = { call, stop, driving: driving.catch(() => {}) }
    // Rejects when the program ended without a payment and without a reason.
    const withoutPayment = driving.then((): never => {
      throw payerUnavailable(context.program, 'it ended without paying')
    })
    withoutPayment.catch(() => {})
    try {
      const payment = await Promise.race([call.payment, withoutPayment, late, left])
      return { payment, made }
    } catch (error) {
      end(made, undefined)
      throw error
    }
  }

  /** Reports the outcome to the program. Its slot stays taken until the program has finished with the call. */
  function end(made: Open, outcome: ChargeOutcome | undefined): void {
    made.call.end(outcome)
    const stop = (): void => made.stop.abort(new Error('the payment is no longer wanted'))
    if (outcome === undefined) return stop()
    // A program that never finishes reading its response would keep its slot forever.
    const cancel = timers.after(LINGER_MS, stop)
    void made.driving.then(cancel)
  }

  async function authorize(quote: Quote, charge: string, signal: AbortSignal): Promise<Authorization> {
    if (!Quote.isVetted(quote)) {
      throw new TypeError(
        `${context.name} was given a quote that did not pass the gate, so nothing was signed. Pass on the quote that paymentInterceptor() hands to authorize().`,
      )
    }
    signal.throwIfAborted()
    if (closing.signal.aborted) throw payerUnavailable(context.program, 'the payer is closed')
    if (!context.networks.includes(quote.asset.network) || !supports(quote.offer)) {
      throw unpayable(quote, context.program)
    }
    const late = deadline(timers, context.timeoutMs, context.program)
    const left = whenAborted(AbortSignal.any([signal, closing.signal]))
    try {
      return await place(quote, charge, late, left.promise, signal)
    } finally {
      late.cancel()
      left.cancel()
    }
  }

  async function place(
    quote: Quote,
    charge: string,
    late: Deadline,
    left: Promise<never>,
    signal: AbortSignal,
  ): Promise<Authorization> {
    const free = await slots.take(AbortSignal.any([signal, closing.signal, late.signal]))
    for (let count = 1; ; count += 1) {
      try {
        const { payment, made } = await attempt(quote, late.promise, left)
        const ofCharge = open.get(charge) ?? new Set()
        open.set(charge, ofCharge.add(made))
        const done = made.driving.then(free).finally(() => ending.delete(done))
        ending.add(done)
        return authorizationOf(quote, charge, payment)
      } catch (error) {
        const isUsed = error instanceof ShimFault && error.fault === 'nonce'
        if (isUsed && count < MAX_ATTEMPTS) continue
        free()
        throw error instanceof ShimFault ? refused(context.program, error.fault) : error
      }
    }
  }

  return {
    name: context.name,
    networks: context.networks,
    mayOfferUsed: true,
    supports,
    authorize,
    async check() {
      if (closing.signal.aborted) throw payerUnavailable(context.program, 'the payer is closed')
      await driver.check()
    },
    closed(charge, outcome) {
      for (const made of open.get(charge) ?? []) end(made, outcome)
      open.delete(charge)
      return Promise.resolve()
    },
    close() {
      closed ??= (async () => {
        closing.abort(payerUnavailable(context.program, 'the payer is closed'))
        // Open payments may already have been sent: the program must not use them again.
        for (const made of [...open.values()].flatMap((set) => [...set])) {
          end(made, { state: 'uncertain', transaction: undefined })
        }
        open.clear()
        // Calls in progress first read their outcome; then the shim is closed.
        await Promise.all(ending)
        await shim.close()
        await driver.close()
      })()
      return closed
    },
  }
}

function authorizationOf(quote: Quote, charge: string, payment: ExternalPayment): Authorization {
  const header = encodePayment(
    quote.offer,
    quote.resource,
    externalPayload(quote, payment),
    paymentExtensions(quote.extensions, charge, permitExtensions(quote, payment.permit)),
  )
  return { kind: 'authorization', header, ...furtherNames(quote, header), record: payment.record }
}

interface Deadline {
  readonly promise: Promise<never>
  readonly signal: AbortSignal
  cancel(): void
}

function deadline(timers: Timers, ms: number, program: string): Deadline {
  const late = new AbortController()
  const { promise } = whenAborted(late.signal)
  const cancel = timers.after(ms, () =>
    late.abort(payerUnavailable(program, `it did not pay within ${ms} ms`)),
  )
  return { promise, signal: late.signal, cancel }
}

function whenAborted(signal: AbortSignal): { readonly promise: Promise<never>; cancel(): void } {
  const { promise, reject } = Promise.withResolvers<never>()
  promise.catch(() => {})
  const leave = (): void => {
    const reason: unknown = signal.reason
    reject(reason instanceof Error ? reason : new Error('left', { cause: reason }))
  }
  signal.addEventListener('abort', leave, { once: true })
  if (signal.aborted) leave()
  return { promise, cancel: () => signal.removeEventListener('abort', leave) }
}

const FAULTS: Readonly<Record<ExternalFault, string>> = {
  unreadable: 'sent a payment that cannot be read',
  terms: 'accepted terms other than the vetted ones',
  payee: 'signed a payment to another payee',
  amount: 'signed another amount',
  validity: 'signed a payment that is not valid now, or for too long',
  domain: 'pays in a token whose EIP-712 domain is not in the asset table',
  signature: 'sent a signature that is not by the paying address',
  nonce: 'offered only payments that had already been used',
}

function refused(program: string, fault: ExternalFault): TollwayError {
  return new TollwayError({
    code: 'signer_unavailable',
    message: `${program} ${FAULTS[fault]}; nothing was sent.`,
    advice: [
      "A payment is used only if it matches the vetted offer exactly: check the program's wallet and configuration.",
    ],
    details: { payer_fault: fault },
  })
}

/** The error for a program that did not pay, for a reason that may be temporary. */
export function payerUnavailable(program: string, why: string, cause?: unknown): TollwayError {
  return new TollwayError({
    code: 'signer_unavailable',
    message: `${program} did not pay: ${why}; nothing was sent.`,
    advice: ['Check that the program is installed, configured and running, then send the request again.'],
    details: { payer_fault: 'no_payment' },
    cause,
  })
}

function unpayable(quote: Quote, program: string): TollwayError {
  return new TollwayError({
    code: 'no_supported_offer',
    message: `${program} cannot pay ${quote.asset.symbol} on ${quote.asset.network}; nothing was sent. It pays on its own networks, in tokens whose EIP-712 domain is in the asset table.`,
    advice: ["Add the network to the payer's networks, or the token's domain to the asset table."],
  })
}
