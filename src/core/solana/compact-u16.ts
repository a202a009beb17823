/** Solana's wire format for lengths (`short_vec`): seven bits per byte, least significant first, one to three bytes. */

const MAX_U16 = 0xff_ff

/** @throws RangeError unless the value is a whole number from 0 to 65,535 */
export function encodeCompactU16(value: number): Uint8Array {
  if (!Number.isInteger(value) || value < 0 || value > MAX_U16) {
    throw new RangeError('a length must be a whole number from 0 to 65,535')
  }
  const bytes: number[] = []
  let rest = value
  do {
    const low = rest & 0x7f
    rest >>= 7
    bytes.push(rest > 0 ? low | 0x80 : low)
  } while (rest > 0)
  return Uint8Array.from(bytes)
}

/**
 * @param at the offset of the length
 * @returns the value and the offset after it; `undefined` when it is truncated, too large or not in its shortest form (which no
 * node accepts)
 */
export function decodeCompactU16(
  bytes: Uint8Array,
  at: number,
): { readonly value: number; readonly end: number } | undefined {
  let value = 0
  for (let index = 0; index < 3; index += 1) {
    const byte = bytes[at + index]
    if (byte === undefined) return undefined
    value |= (byte & 0x7f) << (7 * index)
    if ((byte & 0x80) !== 0) continue
    const padded = byte === 0 && index > 0
    return padded || value > MAX_U16 ? undefined : { value, end: at + index + 1 }
  }
  return undefined
}
