/** Delivers messages to an operator's webhook: signed, repeated until it takes them, bounded, and never waited for. */
import type { Clock } from '../../core/clock.ts'
import type { Timers } from '../../core/timers.ts'
import { webhookHeaders } from './sign-webhook.ts'

/** Waits before the second and every further attempt, milliseconds: about 20 minutes together. */
const WAITS_MS: readonly number[] = [1_000, 5_000, 15_000, 60_000, 120_000, 300_000, 600_000]

/** Longest wait for an answer, milliseconds. */
const TIMEOUT_MS = 10_000

/** How long an attempt may take on when the gateway closes, milliseconds. */
const CLOSING_MS = 2_000

/** The most messages that wait for their delivery; a further one is dropped. */
const MAX_WAITING = 100

/** Where messages go. */
export interface WebhookTarget {
  /** May hold a secret: never shown. */
  readonly url: string
  readonly secret: string
}

/** A message. */
export interface WebhookMessage {
  /** Equal for a message that says the same: a receiver may ignore the second. */
  readonly id: string
  readonly body: string
  /** Attempts that were made before, by a process that ended. */
  readonly attempts?: number | undefined
  /** Called before each attempt, and waited for: a message that is kept is sent only so often, whatever ends the process. */
  readonly attempting?: (() => Promise<void>) | undefined
}

/** How the delivery of a message ended. */
export type WebhookResult =
  | { readonly result: 'delivered'; readonly attempts: number }
  /** `why`: the status or the system's code, never the address. */
  | { readonly result: 'failed'; readonly attempts: number; readonly why: string }
  /** The gateway was closed before: a later one may go on. */
  | { readonly result: 'kept'; readonly attempts: number; readonly why: string }
  | { readonly result: 'dropped' }

/** What a {@link Webhook} works with. */
export interface WebhookContext {
  /** Read for every attempt: a repeat goes where the configuration in force says. `undefined`: no longer anywhere. */
  readonly target: () => WebhookTarget | undefined
  readonly clock: Clock
  readonly timers: Timers
}

/** The webhook of one gateway. */
export class Webhook {
  readonly #context: WebhookContext
  readonly #waiting = new Set<() => void>()
  readonly #stop = new AbortController()
  #isClosing = false
  #count = 0

  constructor(context: WebhookContext) {
    this.#context = context
  }

  /** Delivers a message in the background. Never rejects. @returns how it ended */
  async send(message: WebhookMessage): Promise<WebhookResult> {
    if (this.#count >= MAX_WAITING) return { result: 'dropped' }
    this.#count += 1
    try {
      return await this.#deliver(message)
    } finally {
      this.#count -= 1
    }
  }

  /** Begins no further attempt, and ends those under way soon; what was not delivered then is `kept`. */
  close(): void {
    this.#isClosing = true
    for (const wake of this.#waiting) wake()
    if (this.#count > 0) this.#context.timers.after(CLOSING_MS, () => this.#stop.abort())
  }

  async #deliver(message: WebhookMessage): Promise<WebhookResult> {
    const before = message.attempts ?? 0
    if (before > WAITS_MS.length) return { result: 'failed', attempts: before, why: 'the process ended' }
    for (let attempts = before + 1; ; attempts += 1) {
      await message.attempting?.()
      const why = await this.#attempt(message)
      if (why === undefined) return { result: 'delivered', attempts }
      const wait = WAITS_MS[attempts - 1]
      if (wait === undefined) return { result: 'failed', attempts, why }
      if (!this.#isClosing) await this.#pause(wait)
      if (this.#isClosing) return { result: 'kept', attempts, why }
    }
  }

  /** @returns why it was not taken */
  async #attempt({ id, body }: WebhookMessage): Promise<string | undefined> {
    const target = this.#context.target()
    if (!target) return 'notify was removed'
    try {
      const answer = await fetch(target.url, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'user-agent': 'tollway',
          ...webhookHeaders(id, this.#context.clock.now(), body, target.secret),
        },
        body,
        // The signature is for this address alone.
        redirect: 'manual',
        signal: AbortSignal.any([AbortSignal.timeout(TIMEOUT_MS), this.#stop.signal]),
      })
      await answer.body?.cancel()
      return answer.ok ? undefined : `status ${answer.status}`
    } catch (error) {
      return reasonOf(error)
    }
  }

  async #pause(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        cancel()
        this.#waiting.delete(wake)
        resolve()
      }
      const cancel = this.#context.timers.after(ms, wake)
      this.#waiting.add(wake)
    })
  }
}

/** A short reason. The message of a fetch error may hold the address. */
function reasonOf(error: unknown): string {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause.name === 'TimeoutError') return 'no answer in time'
    if ('code' in cause && typeof cause.code === 'string') return cause.code
  }
  return 'not reached'
}
