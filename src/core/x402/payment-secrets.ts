/** The texts of a payment that are money (rule 8), in the spellings in which programs write bytes: anyone who reads one can pay with it. */
import { decodeBase64Json } from './wire-json.ts'
import { property } from '../property.ts'
import { encodeBase58 } from '../solana/base58.ts'
import { decodeTransaction } from '../solana/transaction.ts'

/** Shorter texts are no signatures, and might stand in any answer. */
const MIN_LENGTH = 64

/** The header's value, and the signature or transaction in it. Hex stands for hex of either case. */
export function paymentSecrets(value: string): readonly string[] {
  // MPP's credential stands behind the name of its scheme.
  const header = value.replace(/^Payment /, '')
  const payload = property(decodeBase64Json(header), 'payload')
  const signature = property(payload, 'signature')
  const transaction = property(payload, 'transaction')
  const inside = [
    ...(typeof signature === 'string' ? ofSignature(signature) : []),
    ...(typeof transaction === 'string' ? ofTransaction(transaction) : []),
  ]
  const all = [header, header.replace(/=+$/, ''), ...inside]
  return [...new Set(all)].filter((text) => text.length >= MIN_LENGTH)
}

function ofSignature(signature: string): readonly string[] {
  const hex = signature.replace(/^0x/i, '')
  if (!/^(?:[0-9a-f]{2})+$/i.test(hex)) return [signature, hex]
  const lower = hex.toLowerCase()
  const texts = [`0x${lower}`, `0x${hex}`].map((text) => Buffer.from(text))
  return [signature, hex, ...base64Of(Buffer.from(hex, 'hex')), ...texts.flatMap(base64Of)]
}

/** A Solana transaction, its message, and our signature over it, which is the last one. */
function ofTransaction(transaction: string): readonly string[] {
  const bytes = Buffer.from(transaction, 'base64')
  const decoded = decodeTransaction(bytes)
  const signature = decoded?.signatures.at(-1)
  const secrets = [bytes, ...(decoded ? [decoded.message] : []), ...(signature ? [signature] : [])]
  const spelled = secrets.flatMap((secret) => [
    encodeBase58(secret),
    Buffer.from(secret).toString('hex'),
    ...base64Of(Buffer.from(secret)),
  ])
  return [transaction, ...spelled]
}

/** Base64 of bytes alone, and inside the base64 of a longer text, where they may begin at any of three places. */
function base64Of(bytes: Buffer): readonly string[] {
  return [0, 1, 2].map((before) => {
    const text = Buffer.concat([Buffer.alloc(before), bytes])
      .toString('base64')
      .replace(/=+$/, '')
    // The characters at the edges share bits with the neighbouring text.
    const end = (before + bytes.length) % 3 === 0 ? text.length : text.length - 1
    return text.slice(before === 0 ? 0 : before + 1, end)
  })
}
