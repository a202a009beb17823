/**
 * What makes the bytes of two payments differ that are alike in everything else: on Solana the same bytes are the same payment,
 * which is taken once and serves one of the two requests (rule 5).
 */
import type { RandomBytes } from '../../src/core/ids.ts'
import { DEFAULT_UNIT_LIMIT, DEFAULT_UNIT_PRICE, type SolanaPayment } from '../../src/core/solana/payment.ts'

/** The length of a memo of ours before it is hex, as the official client makes it. */
const MEMO_BYTES = 16
/** A seller's memo leaves the compute budget: a million pairs of limit and price, for 0.00002 lamports at most. */
const STEPS = 1000

/** The fields of a payment that are chosen for it alone. */
export type UniqueTerms = Pick<SolanaPayment, 'memo' | 'unitLimit' | 'unitPrice'>

/** Chooses the fields that make each payment unique; one per payer. */
export class UniquePayments {
  readonly #random: RandomBytes
  #next: number

  /** @throws TypeError when the source of randomness gives too little */
  constructor(random: RandomBytes) {
    this.#random = random
    // Begins anywhere, so that two processes with one key do not go the same way.
    this.#next = Buffer.from(this.#bytes(4)).readUInt32LE() % (STEPS * STEPS)
  }

  /** @param memo the seller's, which cannot be changed; without one the memo is random */
  next(memo: string | undefined): UniqueTerms {
    if (memo === undefined) {
      const own = Buffer.from(this.#bytes(MEMO_BYTES)).toString('hex')
      return { memo: own, unitLimit: DEFAULT_UNIT_LIMIT, unitPrice: DEFAULT_UNIT_PRICE }
    }
    const step = this.#next
    this.#next = (step + 1) % (STEPS * STEPS)
    return {
      memo,
      unitLimit: DEFAULT_UNIT_LIMIT + (step % STEPS),
      unitPrice: DEFAULT_UNIT_PRICE + Math.floor(step / STEPS),
    }
  }

  #bytes(count: number): Uint8Array {
    const bytes = this.#random(count)
    if (bytes.length !== count) throw new TypeError(`random(${count}) gave ${bytes.length} bytes.`)
    return bytes
  }
}
