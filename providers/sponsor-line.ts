/**
 * Payments that bring their allowance along go one after the other for each token: each sets the allowance to its own amount
 * and uses up the token's next EIP-2612 nonce, so two on their way at once would undo each other.
 */
export class SponsorLine {
  readonly #last = new Map<string, Promise<void>>()
  readonly #leave = new Map<string, () => void>()

  /**
   * Waits for its turn.
   * @throws the signal's reason when it is aborted first
   */
  async enter(asset: string, charge: string, signal: AbortSignal): Promise<void> {
    const before = this.#last.get(asset) ?? Promise.resolve()
    const { promise, resolve } = Promise.withResolvers<void>()
    // Whoever gives up still lets the next one in only after those before it.
    const turn = before.then(() => promise)
    this.#last.set(asset, turn)
    const { promise: gone, reject } = Promise.withResolvers<never>()
    const give = (): void => reject(signal.reason)
    signal.addEventListener('abort', give)
    try {
      signal.throwIfAborted()
      await Promise.race([before, gone])
      this.#leave.set(charge, resolve)
    } catch (error) {
      resolve()
      throw error
    } finally {
      signal.removeEventListener('abort', give)
    }
  }

  /** Lets the next one in; harmless for a charge that is not in the line. */
  leave(charge: string): void {
    this.#leave.get(charge)?.()
    this.#leave.delete(charge)
  }
}
