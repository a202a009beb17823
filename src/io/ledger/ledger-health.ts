/** Knows whether store and audit file took the last write, so that no seller is asked for what could not be paid. */
import { TollwayError } from '../../core/errors.ts'

/** See the file's head. */
export class LedgerHealth {
  readonly #tryWrite: () => Promise<void>
  /** The last attempt to write failed: asked for again before the next seller is. */
  #failing = false
  #pinging: Promise<void> | undefined

  /** @param tryWrite books what waits and writes; rejects while store or audit file refuse */
  constructor(tryWrite: () => Promise<void>) {
    this.#tryWrite = tryWrite
  }

  /** Remembers that a write was refused. */
  failed(): void {
    this.#failing = true
  }

  /** Rejects while a write is known to be refused and still is; costs nothing otherwise. */
  async refuseWhileFailing(): Promise<void> {
    if (this.#failing) await this.ping()
  }

  /** Tries to write. Calls that come while one is running share it. */
  async ping(): Promise<void> {
    this.#pinging ??= this.#ping().finally(() => {
      this.#pinging = undefined
    })
    await this.#pinging
  }

  /** The same outcome; remembers that the store refused. */
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
