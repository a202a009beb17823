/** The seller's own words about a failed payment: cleaned for `error.seller`, a header and the audit record, never part of our own message. */
import type { SellerAnswer } from '../../core/errors.ts'
import type { SellerError } from '../../core/x402/seller-error.ts'
import { printable } from '../../core/printable.ts'
import { property } from '../../core/property.ts'

/** What an error says of a seller's answer. */
export interface SellerSaid {
  readonly seller: SellerAnswer
  /** The message once more, for clients that show no bodies: printable ASCII. */
  readonly headers: Readonly<Record<string, string>>
  /** For the audit record. */
  readonly details: Readonly<Record<string, string | number | null>>
}

/** A seller's answer as clients see it: message and code cleaned, since either may carry what is not for them. */
export function sellerSaid(status: number, { code, message }: SellerError): SellerSaid {
  const words = cleanedMessage(message ?? '') ?? null
  return {
    seller: { status, code: printableWords(code ?? '') ?? null, message: words },
    headers: messageHeader(message),
    details: { seller_status: status, seller_message: words },
  }
}

/** The header with a seller's message; none where it says nothing. */
export function messageHeader(message: string | undefined): Readonly<Record<string, string>> {
  const words = printableWords(message ?? '')
  return words === undefined ? {} : { 'x-tollway-seller-message': words }
}

/**
 * Words of a seller's without secrets, in any script, at most 256 characters, without anything that a terminal or a page would
 * act upon; `undefined` where nothing is left of them.
 */
export function cleanedMessage(message: string): string | undefined {
  const cleaned = withoutSecrets(message)
    .replace(/[\s\p{Z}]+/gu, ' ')
    .replace(/\p{C}/gu, '?')
    .trim()
  // The end may cut a pair apart.
  return cleaned === '' ? undefined : cleaned.slice(0, MOST).replace(/\p{Surrogate}/gu, '')
}

const MOST = 256

function printableWords(message: string): string | undefined {
  const cleaned = withoutSecrets(message).trim()
  return cleaned === '' ? undefined : printable(cleaned, MOST)
}

/**
 * Whether a 402 says that the payment sent with it was refused, as BlockRun does ("Payment verification failed"): then it is
 * no fresh challenge, whatever offer it carries along.
 */
export function isRejection(body: Buffer): boolean {
  return /^payment (?:verification|settlement) failed/i.test(errorText(body.toString('utf8')) ?? '')
}

/**
 * A signature the seller has not used is money (rule 8), and sellers quote what they were sent: no text long enough to be a
 * signature or a payment header passes.
 */
function withoutSecrets(text: string): string {
  return text.replace(/(?:0x)?[0-9a-fA-F]{65,}|[A-Za-z0-9+/_=-]{100,}/g, '[removed]')
}

function errorText(text: string): string | undefined {
  try {
    const json = JSON.parse(text) as unknown
    const error = property(json, 'error')
    const message = typeof error === 'string' ? error : property(error, 'message')
    if (typeof message !== 'string') return undefined
    // BlockRun puts what is wrong with a payment here.
    const details = property(json, 'details')
    return typeof details === 'string' && details !== message ? `${message}: ${details}` : message
  } catch {
    return undefined
  }
}
