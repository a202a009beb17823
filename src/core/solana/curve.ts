/**
 * Whether 32 bytes are a point of the ed25519 curve (RFC 8032, 5.1.3). Program-derived addresses are not, so that no key can
 * exist for them.
 */

const P = 2n ** 255n - 19n
const D =
  37_095_705_934_669_439_343_138_083_508_754_565_189_542_113_879_843_219_016_388_785_533_085_940_283_555n
const SIGN_BIT = 1n << 255n

function modulo(value: bigint): bigint {
  const rest = value % P
  return rest < 0n ? rest + P : rest
}

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n
  let square = modulo(base)
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if ((rest & 1n) === 1n) result = modulo(result * square)
    square = modulo(square * square)
  }
  return result
}

/**
 * Decompresses as Solana's runtime does (curve25519-dalek): `y` is taken modulo the prime, and there must be an `x` with
 * `x^2 = (y^2 - 1) / (d y^2 + 1)`. `x = 0` with the sign bit set is accepted there, and here too.
 */
export function isOnCurve(bytes: Uint8Array): boolean {
  if (bytes.length !== 32) return false
  let encoded = 0n
  for (const byte of bytes.toReversed()) encoded = (encoded << 8n) | BigInt(byte)
  const y = modulo(encoded & (SIGN_BIT - 1n))
  const ySquared = modulo(y * y)
  const numerator = modulo(ySquared - 1n)
  if (numerator === 0n) return true
  const denominator = modulo(D * ySquared + 1n)
  // The quotient of two numbers is a square exactly when their product is (Euler's criterion).
  return power(numerator * denominator, (P - 1n) / 2n) === 1n
}
