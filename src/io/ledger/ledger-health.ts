/** Remembers whether the last write to store and audit file failed, so that paid routes refuse before asking a seller (rule 9). */
import { TollwayError } from '../../core/errors.ts'

/** Whether the ledger can be written. */
export class LedgerHealth {
  readonly #tryWrite: () => Promise<void>
  /** Whether the last write failed. It is then tried again before the next seller is asked. */
  #failing = false
  #pinging: Promise<void> | undefined
  readonly #refuse: () => void

  /**
   * @param tryWrite writes what is pending, and a test write; rejects while the store or the audit file refuses
   * @param refuse throws while nothing new may be paid although writes work
   */
  constructor(tryWrite: () => Promise<void>, refuse: () => void = () => undefined) {
    this.#tryWrite = tryWrite
    this.#refuse = refuse
  }

  /** Records that a write failed. */
  failed(): void {
    this.#failing = true
  }

  /** Rejects while writes keep failing, or nothing new may be paid. Costs next to nothing while they work. */
  async refuseWhileFailing(): Promise<void> {
    this.#refuse()
    if (this.#failing) await this.ping()
  }

  /** Tries to write. Concurrent calls share one attempt. */
  async ping(): Promise<void> {
    this.#pinging ??= this.#ping().finally(() => {
      this.#pinging = undefined
    })
    await this.#pinging
  }

  /** Passes the outcome of `work` through and records a failure of the store. */
  async noticing<T>(work: Promise<T>): Promise<T> {
    try {
      return await work
    } catch (error) {
      if (error instanceof TollwayError && error.code === 'store_unavailable') this.#failing = true
      throw error
    }
  }

  async #ping(): Promise<void> {
    try {
      await this.#tryWrite()
      this.#failing = false
    } catch (error) {
      this.#failing = true
      throw error
    }
  }
}
