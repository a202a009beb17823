/** The contract of a payer. Implementations are in `providers/`; middlewares know only this interface. */
import type { AuthorizationRecord, ChargeState } from '../charge/charge.ts'
import type { Quote } from '../policy/gate.ts'
import type { VettedSignIn } from '../policy/vet-sign-in.ts'
import type { Offer } from '../x402/x402.ts'

/** A payment ready to be sent in a header. It is worth its amount until it is used or expires: never log it. */
export interface Authorization {
  readonly kind: 'authorization'
  /** Lower-case header name and its value. */
  readonly header: { readonly name: string; readonly value: string }
  /** Further header names to send the same value under, lower case: for sellers that read an older name. */
  readonly alsoAs?: readonly string[] | undefined
  /** What the store records before the header is sent (rule 3). */
  readonly record: AuthorizationRecord
}

/** A payment signed in advance, before its request is known. It is worth its amount until it is used or expires: never log it. */
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

/** How a payer signs in at sellers that it has paid before. */
export interface SignInSigner {
  /** The wallet: EIP-55 letter case, or base58 for one on Solana. */
  readonly address: string
  /**
   * Signs a vetted message. Sends nothing.
   * @returns the signature: `0x` and hex, or base58 for a wallet on Solana
   * @throws TollwayError `signer_unavailable`
   */
  sign(vetted: VettedSignIn, signal: AbortSignal): Promise<string>
}

/** A payer. One instance serves one entry of `payers`. */
export interface Provider {
  /** The kind of payer, e.g. `direct`. */
  readonly name: string
  /** The address it pays from, if it has one: its balance is shown. */
  readonly address?: string | undefined
  /** CAIP-2 ids of the networks it may pay on. */
  readonly networks: readonly string[]
  /** Whether it can make this kind of payment. Cheap and pure. */
  supports(offer: Offer): boolean
  /**
   * Checks, before anything is reserved, whether a quote can be paid as far as the payer knows. If it throws, the next offer is
   * tried.
   * @param times how many payments of the quote are wanted; default 1
   * @throws TollwayError `insufficient_funds`, `asset_not_deployed`, `no_supported_offer`
   */
  ready?(quote: Quote, signal: AbortSignal, times?: bigint): Promise<void>
  /**
   * What the paying wallet holds of the quote's token, read now, in its smallest unit; asked when a seller says that it is too
   * little. `undefined` when it is not known. Never rejects.
   */
  balance?(quote: Quote): Promise<bigint | undefined>
  /**
   * Signs the payment for a quote, or takes it from a pool. Sends nothing.
   * @param charge the id of the charge that reserved the amount
   * @param signal aborted when the payment is no longer wanted
   * @throws TollwayError `signer_unavailable`, `insufficient_funds`, `pool_exhausted`
   */
  authorize(quote: Quote, charge: string, signal: AbortSignal): Promise<Authorization>
  /**
   * Signs payments of a quote in advance, each with its own nonce and valid from now for the quote's validity. Only payers that
   * sign themselves have it. Sends nothing.
   * @throws TollwayError `signer_unavailable`, `insufficient_funds`, `no_supported_offer`
   */
  presign?(quote: Quote, count: number, signal: AbortSignal): Promise<readonly Presigned[]>
  /**
   * Set when another program holds the payments and may offer one that was already used. After `closed` with `uncertain`, the
   * next `authorize` for the same charge offers another payment.
   */
  readonly mayOfferUsed?: true | undefined
  /**
   * Whether it can authorize payments at all now: asked for readiness. A payer without it is taken for able.
   * @throws TollwayError `signer_unavailable`, as {@link Provider.authorize} would
   */
  check?(): Promise<void>
  /** Signing in instead of paying again; absent where the payer cannot. */
  readonly signIn?: SignInSigner | undefined
  /** Called once per authorized charge with its outcome. */
  closed(charge: string, outcome: ChargeOutcome): Promise<void>
  /** Releases keys, threads and files. */
  close(): Promise<void>
}
