/**
 * The only thing that is signed on Solana: x402's `exact` payment (scheme_exact_svm, versions 1 and 2). Everything that must never
 * vary (programs, layout, signers) is filled in here and never taken from the request, so that no other transaction can be composed.
 */
import { addressBytes } from './address.ts'
import { encodeMessage, type Instruction } from './message.ts'
import { COMPUTE_BUDGET_PROGRAM, MEMO_PROGRAM, type TokenProgram } from './programs.ts'
import { deriveTokenAccount, type Sha256 } from './token-account.ts'

/** A payment: plain data that can be posted to another thread. */
export interface SolanaPayment {
  readonly kind: 'solana_exact'
  /** The wallet that pays and signs second. */
  readonly owner: string
  /** The seller's facilitator: signs first, pays the network fee, and is not a party to the transfer. */
  readonly feePayer: string
  /** The wallet that is paid; its token account is derived. */
  readonly payTo: string
  readonly mint: string
  readonly tokenProgram: TokenProgram
  /** Smallest units, decimal; 1 to 2^64 - 1. */
  readonly amount: string
  readonly decimals: number
  /** Permanently public; 1 to {@link MAX_MEMO_BYTES} bytes of UTF-8. */
  readonly memo: string
  readonly blockhash: string
  /** Compute units; facilitators accept the official client's {@link DEFAULT_UNIT_LIMIT} and somewhat more. */
  readonly unitLimit: number
  /** Micro-lamports per unit, 1 to {@link MAX_UNIT_PRICE}. */
  readonly unitPrice: number
}

/** What the official client asks for, compute units; a payment takes about 700. */
export const DEFAULT_UNIT_LIMIT = 20_000
/** What the official client bids, micro-lamports per compute unit. */
export const DEFAULT_UNIT_PRICE = 1
/** The most that facilitators accept, micro-lamports per compute unit. */
export const MAX_UNIT_PRICE = 5_000_000
/** The longest memo the official client signs. */
export const MAX_MEMO_BYTES = 256

const MAX_U64 = 2n ** 64n - 1n
const MAX_UNIT_LIMIT = 1_400_000

/** The two token accounts of a payment. */
export interface PaymentAccounts {
  readonly source: string
  readonly destination: string
}

/** Derives both token accounts. @throws RangeError for an invalid address */
export function paymentAccounts(payment: SolanaPayment, sha256: Sha256): PaymentAccounts {
  const { owner, payTo, mint, tokenProgram } = payment
  return {
    source: deriveTokenAccount(owner, mint, tokenProgram, sha256),
    destination: deriveTokenAccount(payTo, mint, tokenProgram, sha256),
  }
}

/**
 * The message of a payment: limit and price of compute units, TransferChecked, memo.
 * @throws RangeError when the payee or the fee payer is the payer, the fee payer is part of the transfer, or a field is out of range
 */
export function paymentMessage(payment: SolanaPayment, accounts: PaymentAccounts): Uint8Array {
  checkParties(payment, accounts)
  const { owner, feePayer, mint, tokenProgram, blockhash, memo } = payment
  const transfer: Instruction = {
    program: tokenProgram,
    accounts: [
      { address: accounts.source, signer: false, writable: true },
      { address: mint, signer: false, writable: false },
      { address: accounts.destination, signer: false, writable: true },
      { address: owner, signer: true, writable: false },
    ],
    data: transferChecked(payment),
  }
  const text = new TextEncoder().encode(memo)
  if (text.length === 0 || text.length > MAX_MEMO_BYTES) throw new RangeError('a memo has 1 to 256 bytes')
  return encodeMessage({
    version: 0,
    feePayer,
    blockhash,
    instructions: [
      computeBudget(2, whole(payment.unitLimit, MAX_UNIT_LIMIT), 4),
      computeBudget(3, whole(payment.unitPrice, MAX_UNIT_PRICE), 8),
      transfer,
      { program: MEMO_PROGRAM, accounts: [], data: text },
    ],
  })
}

/** Rules that every payment must meet. The signer's thread builds messages through this check too. */
function checkParties(payment: SolanaPayment, { source, destination }: PaymentAccounts): void {
  const { owner, feePayer, payTo, mint, tokenProgram } = payment
  // With us as the fee payer the transaction would be fully signed: anyone who sees it could send it, at our cost.
  if (feePayer === owner) throw new RangeError('the fee payer must not be the payer')
  if (payTo === owner) throw new RangeError('the payee is the payer')
  // The payee's wallet may pay the fee: only its token account takes part in the transfer.
  const used = [source, destination, mint, tokenProgram, MEMO_PROGRAM, COMPUTE_BUDGET_PROGRAM]
  if (used.includes(feePayer)) throw new RangeError('the fee payer is an account of the transfer')
  addressBytes(feePayer)
}

function transferChecked({ amount, decimals }: SolanaPayment): Uint8Array {
  if (!/^[1-9]\d{0,19}$/.test(amount) || BigInt(amount) > MAX_U64) {
    throw new RangeError('an amount is a whole number from 1 to 2^64 - 1')
  }
  return Uint8Array.of(12, ...littleEndian(BigInt(amount), 8), whole(decimals, 255, 0))
}

function computeBudget(discriminator: number, value: number, bytes: number): Instruction {
  return {
    program: COMPUTE_BUDGET_PROGRAM,
    accounts: [],
    data: Uint8Array.of(discriminator, ...littleEndian(BigInt(value), bytes)),
  }
}

function whole(value: number, most: number, least = 1): number {
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new RangeError(`a number must be whole and between ${least} and ${most}`)
  }
  return value
}

function littleEndian(value: bigint, bytes: number): number[] {
  return Array.from({ length: bytes }, (_, index) => Number((value >> BigInt(8 * index)) & 0xffn))
}
