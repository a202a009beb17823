/**
 * The extension `offer-receipt` (x402, version 1 of its payloads): what a seller signs about an offer, and about a payment that it
 * took. Read here and compared with what was paid; who signed is found out in `io/signer/statement-signer.ts`.
 */
import { canonicalAddress } from '../money/address.ts'
import { findNetwork } from '../money/assets.ts'
import { property } from '../property.ts'
import { OFFER_RECEIPT } from './extensions.ts'
import { isRecord, readBodyJson } from './wire-json.ts'
import type { Offer } from './x402.ts'

/** The most offers of one 402, and the longest statement in characters of JSON, that are looked at. */
const MAX_OFFERS = 20
const MAX_LENGTH = 4_096

const TEXTS = {
  offer: ['resourceUrl', 'scheme', 'network', 'asset', 'payTo', 'amount'],
  receipt: ['network', 'resourceUrl', 'payer', 'transaction'],
} as const
const NUMBERS = { offer: ['version', 'validUntil'], receipt: ['version', 'issuedAt'] } as const

const JWS_HEADER: ReadonlySet<string> = new Set(['alg', 'kid', 'typ'])

/** What was signed: texts by name, and numbers without a sign or a fraction. */
export interface StatementPayload {
  readonly texts: Readonly<Record<string, string>>
  readonly numbers: Readonly<Record<string, number>>
}

/** A signed statement of a seller. Nothing in it is believed before its signer is known. */
export interface SignedStatement {
  readonly kind: 'offer' | 'receipt'
  readonly payload: StatementPayload
  /** EIP-712: 65 bytes in hex. JWS: the three parts, of which the first two were signed. */
  readonly proof:
    | { readonly format: 'eip712'; readonly signature: `0x${string}` }
    | { readonly format: 'jws'; readonly alg: string; readonly kid: string; readonly compact: string }
  /** As it came, to be kept. JSON. */
  readonly text: string
  /** What it says in the clear, to be searched for what must not be kept. */
  readonly content: string
}

/** The signed offers of a 402; `unreadable` stands for one that is none. */
export function signedOffers(
  extensions: Readonly<Record<string, unknown>>,
): readonly (SignedStatement | 'unreadable')[] {
  const offers = property(property(extensions[OFFER_RECEIPT], 'info'), 'offers')
  if (!Array.isArray(offers)) return []
  return offers.slice(0, MAX_OFFERS).map((offer) => readStatement('offer', offer) ?? 'unreadable')
}

/** The signed receipt in a settlement response; `undefined` when there is none. */
export function signedReceipt(response: unknown): SignedStatement | 'unreadable' | undefined {
  const receipt = property(
    property(property(property(response, 'extensions'), OFFER_RECEIPT), 'info'),
    'receipt',
  )
  if (receipt === undefined || receipt === null) return undefined
  return readStatement('receipt', receipt) ?? 'unreadable'
}

function readStatement(kind: SignedStatement['kind'], value: unknown): SignedStatement | undefined {
  if (!isRecord(value)) return undefined
  const { format, signature } = value
  if (typeof signature !== 'string') return undefined
  const text = JSON.stringify(value)
  if (text.length > MAX_LENGTH) return undefined
  if (format === 'eip712') {
    const payload = readPayload(kind, value['payload'])
    if (!payload || !isSignature(signature)) return undefined
    return { kind, payload, proof: { format, signature }, text, content: text }
  }
  if (format !== 'jws') return undefined
  const [header, body, , ...more] = signature.split('.')
  if (header === undefined || body === undefined || more.length > 0) return undefined
  const head = readBodyJson(Buffer.from(header, 'base64url'))
  const [alg, kid] = [property(head, 'alg'), property(head, 'kid')]
  const payload = readPayload(kind, readBodyJson(Buffer.from(body, 'base64url')))
  if (!payload || typeof alg !== 'string' || typeof kid !== 'string') return undefined
  if (Object.keys(head ?? {}).some((name) => !JWS_HEADER.has(name))) return undefined
  const content = JSON.stringify([head, payload, signature])
  return { kind, payload, proof: { format, alg, kid, compact: signature }, text, content }
}

