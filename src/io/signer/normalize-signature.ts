import type { Hex } from 'viem'

/**
 * A signature of 65 bytes with v written as 27 or 28: some signers write 0 or 1 (EIP-155 does not apply to typed data).
 * @returns `undefined` for anything else
 */
export function normalizeSignature(text: string): Hex | undefined {
  if (!/^(?:0x)?[0-9a-f]{130}$/i.test(text)) return undefined
  const digits = text.replace(/^0x/i, '').toLowerCase()
  const v = Number.parseInt(digits.slice(128), 16)
  return `0x${digits.slice(0, 128)}${(v < 27 ? v + 27 : v).toString(16).padStart(2, '0')}`
}
