/** Calls hooks so that none of them can change a payment, lose an answer or hold one up beyond a bound. */
import type { Clock } from '../clock.ts'
import { TollwayError } from '../errors.ts'
import type { Log } from '../log.ts'
import { LogLimit } from '../log-limit.ts'
import { printable } from '../printable.ts'
import { property } from '../property.ts'
import type { HookResult, Observer, TollwayEvent } from '../telemetry/events.ts'
import type { Timers } from '../timers.ts'
import { endedRequest, sentPayment } from './hook-facts.ts'
import type { HookPoint, Hooks, PaymentToSign } from './hooks.ts'

/** How long `beforeSign` may take by default, milliseconds. */
export const HOOK_TIMEOUT_MS = 5_000

/** After this time a hook that runs in the background is reported as hanging, milliseconds. */
const LONG_MS = 30_000
const MAX_REASON = 200

/** What a {@link HookRunner} works with. */
export interface HookContext {
  readonly clock: Clock
  readonly timers: Timers
  /** Receives what hooks throw, once a minute for each of them. */
  readonly log: Log
  /** Receive an event per call. */
  readonly observers: readonly Observer[]
  /** The hooks are told of charges and requests by the parts that own ledger and audit file: no middleware adds itself. */
  readonly isFed?: boolean | undefined
}

/** The hooks of one application. */
export class HookRunner {
  readonly hooks: Hooks
  /** See {@link HookContext.isFed}. */
  readonly isFed: boolean
  readonly #context: HookContext
  readonly #observers: Set<Observer>
  readonly #failures: LogLimit

  constructor(hooks: Hooks, context: HookContext) {
    this.hooks = hooks
    this.isFed = context.isFed === true
    this.#context = context
    this.#observers = new Set(context.observers)
    this.#failures = new LogLimit(context.clock)
  }

  /** Adds observers that are told of every call, each once. */
  tell(observers: readonly Observer[]): void {
    for (const observer of observers) this.#observers.add(observer)
  }

  /**
   * Asks `beforeSign`, at most for its time.
   * @param signal aborted when no client waits for the payment any more
   * @throws TollwayError `hook_refused`, `hook_unavailable`; the signal's reason
   */
  async beforeSign(payment: PaymentToSign, signal: AbortSignal): Promise<void> {
    const { beforeSign, timeoutMs = HOOK_TIMEOUT_MS } = this.hooks
    if (!beforeSign) return
    signal.throwIfAborted()
    const stop = new AbortController()
    let answer: unknown
    try {
      answer = await this.#bounded(async () => await beforeSign(payment, stop.signal), timeoutMs, signal)
    } catch (cause) {
      stop.abort(cause)
      if (signal.aborted) throw signal.reason
      throw this.#unavailable(cause)
    }
    const refused = property(answer, 'refuse')
    if (answer === undefined) return this.#count('beforeSign', 'done')
    if (typeof refused === 'string') throw this.#refused(refused, property(answer, 'message'))
    throw this.#unavailable(new TypeError('it returned neither nothing nor { refuse: reason }'))
  }

  /** Give it to the ledger: calls `afterSettle` and `onUncertain`. */
  readonly charges: Observer = (event) => {
    if (event.type !== 'charge' || event.charge.state === event.from) return
    const { afterSettle, onUncertain } = this.hooks
    const { state } = event.charge
    if (state === 'settled' && afterSettle) this.#fire('afterSettle', afterSettle, sentPayment(event.charge))
    if (state === 'uncertain' && onUncertain)
      this.#fire('onUncertain', onUncertain, sentPayment(event.charge))
  }

  /** Give it to what reports ended requests: calls `onRequest` and `onRefused`. */
  readonly requests: Observer = (event) => {
    if (event.type !== 'request') return
    const { onRequest, onRefused } = this.hooks
    const summary = endedRequest(event.summary)
    if (onRefused && summary.outcome === 'refused') this.#fire('onRefused', onRefused, summary)
    if (onRequest) this.#fire('onRequest', onRequest, summary)
  }

  /** Calls a hook in the background, after the current turn. */
  #fire<T>(hook: HookPoint, call: (facts: T) => unknown, facts: T): void {
    this.#bounded(async () => await call(facts), LONG_MS).then(
      () => this.#count(hook, 'done'),
      (cause: unknown) => this.#failed(hook, cause),
    )
  }

  /** Waits for a hook until its time limit or until the request is aborted. A later result is ignored. */
  async #bounded(call: () => Promise<unknown>, ms: number, signal?: AbortSignal): Promise<unknown> {
    let end = (): void => undefined
    const late = new Promise<never>((_resolve, reject) => {
      const onAbort = (): void => reject(new Error('the request was aborted'))
      const cancel = this.#context.timers.after(ms, () => reject(new HookTimeoutError(ms)))
      signal?.addEventListener('abort', onAbort, { once: true })
      end = () => {
        cancel()
        signal?.removeEventListener('abort', onAbort)
      }
    })
    const answered = Promise.resolve().then(call)
    answered.catch(() => undefined)
    try {
      return await Promise.race([answered, late])
    } finally {
      end()
    }
  }

  #refused(reason: string, message: unknown): TollwayError {
    const isName = /^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$/.test(reason)
    this.#count('beforeSign', 'refused', isName ? reason : 'other')
    const told = printable(typeof message === 'string' && message !== '' ? message : reason)
    return new TollwayError({
      code: 'hook_refused',
      message: `The application refused this payment (${printable(reason, MAX_REASON)})${told === reason ? '' : `: ${told}`}. No payment was sent.`,
      advice: ['Ask whoever runs this gateway, if it should be allowed.'],
      details: { hook: 'beforeSign', hook_reason: printable(reason, MAX_REASON) },
    })
  }

  #unavailable(cause: unknown): TollwayError {
    const result = this.#failed('beforeSign', cause)
    const why = result === 'timeout' ? 'did not answer in time' : 'failed'
    return new TollwayError({
      code: 'hook_unavailable',
      message: `The application's own check of payments (beforeSign) ${why}. No payment was sent.`,
      advice: ['Send the request again later; the log has the error.'],
      details: { hook: 'beforeSign', hook_reason: result },
      cause,
    })
  }

  #failed(hook: HookPoint, cause: unknown): 'failed' | 'timeout' {
    const result = cause instanceof HookTimeoutError ? 'timeout' : 'failed'
    this.#count(hook, result)
    this.#failures.pass(`${hook} ${result}`, (more) =>
      this.#context.log.error({ err: cause, hook, ...more }, `the hook ${hook} failed`),
    )
    return result
  }

  #count(hook: HookPoint, result: HookResult, reason?: string): void {
    const event: TollwayEvent = { type: 'hook', hook, result, reason }
    for (const observer of this.#observers) observer(event)
  }
}

class HookTimeoutError extends Error {
  override readonly name = 'HookTimeoutError'

  constructor(ms: number) {
    super(`it took longer than ${ms} ms`)
  }
}
