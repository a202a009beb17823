/** The checks that an offer on Solana must pass besides those of every offer: a payment there has other parties. */
import { isSolanaAddress } from '../solana/address.ts'
import { MAX_MEMO_BYTES } from '../solana/payment.ts'
import {
  COMPUTE_BUDGET_PROGRAM,
  MEMO_PROGRAM,
  TOKEN_2022_PROGRAM,
  TOKEN_PROGRAM,
} from '../solana/programs.ts'
import type { ErrorCode } from '../errors.ts'
import { BUILT_IN_ASSETS, findAsset, type Asset } from '../money/assets.ts'
import { printable } from '../printable.ts'
import type { Offer } from '../x402/x402.ts'

/** Tokens on Solana are counted in 64 bits. */
const MAX_AMOUNT = 2n ** 64n - 1n

/** What an offer on Solana says that goes into the payment. */
export interface SolanaTerms {
  /** The wallet of the seller's facilitator, which signs first and pays the network's fee. */
  readonly feePayer: string
  /** A text that the payment must carry, public for ever; `undefined` when it is ours to choose. */
  readonly memo: string | undefined
}

/** Why an offer is not paid. */
export interface SolanaRefusal {
  readonly code: Extract<
    ErrorCode,
    'amount_invalid' | 'fee_payer_not_allowed' | 'memo_not_allowed' | 'no_supported_offer'
  >
  readonly message: string
  readonly advice: readonly string[]
}

const REPORT = ['Report it to the seller.']

/** What a payment would be made of. */
export interface SolanaParties {
  readonly asset: Asset
  readonly amount: bigint
  /** The paying wallet; `undefined` where no wallet of ours pays. */
  readonly self: string | undefined
}

/** Reads and checks what is particular to Solana; token accounts are checked where they are derived. */
export function solanaTermsOf({ extra }: Offer, parties: SolanaParties): SolanaTerms | SolanaRefusal {
  const { asset, amount, self } = parties
  if (amount > MAX_AMOUNT) {
    return {
      code: 'amount_invalid',
      message: 'The offered amount does not fit into the 64 bits that tokens on Solana are counted in.',
      advice: REPORT,
    }
  }
  const program = extra['tokenProgram']
  if (program !== undefined && program !== tokenProgramOf(asset)) {
    return {
      code: 'no_supported_offer',
      message: `The offer names the token program ${typeof program === 'string' ? printable(program, 64) : 'in no readable way'}, and ${asset.symbol} on ${asset.network} belongs to ${tokenProgramOf(asset)}.`,
      advice: [programAdvice(asset, program)],
    }
  }
  const feePayer = extra['feePayer']
  if (typeof feePayer !== 'string' || !isSolanaAddress(feePayer)) {
    return {
      code: 'no_supported_offer',
      message: 'The offer names no fee payer (extra.feePayer), without which nobody could send the payment.',
      advice: REPORT,
    }
  }
  if (feePayer === self) {
    return {
      code: 'fee_payer_not_allowed',
      message:
        'The offer names the paying wallet as fee payer: what it signs would be complete, and anyone who sees it could send it at its cost.',
      advice: REPORT,
    }
  }
  if (feePayer === asset.address || PROGRAMS.has(feePayer)) {
    return {
      code: 'fee_payer_not_allowed',
      message: `The offer names ${feePayer} as fee payer, which is an account of the payment itself.`,
      advice: REPORT,
    }
  }
  const memo = readMemo(extra['memo'])
  if (memo === null) {
    return {
      code: 'memo_not_allowed',
      message: `The offer asks for a memo that is not a text of up to ${MAX_MEMO_BYTES} bytes without control characters. It would be signed and public for ever.`,
      advice: REPORT,
    }
  }
  return { feePayer, memo }
}

/** Built-in tokens cannot be changed. */
function programAdvice({ network, address }: Asset, program: unknown): string {
  const name = PROGRAM_NAMES.get(program)
  if (name === undefined || findAsset(BUILT_IN_ASSETS, network, address)) return 'Report it to the seller.'
  return `If the seller is right, correct the entry of the token under assets: program: ${name}.`
}

/** As a configuration names them. */
const PROGRAM_NAMES: ReadonlyMap<unknown, string> = new Map([
  [TOKEN_PROGRAM, 'spl-token'],
  [TOKEN_2022_PROGRAM, 'token-2022'],
])

/** The program that owns a mint, from our own table. */
export function tokenProgramOf(asset: Asset): typeof TOKEN_PROGRAM | typeof TOKEN_2022_PROGRAM {
  return asset.tokenProgram ?? TOKEN_PROGRAM
}

const PROGRAMS: ReadonlySet<string> = new Set([
  TOKEN_PROGRAM,
  TOKEN_2022_PROGRAM,
  MEMO_PROGRAM,
  COMPUTE_BUDGET_PROGRAM,
])

/** `undefined` for none (an empty one, too, as official clients read it), `null` for one that is not signed. */
function readMemo(value: unknown): string | undefined | null {
  if (value === undefined || value === null || value === '') return undefined
  if (typeof value !== 'string' || !value.isWellFormed()) return null
  if (new TextEncoder().encode(value).length > MAX_MEMO_BYTES) return null
  // Control characters, and what turns the direction of text or cannot be seen.
  return /[\p{Cc}\p{Cf}\p{Co}\p{Zl}\p{Zp}]/u.test(value) ? null : value
}
