/** The token account of a wallet: derived, never looked up (Associated Token Account program). */
import { addressBytes, addressOf } from './address.ts'
import { isOnCurve } from './curve.ts'
import { ASSOCIATED_TOKEN_PROGRAM } from './programs.ts'

/** SHA-256. Passed in, because this floor uses no platform library. */
export type Sha256 = (bytes: Uint8Array) => Uint8Array

const MARKER = new TextEncoder().encode('ProgramDerivedAddress')
const HIGHEST_BUMP = 255
const MAX_SEEDS = 16
const MAX_SEED_BYTES = 32

/**
 * The address that a program derives from seeds: the first hash, from bump 255 downwards, that is not on the curve.
 * @throws RangeError for too many seeds, a seed that is too long, or an invalid address
 */
export function deriveProgramAddress(
  program: string,
  seeds: readonly Uint8Array[],
  sha256: Sha256,
): { readonly address: string; readonly bump: number } {
  // The bump is a seed too.
  if (seeds.length >= MAX_SEEDS) throw new RangeError('a program address has at most 15 seeds and its bump')
  if (seeds.some((seed) => seed.length > MAX_SEED_BYTES)) throw new RangeError('a seed has at most 32 bytes')
  const owner = addressBytes(program)
  for (let bump = HIGHEST_BUMP; bump >= 0; bump -= 1) {
    const hash = sha256(concatBytes([...seeds, Uint8Array.of(bump), owner, MARKER]))
    if (!isOnCurve(hash)) return { address: addressOf(hash), bump }
  }
  throw new RangeError('no bump gives an address off the curve')
}

/**
 * The associated token account of a wallet.
 * @param owner the wallet; may itself be a program-derived address
 * @param tokenProgram the program that owns the mint
 * @throws RangeError for an invalid address
 */
export function deriveTokenAccount(
  owner: string,
  mint: string,
  tokenProgram: string,
  sha256: Sha256,
): string {
  const seeds = [addressBytes(owner), addressBytes(tokenProgram), addressBytes(mint)]
  return deriveProgramAddress(ASSOCIATED_TOKEN_PROGRAM, seeds, sha256).address
}

/** Concatenates byte arrays. */
export function concatBytes(pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((length, piece) => length + piece.length, 0))
  let at = 0
  for (const piece of pieces) {
    whole.set(piece, at)
    at += piece.length
  }
  return whole
}
