/** What is remembered of sellers: pinned payees (rule 6) and the prices that were paid. */

/** A payee pinned for a seller. */
export interface Pin {
  readonly apiBase: string
  /** CAIP-2. */
  readonly network: string
  /** Contract address, lower case. */
  readonly asset: string
  /** As payees are compared: lower case on EVM networks. `any` (core/policy/payees) for every payee. */
  readonly payTo: string
  /** Milliseconds since the epoch. */
  readonly pinnedAt: number
}

/** What identifies a price. */
export interface PriceKey {
  readonly apiBase: string
  /** Without `/v1`, e.g. `/chat/completions`. */
  readonly endpoint: string
  /** The seller's name of the model. */
  readonly model: string
  /** CAIP-2. */
  readonly network: string
  /** Contract address, lower case. */
  readonly asset: string
}

/** Prices that were paid, smallest units. */
export interface KnownPrice extends PriceKey {
  /** The first price paid, or trusted before any payment. */
  readonly first: bigint
  /** The price that quotes are compared with: the lowest price paid since it was last trusted. */
  readonly pinned: bigint
  /** The newest price paid; until then the trusted one. */
  readonly last: bigint
  /** Milliseconds since the epoch. */
  readonly updatedAt: number
}

/** The highest pinned price in one token. */
export interface PriceRange {
  /** CAIP-2. */
  readonly network: string
  /** Contract address, lower case. */
  readonly asset: string
  /** Smallest units. */
  readonly highest: bigint
}

/** Which prices a command changes; what is left out matches all. */
export interface SellerFilter {
  readonly apiBase: string
  readonly endpoint?: string | undefined
  readonly model?: string | undefined
  readonly network?: string | undefined
  readonly asset?: string | undefined
}

/** The sellers of a store. Every method is one transaction. */
export interface SellerStore {
  /** The pins of one seller or of all. */
  pins(apiBase?: string): Promise<Pin[]>
  /** Pins a payee where none is pinned yet; returns whether it did. */
  notePin(pin: Pin): Promise<boolean>
  /** Sets a pin. Replaces another payee. */
  trustPin(pin: Pin): Promise<void>
  /** Removes the pins and prices of a seller; returns how many of each. */
  forgetSeller(apiBase: string): Promise<{ readonly pins: number; readonly prices: number }>
  /** One price, or `undefined` when nothing was paid for it yet. */
  price(key: PriceKey): Promise<KnownPrice | undefined>
  /** The prices of one seller or of all. */
  prices(apiBase?: string): Promise<KnownPrice[]>
  /** The highest pinned price of a seller's path in each token, over all models or of one. */
  priceRanges(
    of: Pick<PriceKey, 'apiBase' | 'endpoint'> & { readonly model?: string | undefined },
  ): Promise<PriceRange[]>
  /**
   * Records a price that was paid. It becomes the last price, and also the pinned one when it is lower or the first.
   * @param amount smallest units
   * @param at milliseconds since the epoch
   */
  notePrice(key: PriceKey, amount: bigint, at: number): Promise<void>
  /** Pins a price for every known price that matches; returns those prices as they are now. */
  trustPrice(filter: SellerFilter, amount: bigint, at: number): Promise<KnownPrice[]>
}
