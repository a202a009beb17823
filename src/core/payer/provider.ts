/** The contract of a payer. Implementations live in `providers/`; middlewares know only this. */
import type { AuthorizationRecord, ChargeState } from '../charge/charge.ts'
import type { Quote } from '../policy/gate.ts'
import type { Offer } from '../x402/x402.ts'

/** A payment ready to be sent in a header. Holding it is holding money: never log it. */
export interface Authorization {
  readonly kind: 'authorization'
  /** Lower-case header name and its value. */
  readonly header: { readonly name: string; readonly value: string }
  /** Further header names to send the same value under, lower case: for sellers that read an older name. */
  readonly alsoAs?: readonly string[] | undefined
  /** What the store records before the header is sent (rule 3). */
  readonly record: AuthorizationRecord
}

/** A payment signed ahead: what {@link Authorization} is made of, before it is known for which request. Holding it is holding money. */
export interface Presigned {
  readonly record: AuthorizationRecord
  /** The scheme's payload, e.g. `{ signature, authorization }`. */
  readonly payload: Readonly<Record<string, unknown>>
}

/** How a charge ended, as reported to the payer that authorized it. */
export interface ChargeOutcome {
  readonly state: Extract<ChargeState, 'settled' | 'uncertain' | 'released'>
  readonly transaction: string | undefined
}

/** A payer. One instance serves one entry of `payers`. */
export interface Provider {
  /** Its kind, e.g. `direct`; a metric label. */
  readonly name: string
  /** The address it pays from, where it has one: its balance is shown. */
  readonly address?: string | undefined
  /** CAIP-2 ids of the networks it may pay on. */
  readonly networks: readonly string[]
  /** Whether it can make this kind of payment. Cheap and pure. */
  supports(offer: Offer): boolean
  /**
   * Says before anything is reserved that a quote cannot be paid, as far as is known; of several offers the next is then tried.
   * @param times how often it is to be paid; default once
   * @throws TollwayError `insufficient_funds`, `asset_not_deployed`, `no_supported_offer`
   */
  ready?(quote: Quote, signal: AbortSignal, times?: bigint): Promise<void>
  /**
   * Signs (or takes from a pool) the payment for a quote. Sends nothing.
   * @throws TollwayError `signer_unavailable`, `insufficient_funds`, `pool_exhausted`
   */
  authorize(quote: Quote, charge: string, signal: AbortSignal): Promise<Authorization>
  /**
   * Signs payments of a quote ahead, each with a nonce of its own and valid for the quote's validity from now. Only payers that
   * sign by themselves have it. Sends nothing.
   * @throws TollwayError `signer_unavailable`, `insufficient_funds`, `no_supported_offer`
   */
  presign?(quote: Quote, count: number, signal: AbortSignal): Promise<readonly Presigned[]>
  /**
   * Another program keeps its payments and may offer one that was recorded before. Told that such a one is gone
   * (`closed` with `uncertain`) and asked again for the same charge, it gives the next.
   */
  readonly mayOfferUsed?: true | undefined
  /** Told once per authorized charge how it ended. */
  closed(charge: string, outcome: ChargeOutcome): Promise<void>
  /** Lets go of keys, threads and files. */
  close(): Promise<void>
}
