/** Base58 with Bitcoin's alphabet, as Solana writes addresses, block hashes and signatures. */

const ALPHABET = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'
const DIGITS = new Map(Array.from(ALPHABET, (character, value) => [character, value]))

/** The longest text read here is a signature of 88 characters. Decoding time grows with the square of the length. */
const MAX_CHARACTERS = 128

/** Encodes bytes as base58; each leading zero byte becomes a leading `1`. */
export function encodeBase58(bytes: Uint8Array): string {
  let zeros = 0
  while (zeros < bytes.length && bytes[zeros] === 0) zeros += 1
  // Base-58 digits, least significant first.
  const digits: number[] = []
  for (const byte of bytes.subarray(zeros)) {
    let carry = byte
    for (let at = 0; at < digits.length; at += 1) {
      carry += (digits[at] ?? 0) * 256
      digits[at] = carry % 58
      carry = Math.floor(carry / 58)
    }
    for (; carry > 0; carry = Math.floor(carry / 58)) digits.push(carry % 58)
  }
  return (
    '1'.repeat(zeros) +
    digits
      .map((digit) => ALPHABET[digit])
      .toReversed()
      .join('')
  )
}

/** Decodes base58; `undefined` for an invalid text or one longer than 128 characters. */
export function decodeBase58(text: string): Uint8Array | undefined {
  if (text.length > MAX_CHARACTERS) return undefined
  let zeros = 0
  while (text[zeros] === '1') zeros += 1
  // Bytes, least significant first.
  const bytes: number[] = []
  for (const character of text.slice(zeros)) {
    let carry = DIGITS.get(character)
    if (carry === undefined) return undefined
    for (let at = 0; at < bytes.length; at += 1) {
      carry += (bytes[at] ?? 0) * 58
      bytes[at] = carry & 0xff
      carry >>= 8
    }
    for (; carry > 0; carry >>= 8) bytes.push(carry & 0xff)
  }
  return Uint8Array.from([...Array.from({ length: zeros }, () => 0), ...bytes.toReversed()])
}
