/** The policy that the gate checks offers against. */
import type { Asset } from '../money/assets.ts'
import type { Offer } from '../x402/x402.ts'

/** The rules that an offer must meet. */
export interface GatePolicy {
  /** CAIP-2 ids of the networks that the payer may pay on. */
  readonly networks: readonly string[]
  readonly assets: readonly Asset[]
  /** Origins that may be paid, such as `https://seller.example.com`. */
  readonly origins: ReadonlySet<string>
  /** The ceiling per request, micro-USD, inclusive; `undefined` for none. */
  readonly maxMicroUsd: bigint | undefined
  /** The longest validity window that is signed, seconds. */
  readonly maxValiditySeconds: number
  /** The payees allowed for this seller, network and asset (EVM: in lower case); `undefined` when every one is. */
  payees(network: string, asset: string): readonly string[] | undefined
  /** The api_base whose pins `payees` gives; `undefined` when the configuration lists them. For the advice of a refusal. */
  readonly pinnedFor?: string | undefined
  /** Whether `payees` is what the route itself names. For the advice of a refusal. */
  readonly isRoutesOwn?: boolean | undefined
  /** The paying wallet, where the payer has one: it must never be paid, nor pay the network's fee on Solana. */
  readonly self?: string | undefined
  /** Whether the payer can make this kind of payment. */
  supports(offer: Offer): boolean
  /** The limit on the price of this network and asset; `undefined` for none. */
  price?: ((network: string, asset: string) => PriceLimit | undefined) | undefined
  /**
   * Which of several acceptable offers is paid: the cheapest in USD (default; among equal prices the seller's first), or
   * the seller's first.
   */
  readonly order?: OfferOrder | undefined
  /** Added to the validity that an offer asks for, within the policy's, because the seller's clock is ahead of ours; seconds. */
  readonly clockBehindSeconds?: number | undefined
  /** For payments signed in advance: their validity in seconds. It replaces what the offer asks for. */
  readonly lifeSeconds?: number | undefined
}

/** See {@link GatePolicy.order}. */
export type OfferOrder = 'cheapest' | 'seller'

/** How much a seller may ask, derived from its pinned price; smallest units. */
export interface PriceLimit {
  readonly pinned: bigint
  /** Inclusive. */
  readonly highest: bigint
  /** Whether nothing is pinned for this model and token yet, so that the highest of the seller's other pinned prices counts. */
  readonly isBorrowed?: boolean | undefined
  /** Arguments of `tollway sellers trust` that name this price, for the message. */
  readonly target: string
}
