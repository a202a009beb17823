import type { AuthorizationMethod } from '../money/assets.ts'

/**
 * The states of a charge (one payment for one request).
 *
 * - `held`: reserved in the budgets; nothing signed or sent.
 * - `authorized`: recorded and about to be sent, or sent and not yet judged.
 * - `settled`: spent, with a {@link Proof}.
 * - `uncertain`: sent, and not yet proven spent or unspent; counts as spent.
 * - `released`: proven unspent or never sent; no longer counts.
 */
export type ChargeState = 'held' | 'authorized' | 'settled' | 'uncertain' | 'released'

/** The evidence that a settled charge was spent. `assumed`: a 2xx response without a receipt. */
export type Proof = 'receipt' | 'assumed' | 'chain'

const MOVES: Readonly<Record<ChargeState, readonly ChargeState[]>> = {
  held: ['authorized', 'released'],
  authorized: ['settled', 'uncertain', 'released'],
  uncertain: ['settled', 'released'],
  settled: [],
  released: [],
}

/**
 * Whether a charge may move from one state to another. One move depends on the proof: `settled` on an assumed
 * proof may still be released by the chain, or have its proof strengthened.
 */
export function mayMove(from: ChargeState, to: ChargeState, proof?: Proof): boolean {
  if (from === 'settled') return proof === 'assumed' && to === 'released'
  return MOVES[from].includes(to)
}

/** Thrown when code asks for a move that does not exist: a bug in Tollway, never the request's fault. */
export class IllegalMoveError extends Error {
  override readonly name = 'IllegalMoveError'
  readonly from: ChargeState
  readonly to: ChargeState

  constructor(charge: string, from: ChargeState, to: ChargeState) {
    super(`charge ${charge} cannot move from ${from} to ${to}`)
    this.from = from
    this.to = to
  }
}

/** What a charge is for: fixed when it is reserved and never changed. Money is in smallest units. */
export interface ChargeTerms {
  /** `chg_` and 24 characters of Crockford base 32; unique, time-ordered. */
  readonly id: string
  /** The process that owns it (rule 10). */
  readonly instance: string
  readonly requestId: string
  readonly caller: string
  /** The model as the client named it. */
  readonly model: string
  /** The model that the seller was asked for; `undefined` in charges of older versions. */
  readonly remoteModel?: string | undefined
  /** What the request was for: declared or open tags, and `other`. */
  readonly tags?: readonly string[] | undefined
  /** The route's `model_name`. */
  readonly route: string
  /** The configured payer's name. */
  readonly payer: string
  /** The seller's origin, e.g. `https://seller.example.com`. */
  readonly seller: string
  readonly apiBase: string
  /** CAIP-2. */
  readonly network: string
  /** Contract address, lower case. */
  readonly asset: string
  readonly symbol: string
  readonly decimals: number
  /** Lower case. */
  readonly payTo: string
  /** Smallest units of the asset. */
  readonly amount: bigint
  /** Micro-USD, rounded up; `undefined` for an asset without a USD value. */
  readonly microUsd: bigint | undefined
  /** Milliseconds since the epoch; decides the budget windows permanently. */
  readonly reservedAt: number
  /** When the unsigned hold expires, milliseconds since the epoch. */
  readonly leaseUntil: number
}

/**
 * What was signed, recorded before it is sent (rule 3). On EVM networks it holds no signature: an unspent one is money (rule 8).
 * On Solana ours is worth nothing without the fee payer's, and it is what the transaction is recognised by.
 */
export interface AuthorizationRecord {
  /** The paying address; on EVM networks in lower case. */
  readonly from: string
  /** 32 bytes, `0x` and lower-case hex. On Solana the SHA-256 of the message: no two charges sign the same bytes. */
  readonly nonce: string
  /** Unix seconds. */
  readonly validAfter: number
  /** Unix seconds. On Solana no release comes before it by our own clock, whatever heights a node reports. */
  readonly validBefore: number
  /** Where the nonce is looked up: in the token (EIP-3009, the default), in Permit2's bitmap, or on Solana by {@link SolanaProof}. */
  readonly method?: AuthorizationMethod | undefined
  /** `upto`: the seller may take less than was signed. Default `exact`. */
  readonly scheme?: 'exact' | 'upto' | undefined
  /** Solana only, and always there: what the chain is asked by. */
  readonly solana?: SolanaProof | undefined
}

/** What finds a payment on Solana, and what proves that it can no longer be taken. */
export interface SolanaProof {
  /** Our signature of the message, base58: the second of the transaction that takes the payment. */
  readonly signature: string
  readonly memo: string
  readonly blockhash: string
  /** No block above this height can hold it, as our own node said when it gave the block hash. */
  readonly lastValidHeight: number
  /** The slot at which our node gave the block hash: the payment can be in no earlier one. */
  readonly slot: number
  /** The token account it is taken from. */
  readonly account: string
}

/** A charge as the store keeps it. */
export interface Charge extends ChargeTerms {
  readonly state: ChargeState
  readonly proof: Proof | undefined
  /**
   * What the chain proved was taken, when that is less than the amount (`upto`); from then on budgets count only this.
   * Smallest units; `undefined` while only the amount is known.
   */
  readonly charged?: bigint | undefined
  readonly authorization: AuthorizationRecord | undefined
  /** Transaction hash from the receipt or the chain. */
  readonly transaction: string | undefined
  /** Why the last move happened, e.g. `receipt`, `timeout`, `http_502`, `instance_dead`. */
  readonly reason: string | undefined
  readonly updatedAt: number
}

/** The model that the seller was asked for; as the client named it where that was not recorded. */
export function askedModel({ remoteModel, model }: Pick<Charge, 'remoteModel' | 'model'>): string {
  return remoteModel === undefined || remoteModel === '' ? model : remoteModel
}

/** What a charge counts for: the proven amount if there is one, else the signed one. Smallest units and micro-USD, rounded up. */
export function takenOf({ amount, microUsd, charged }: Pick<Charge, 'amount' | 'microUsd' | 'charged'>): {
  readonly amount: bigint
  readonly microUsd: bigint | undefined
} {
  if (charged === undefined) return { amount, microUsd }
  return {
    amount: charged,
    microUsd: microUsd === undefined ? undefined : chargedShare(microUsd, charged, amount),
  }
}

/**
 * The part of a limit that a charge still uses when less than the signed amount was taken; rounded up, against the caller
 * (rule 1).
 * @param share what the whole charge uses of the limit, in the limit's unit
 */
export function chargedShare(share: bigint, charged: bigint, amount: bigint): bigint {
  if (charged < 0n) throw new RangeError('the amount taken cannot be negative')
  return amount === 0n ? share : (share * charged + amount - 1n) / amount
}