function isSignature(text: string): text is `0x${string}` {
  return /^0x[0-9a-fA-F]{130}$/.test(text)
}

/** All members must be known ones: what is kept as evidence carries nothing else. Optional ones count as empty, as they are signed. */
function readPayload(kind: SignedStatement['kind'], value: unknown): StatementPayload | undefined {
  if (!isRecord(value)) return undefined
  const known: ReadonlySet<string> = new Set([...TEXTS[kind], ...NUMBERS[kind]])
  if (Object.keys(value).some((name) => !known.has(name))) return undefined
  const texts: Record<string, string> = {}
  const numbers: Record<string, number> = {}
  for (const name of TEXTS[kind]) {
    const found = value[name] ?? (name === 'transaction' ? '' : undefined)
    if (typeof found !== 'string') return undefined
    texts[name] = found
  }
  for (const name of NUMBERS[kind]) {
    const found = value[name] ?? (name === 'validUntil' ? 0 : undefined)
    if (typeof found !== 'number' || !Number.isSafeInteger(found) || found < 0) return undefined
    numbers[name] = found
  }
  return { texts, numbers }
}

/** What a payment was, to compare statements with. */
export interface PaidTerms {
  readonly offer: Pick<Offer, 'scheme' | 'network' | 'asset' | 'payTo' | 'amount'>
  /** The paying address. */
  readonly payer: string
  /** Addresses under which the resource is known: the one that was called, and the one that the 402 names. */
  readonly resources: readonly string[]
  /** The transaction that the receipt beside it names. */
  readonly transaction: string | undefined
  /** Unix seconds. */
  readonly now: number
}

/** How far the seller's clock may be from ours, seconds. */
const SKEW_SECONDS = 300

/** Remembered terms are paid for up to ten minutes after they were asked for. */
const OFFER_AGE_SECONDS = 600 + SKEW_SECONDS

/** The members of a statement that say something else than what was paid. */
export function contradictions({ kind, payload }: SignedStatement, paid: PaidTerms): string[] {
  const { texts, numbers } = payload
  const { offer, payer, transaction, now } = paid
  const isAddress = (name: string, expected: string): boolean =>
    canonicalOf(offer.network, texts[name]) === canonicalOf(offer.network, expected)
  const same: Readonly<Record<string, boolean>> = {
    version: numbers['version'] === 1,
    network: networkOf(texts['network']) === networkOf(offer.network),
    resourceUrl: paid.resources.some((url) => pathOf(url) === pathOf(texts['resourceUrl'])),
    ...(kind === 'offer'
      ? {
          scheme: texts['scheme'] === offer.scheme,
          asset: isAddress('asset', offer.asset),
          payTo: isAddress('payTo', offer.payTo),
          amount: texts['amount'] === offer.amount,
          validUntil: numbers['validUntil'] === 0 || (numbers['validUntil'] ?? 0) + OFFER_AGE_SECONDS >= now,
        }
      : {
          payer: isAddress('payer', payer),
          issuedAt: Math.abs((numbers['issuedAt'] ?? 0) - now) <= SKEW_SECONDS,
          transaction:
            texts['transaction'] === '' ||
            transaction === undefined ||
            texts['transaction']?.toLowerCase() === transaction.toLowerCase(),
        }),
  }
  return Object.keys(same).filter((name) => same[name] !== true)
}

function canonicalOf(network: string, address: string | undefined): string | undefined {
  return address === undefined ? undefined : (canonicalAddress(network, address) ?? address)
}

function networkOf(name: string | undefined): string | undefined {
  return name === undefined ? undefined : (findNetwork(name)?.id ?? name)
}

/** Sellers behind a proxy sign the address that they see: host and scheme of it are not ours. */
function pathOf(url: string | undefined): string | undefined {
  return url !== undefined && URL.canParse(url) ? new URL(url).pathname.replace(/\/+$/, '') : undefined
}
