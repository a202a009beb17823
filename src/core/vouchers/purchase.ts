/** A purchase: where vouchers are bought, by whom they are signed, and on which terms they may be bought again. */

/** The settings of `tollway buy`, kept with the pool of the same payer and name. */
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
  /** The newest order; `undefined` in a ledger of a version that did not keep it. */
  readonly order?: PurchaseOrder | undefined
}

/** What was said when vouchers were ordered. It holds for whoever signs for the purchase later. */
export interface PurchaseOrder {
  /** Milliseconds since the epoch; together with the name what its hand-over is known by in the charges. */
  readonly at: number
  /** How many, as it was said; `undefined` where only a budget was. */
  readonly count: number | undefined
  /** What they may cost, smallest units, as it was said. */
  readonly budget: bigint | undefined
  /** How many that came to. */
  readonly size: number
  /** What the seller asked for one then, smallest units. */
  readonly price: bigint
  /** What the vouchers of all orders of the purchase may cost together, smallest units; `undefined` for no limit. */
  readonly ceiling: bigint | undefined
  /** Whether they are to be handed to another program and were not, or not all. */
  readonly handOver: boolean
}

/** A purchase as the store keeps it. */
export interface StoredPurchase extends Purchase {
  /** How many of the ordered vouchers were signed and stored, and not dropped again because the terms changed. */
  readonly delivered: number
  /** What those cost, smallest units. */
  readonly cost: bigint
}

/** The most vouchers of one order. */
export const MAX_ORDER = 1000

/** How long a voucher is valid when nothing is said: 30 days, seconds. */
export const DEFAULT_LIFE_SECONDS = 30 * 86_400
