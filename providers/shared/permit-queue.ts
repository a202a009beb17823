/**
 * A queue per token for payments that carry their own allowance. Each sets the allowance to its own amount and uses the token's
 * next EIP-2612 nonce, so two in flight would invalidate each other.
 */
import { TollwayError } from '../../src/core/errors.ts'
import { systemTimers, type Timers } from '../../src/core/timers.ts'

/** The longest wait, milliseconds. A reservation lasts 30 s, so a later signature would be useless. */
const WAIT_MS = 20_000

/** One queue per token. */
export class PermitQueue {
  readonly #timers: Timers
  readonly #last = new Map<string, Promise<void>>()
  readonly #leave = new Map<string, () => void>()

  constructor(timers: Timers = systemTimers) {
    this.#timers = timers
  }

  /**
   * Waits for the charge's turn, at most 20 seconds.
   * @throws the signal's reason when it is aborted first, TollwayError `signer_unavailable` when its turn does not come
   */
  async enter(asset: string, charge: string, signal: AbortSignal): Promise<void> {
    const before = this.#last.get(asset) ?? Promise.resolve()
    const { promise, resolve } = Promise.withResolvers<void>()
    // A charge that gives up still lets the next one in only after those before it.
    const turn = before.then(() => promise)
    this.#last.set(asset, turn)
    const { promise: gone, reject } = Promise.withResolvers<never>()
    const give = (): void => reject(signal.reason)
    const cancel = this.#timers.after(WAIT_MS, () => reject(tooLong()))
    signal.addEventListener('abort', give)
    try {
      signal.throwIfAborted()
      await Promise.race([before, gone])
      this.#leave.set(charge, resolve)
    } catch (error) {
      resolve()
      throw error
    } finally {
      cancel()
      signal.removeEventListener('abort', give)
    }
  }

  /** Lets the next charge in. Does nothing for a charge that is not in the queue. */
  leave(charge: string): void {
    this.#leave.get(charge)?.()
    this.#leave.delete(charge)
  }
}

function tooLong(): TollwayError {
  return new TollwayError({
    code: 'signer_unavailable',
    message:
      'Another payment that carries its own allowance is still in flight, and such payments are sent one at a time; nothing was paid.',
    advice: ["Approve Permit2 for the wallet's token once; payments then no longer wait for each other."],
    details: { wait_ms: WAIT_MS },
  })
}
