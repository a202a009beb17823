/** A purchase: where vouchers are bought, which payer signs them, and the terms for buying more. */

/** The settings of `tollway buy`, kept with the pool of the same payer and name. */
export interface Purchase {
  /** Name under `payers` of the payer that spends the vouchers. */
  readonly payer: string
  /** Name of the pool within the payer. */
  readonly name: string
  /** The URL that quotes the price, e.g. `https://seller.example.com/v1/chat/completions`. */
  readonly endpoint: string
  /** The seller's name for the model. */
  readonly model: string
  /** Name under `payers` of the payer whose key signs. */
  readonly signedBy: string
  /** How long each voucher is valid, seconds. */
  readonly lifeSeconds: number
  /** Highest price of one voucher, smallest units; `undefined` if only policy limits it. */
  readonly maxPrice: bigint | undefined
  /** Total number of vouchers ordered. Those not yet delivered are signed by the next `tollway buy` with the same name. */
  readonly ordered: number
  /** Milliseconds since the epoch. */
  readonly createdAt: number
  /** The latest order; `undefined` in a ledger written by a version that did not keep it. */
  readonly order?: PurchaseOrder | undefined
}

/** The terms of an order. They also bind later runs that sign the vouchers still outstanding. */
export interface PurchaseOrder {
  /** Milliseconds since the epoch. With the purchase's name it identifies the charges of an export of this order. */
  readonly at: number
  /** The requested number; `undefined` if only a budget was given. */
  readonly count: number | undefined
  /** The requested budget, smallest units. */
  readonly budget: bigint | undefined
  /** The resulting number of vouchers. */
  readonly size: number
  /** The seller's price of one voucher at the time of the order, smallest units. */
  readonly price: bigint
  /** The most that the vouchers of all orders of the purchase may cost together, smallest units; `undefined` for no limit. */
  readonly ceiling: bigint | undefined
  /** Whether vouchers of the order still have to be exported to another program. */
  readonly handOver: boolean
}

/** A purchase as the store keeps it. */
export interface StoredPurchase extends Purchase {
  /** How many of the ordered vouchers were signed and stored, without those dropped because the terms changed. */
  readonly delivered: number
  /** The cost of the delivered vouchers, smallest units. */
  readonly cost: bigint
}

/** The most vouchers of one order. */
export const MAX_ORDER = 1000

/** The default validity of a voucher: 30 days, in seconds. */
export const DEFAULT_LIFE_SECONDS = 30 * 86_400
