/** Caches derived token accounts: a derivation takes longer than a signature. */
import { createHash } from 'node:crypto'
import type { PaymentAccounts, SolanaPayment } from '../../../core/solana/payment.ts'
import { deriveTokenAccount } from '../../../core/solana/token-account.ts'

/** The most accounts kept. Real use needs few; the bound is for a seller that names a new payee each time. */
const MAX_REMEMBERED = 1000

/** The platform's SHA-256. */
export function sha256(bytes: Uint8Array): Uint8Array {
  return createHash('sha256').update(bytes).digest()
}

/** Derives each token account once. */
export class TokenAccounts {
  readonly #known = new Map<string, string>()

  /** The two token accounts of a payment. @throws RangeError for an invalid address */
  of({
    owner,
    payTo,
    mint,
    tokenProgram,
  }: Pick<SolanaPayment, 'owner' | 'payTo' | 'mint' | 'tokenProgram'>): PaymentAccounts {
    return {
      source: this.account(owner, mint, tokenProgram),
      destination: this.account(payTo, mint, tokenProgram),
    }
  }

  /** The token account of a wallet. @throws RangeError for an invalid address */
  account(owner: string, mint: string, tokenProgram: string): string {
    const name = `${owner} ${mint} ${tokenProgram}`
    const known = this.#known.get(name)
    if (known !== undefined) return known
    const derived = deriveTokenAccount(owner, mint, tokenProgram, sha256)
    if (this.#known.size >= MAX_REMEMBERED) this.#known.clear()
    this.#known.set(name, derived)
    return derived
  }
}
