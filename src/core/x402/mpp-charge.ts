/**
 * The charges of MPP that can be paid, as offers beside those of x402: `evm`/`charge` by an EIP-3009 authorization, whose nonce the
 * challenge prescribes. Every other method is named with the reason why it is not paid.
 */
import { readPaymentChallenges, type PaymentChallenge } from './mpp-challenge.ts'
import { decodeBase64Json, isRecord } from './wire-json.ts'

/** What a payment of a charge needs beside the offer. */
export interface MppCharge {
  /** All parameters of the challenge, sent back as they came. */
  readonly params: Readonly<Record<string, string>>
  readonly id: string
  readonly realm: string
  /** Of the request's body, as RFC 9530 writes it; `undefined` where the challenge is for any body. */
  readonly digest: string | undefined
}

/** The terms of a charge as the seller wrote them; checked by the gate. */
export interface ChargeTerms {
  readonly mpp: MppCharge
  /** CAIP-2. */
  readonly network: string
  readonly amount: unknown
  readonly asset: string
  readonly payTo: string
  /** How long the challenge lasts by the seller's own clock, seconds; `undefined` when it does not say. */
  readonly maxTimeoutSeconds: number | undefined
  /** The decoded request. */
  readonly raw: Readonly<Record<string, unknown>>
}

/** What a 402 says by MPP. */
export interface MppOffers {
  readonly charges: readonly ChargeTerms[]
  /** What else it says, for messages: method, intent and why it is not paid. */
  readonly others: readonly string[]
}

/** The longest challenge that is sent back, characters: a payment must fit into the header limits of servers. */
const MAX_ECHOED = 8_192

/** The most methods that a message names. */
const MAX_NAMED = 5

/** Why the other methods are not paid. */
const REASONS: readonly (readonly [method: RegExp, why: string])[] = [
  [/\/session$/, 'sessions pay from a deposit, which no budget here bounds'],
  [/\/subscription$/, 'subscriptions take money without a request'],
  [/^tempo\//, "no payer signs Tempo's transactions"],
  [/^solana\//, 'Solana is paid by x402 only'],
  [/^(?:stripe|card)\//, 'it needs an account at Stripe'],
  [/^lightning\//, 'no payer has a Lightning node'],
]

const UNKNOWN = 'no payer knows this method'

/**
 * Reads the MPP challenges of a 402.
 * @param authenticate WWW-Authenticate; repeated headers joined by commas
 * @param date the answer's Date header: how long a challenge lasts is counted by the seller's own clock
 */
export function readMppOffers(authenticate: string | undefined, date: string | undefined): MppOffers {
  const challenges = readPaymentChallenges(authenticate ?? '')
  if (challenges.length === 0) return { charges: [], others: [] }
  const read = challenges.map((challenge) => (challenge ? readCharge(challenge, date) : 'unreadable'))
  const charges = read.filter((one) => typeof one !== 'string')
  const refused = [...new Set(read.filter((one) => typeof one === 'string'))].slice(0, MAX_NAMED)
  return {
    charges,
    others: refused.length === 0 ? [] : [`MPP (WWW-Authenticate: Payment; ${refused.join('; ')})`],
  }
}

/** @returns a text that names the method and why it is not paid, where it cannot be */
function readCharge(challenge: PaymentChallenge, date: string | undefined): ChargeTerms | string {
  const name = nameOf(challenge)
  if (name === undefined) return 'no readable method'
  if (name !== 'evm/charge')
    return `${name}: ${REASONS.find(([method]) => method.test(name))?.[1] ?? UNKNOWN}`
  const no = (why: string): string => `${name}: ${why}`
  const [id, realm] = [challenge.get('id') ?? '', challenge.get('realm') ?? '']
  if (id === '' || realm === '') return no('its challenge has no id or no realm')
  if ((challenge.get('header') ?? 'authorization').toLowerCase() !== 'authorization')
    return no('it wants the payment in another header than Authorization')
  const params = Object.fromEntries(challenge)
  if (JSON.stringify(params).length > MAX_ECHOED) return no('its challenge is too long to be sent back')
  const request = decodeBase64Json(challenge.get('request') ?? '')
  if (!isRecord(request)) return no('its request cannot be read')
  const { amount, currency, recipient, methodDetails } = request as Readonly<Record<string, unknown>>
  const details = isRecord(methodDetails) ? methodDetails : {}
  const { chainId, credentialTypes, splits } = details as Readonly<Record<string, unknown>>
  if (!isText(currency) || !isText(recipient)) return no('it names no token or no recipient')
  if (typeof chainId !== 'number' || !Number.isSafeInteger(chainId) || chainId < 1)
    return no('it names no chain')
  if (!Array.isArray(credentialTypes) || !credentialTypes.includes('authorization'))
    return no('it takes no EIP-3009 authorization')
  if (splits !== undefined && splits !== null && !(Array.isArray(splits) && splits.length === 0))
    return no('it splits the money among several')
  const seconds = lifeOf(challenge.get('expires'), date)
  if (seconds === 'unreadable') return no('its end cannot be read')
  if (seconds !== undefined && seconds < 1) return no('its challenge has expired')
  return {
    mpp: { params, id, realm, digest: challenge.get('digest') },
    network: `eip155:${chainId}`,
    amount,
    asset: currency,
    payTo: recipient,
    maxTimeoutSeconds: seconds,
    raw: request,
  }
}

function nameOf(challenge: PaymentChallenge): string | undefined {
  const [method, intent] = ['method', 'intent'].map((param) => challenge.get(param) ?? '')
  return [method, intent].every((text) => /^[\w.:-]{1,32}$/.test(text ?? ''))
    ? `${method}/${intent}`
    : undefined
}

/** RFC 3339. */
const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/i

/** From the answer's own date to the end of the challenge, seconds; `undefined` when one of them is not given. */
function lifeOf(expires: string | undefined, date: string | undefined): number | 'unreadable' | undefined {
  if (expires === undefined) return undefined
  const end = INSTANT.test(expires) ? Date.parse(expires) : Number.NaN
  if (Number.isNaN(end)) return 'unreadable'
  const now = Date.parse(date ?? '')
  return Number.isNaN(now) ? undefined : Math.floor((end - now) / 1000)
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= 200
}

/**
 * The header that pays a charge.
 * @param payload of the method, e.g. `{ type: 'authorization', … }`
 * @param source the paying account as a DID
 */
export function encodeMppCredential(
  { params }: Pick<MppCharge, 'params'>,
  payload: Readonly<Record<string, unknown>>,
  source: string,
): { readonly name: string; readonly value: string } {
  const json = JSON.stringify({ challenge: params, payload, source })
  return { name: 'authorization', value: `Payment ${Buffer.from(json, 'utf8').toString('base64url')}` }
}
