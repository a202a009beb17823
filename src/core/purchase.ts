/** A purchase: where vouchers are bought, by whom they are signed, and on which terms they may be bought again. */

/** What `tollway buy` was told, beside the pool of the same payer and name (core/voucher). */
export interface Purchase {
  /** Name under `payers` of the payer that spends the vouchers. */
  readonly payer: string
  /** Name of the pool within the payer. */
  readonly name: string
  /** The address that is asked for the price, e.g. `https://seller.example.com/v1/chat/completions`. */
  readonly endpoint: string
  /** The seller's name of the model. */
  readonly model: string
  /** Name under `payers` of the payer whose key signs. */
  readonly signedBy: string
  /** How long each voucher is valid, seconds. */
  readonly lifeSeconds: number
  /** Highest price of one, smallest units; `undefined` where only policy limits it. */
  readonly maxPrice: bigint | undefined
  /** Vouchers ordered in all: what is not delivered yet is signed by the next `tollway buy` of the same name. */
  readonly ordered: number
  /** Milliseconds since the epoch. */
  readonly createdAt: number
}

/** A purchase as the store keeps it. */
export interface StoredPurchase extends Purchase {
  /** How many of the ordered vouchers were signed and stored, and not dropped again because the terms changed. */
  readonly delivered: number
}

/** The most vouchers of one order. */
export const MAX_ORDER = 1000

/** How long a voucher is valid when nothing is said: 30 days, seconds. */
export const DEFAULT_LIFE_SECONDS = 30 * 86_400
