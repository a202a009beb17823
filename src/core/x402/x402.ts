/**
 * The x402 wire formats, read tolerantly and written exactly: v2 (headers, x402 v2 specification, HTTP
 * transport) and v1 (JSON body). The version is switched here and nowhere else.
 */
import { findNetwork } from '../money/assets.ts'
import { TollwayError } from '../errors.ts'
import { readMppOffers, type ChargeTerms, type MppCharge } from './mpp-charge.ts'
import { echoedResource, HEADERS, readsXPayment } from './payment-headers.ts'
import { encodeBase64Json, isRecord, readBodyJson, readHeaderJson, unwrapped } from './wire-json.ts'

/** The largest PAYMENT-REQUIRED header and 402 body that are read, in bytes. Real ones are 0.6 to 10 kB. */
export const MAX_CHALLENGE_BYTES = 65_536

/** The most offers of one 402 that are read. {@link MAX_CHALLENGE_BYTES} bounds what fits. */
const MAX_OFFERS = 1_000

/** One way to pay, as the seller offers it. Nothing in it is trusted before the gate has passed it. */
export interface Offer {
  readonly x402Version: 1 | 2
  readonly scheme: string
  /** CAIP-2 where known, else as the seller spelled it. */
  readonly network: string
  /** As received: `amount` (v2) or `maxAmountRequired` (v1); checked by the gate. */
  readonly amount: unknown
  /** Set when an offer carries both amount fields and they differ. */
  readonly amountsDisagree: boolean
  readonly asset: string
  readonly payTo: string
  readonly maxTimeoutSeconds: unknown
  readonly extra: Readonly<Record<string, unknown>>
  /** The entry as received: v2 sellers compare `accepted` with what they advertised. */
  readonly raw: Readonly<Record<string, unknown>>
  /** Set for a charge of MPP instead of an x402 offer; its `scheme` is `charge`. It can be paid once, and not by {@link encodePayment}. */
  readonly mpp?: MppCharge | undefined
}

/** A decoded 402. */
export interface Challenge {
  readonly x402Version: 1 | 2
  readonly offers: readonly Offer[]
  /** Descriptions of what was offered besides readable offers, for the message of `no_supported_offer`. */
  readonly others: readonly string[]
  /** v2's `resource` object, echoed in the payment. */
  readonly resource: unknown
  /** v2's `extensions` by name, as received; empty when there are none. */
  readonly extensions: Readonly<Record<string, unknown>>
  /** The seller's own `error` text: for the audit record only. */
  readonly error: string | undefined
  /** Whether the seller reads v2 payments from X-PAYMENT. See `payment-headers.ts`. */
  readonly readsXPayment?: boolean | undefined
}

/** The parts of a 402 response that {@link decodeChallenge} reads. */
export interface ChallengeSource {
  /** The value of a header, lower-case name; several values joined by `, `. */
  header(name: string): string | undefined
  readonly body: Uint8Array
  /** Set when the body was cut at {@link MAX_CHALLENGE_BYTES}. */
  readonly truncated: boolean
}

/**
 * Decodes a 402. Of several places the first that holds a readable offer counts: PAYMENT-REQUIRED, X-PAYMENT-REQUIRED, the body.
 * Charges of MPP (WWW-Authenticate) come behind the offers of x402. An unreadable offer does not invalidate the others.
 * @throws TollwayError `offer_too_large`, `offer_undecodable`, `offer_empty`, `no_supported_offer`
 */
export function decodeChallenge(source: ChallengeSource): Challenge {
  const mpp = readMppOffers(source.header('www-authenticate'), source.header('date'))
  const others = [...mpp.others, ...otherProtocols(source)]
  const charges = mpp.charges.map(chargeOffer)
  if (charges.length === 0) return decodeX402(source, others)
  try {
    const challenge = decodeX402(source, others)
    return { ...challenge, offers: [...challenge.offers, ...charges] }
  } catch (error) {
    if (!(error instanceof TollwayError)) throw error
    const nothing = { resource: undefined, extensions: {}, error: undefined }
    return { x402Version: 2, offers: charges, others, ...nothing }
  }
}

/** @param protocols other protocols that the seller names and that are not paid */
function decodeX402(source: ChallengeSource, protocols: readonly string[]): Challenge {
  const carriers = challengeCarriers(source)
  const carrier = carriers.find(carriesOffers) ?? carriers.find(carriesVersion) ?? carriers[0]
  const { json, place, isTooLarge } = carrier
  if (!isRecord(json)) {
    if (protocols.length > 0) throw unsupported(protocols)
    if (isTooLarge) throw tooLarge(place)
    throw undecodable(place === 'body' ? 'its body is not a JSON object' : `its ${place} is not base64 JSON`)
  }
  const version = versionOf(json)
  const accepts = json['accepts']
  if (version === undefined) {
    if (protocols.length > 0) throw unsupported(protocols)
    const given = json['x402Version']
    const found = typeof given === 'number' ? `x402Version ${given}` : 'no x402Version'
    throw undecodable(`it carries ${found}, and only versions 1 and 2 are supported`)
  }
  if (!Array.isArray(accepts)) throw undecodable('its accepts field is not a list')
  const extensions = isRecord(json['extensions']) ? json['extensions'] : {}
  const others = [
    ...protocols,
    ...(Object.hasOwn(extensions, 'sign-in-with-x') ? ['SIWX (sign-in-with-x)'] : []),
  ]
  if (accepts.length === 0) {
    if (others.length > 0) throw unsupported(others)
    throw new TollwayError({
      code: 'offer_empty',
      message:
        'The seller asked for payment but offered no way to pay (accepts is empty). Nothing was signed.',
      advice: ['Check that api_base points at an x402 seller.'],
    })
  }
  const offers: Offer[] = []
  for (const [index, entry] of accepts.slice(0, MAX_OFFERS).entries()) {
    const offer = readOffer(version, entry)
    if (offer) offers.push(offer)
    else others.push(`accepts[${index}] (unreadable)`)
  }
  if (offers.length === 0) throw undecodable('none of its offers has a scheme, network, asset and payTo')
  const error = typeof json['error'] === 'string' ? json['error'].slice(0, 500) : undefined
  return {
    x402Version: version,
    offers,
    others,
    resource: json['resource'],
    extensions,
    error,
    readsXPayment: version === 2 && readsXPayment(headerJson(source), readBodyJson(source.body)),
  }
}

/** A place of a 402 that may hold the offers. */
interface Carrier {
  readonly place: string
  readonly isTooLarge: boolean
  /** `undefined` where nothing can be read. */
  readonly json: unknown
}

const REQUIRED_HEADERS = [
  [HEADERS.required, 'PAYMENT-REQUIRED header'],
  [HEADERS.requiredOther, 'X-PAYMENT-REQUIRED header'],
] as const

/** The places in which offers are looked for, in the order in which they count. The body is always one of them. */
function challengeCarriers(source: ChallengeSource): readonly [Carrier, ...Carrier[]] {
  const headers = REQUIRED_HEADERS.flatMap(([name, place]): Carrier[] => {
    const value = source.header(name)
    if (value === undefined) return []
    const isTooLarge = value.length > MAX_CHALLENGE_BYTES
    const found = isTooLarge ? [] : readHeaderJson(value).flatMap(unwrapped)
    return found.length === 0
      ? [{ place, isTooLarge, json: undefined }]
      : found.map((json) => ({ place, isTooLarge, json }))
  })
  const isTooLarge = source.truncated
  const bodies = unwrapped(isTooLarge ? undefined : readBodyJson(source.body)).map((json): Carrier => ({
    place: 'body',
    isTooLarge,
    json,
  }))
  const [first = { place: 'body', isTooLarge, json: undefined }, ...rest] = [...headers, ...bodies]
  return [first, ...rest]
}

function carriesVersion({ json }: Carrier): boolean {
  return isRecord(json) && versionOf(json) !== undefined && Array.isArray(json['accepts'])
}

function carriesOffers({ json }: Carrier): boolean {
  if (!isRecord(json)) return false
  const version = versionOf(json)
  const accepts = json['accepts']
  if (version === undefined || !Array.isArray(accepts)) return false
  return accepts.slice(0, MAX_OFFERS).some((entry) => readOffer(version, entry) !== undefined)
}

function versionOf(json: Readonly<Record<string, unknown>>): 1 | 2 | undefined {
  const version = json['x402Version']
  if (version === 1 || version === '1') return 1
  return version === 2 || version === '2' ? 2 : undefined
}

/** What stands in v2's own header; `undefined` where a seller does not send it. */
function headerJson(source: ChallengeSource): unknown {
  const value = source.header(HEADERS.required)
  if (value === undefined) return undefined
  return value.length > MAX_CHALLENGE_BYTES ? null : (readHeaderJson(value)[0] ?? null)
}

function readOffer(version: 1 | 2, entry: unknown): Offer | undefined {
  if (!isRecord(entry)) return undefined
  const { scheme, network, asset, payTo } = entry as Record<'scheme' | 'network' | 'asset' | 'payTo', unknown>
  if (!isText(scheme) || !isText(network) || !isText(asset) || !isText(payTo)) return undefined
  const own = version === 2 ? entry['amount'] : entry['maxAmountRequired']
  const other = version === 2 ? entry['maxAmountRequired'] : entry['amount']
  return {
    x402Version: version,
    scheme,
    network: (findNetwork(network) ?? findNetwork(network.trim().toLowerCase()))?.id ?? network,
    amount: own ?? other,
    amountsDisagree: own !== undefined && other !== undefined && own !== other,
    asset,
    payTo,
    maxTimeoutSeconds: entry['maxTimeoutSeconds'],
    extra: isRecord(entry['extra']) ? entry['extra'] : {},
    raw: entry,
  }
}

/**
 * The header that carries a payment: PAYMENT-SIGNATURE with the accepted entry verbatim (v2), X-PAYMENT (v1).
 * @param payload the scheme's payload, e.g. `{ signature, authorization }` for `exact` on EVM
 * @param extensions v2 only: the client's side of the challenge's extensions
 */
export function encodePayment(
  offer: Offer,
  resource: unknown,
  payload: Readonly<Record<string, unknown>>,
  extensions?: Readonly<Record<string, unknown>>,
): { readonly name: string; readonly value: string } {
  if (offer.x402Version === 1) {
    const network = offer.raw['network']
    return {
      name: HEADERS.paymentV1,
      value: encodeBase64Json({ x402Version: 1, scheme: offer.scheme, network, payload }),
    }
  }
  const echoed = echoedResource(resource)
  const message = {
    x402Version: 2,
    payload,
    ...(echoed === undefined ? {} : { resource: echoed }),
    accepted: offer.raw,
    ...(extensions === undefined ? {} : { extensions }),
  }
  return { name: HEADERS.signature, value: encodeBase64Json(message) }
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= 200
}

function chargeOffer(terms: ChargeTerms): Offer {
  return { x402Version: 2, scheme: 'charge', amountsDisagree: false, extra: {}, ...terms }
}

/** Protocols beside x402 and MPP that a 402 may name. */
function otherProtocols(source: ChallengeSource): string[] {
  const challenge = source.header('www-authenticate') ?? ''
  return [
    ...(/(?:^|,)\s*(?:L402|LSAT)\b/i.test(challenge) ? ['L402 (Lightning)'] : []),
    ...(source.header('crawler-price') === undefined ? [] : ["Cloudflare's pay per crawl"]),
  ]
}

function tooLarge(part: string): TollwayError {
  return new TollwayError({
    code: 'offer_too_large',
    message: `The seller's 402 ${part} is over ${MAX_CHALLENGE_BYTES} bytes and was not read. Nothing was signed.`,
    advice: ['Report it to the seller.'],
  })
}

function undecodable(why: string): TollwayError {
  return new TollwayError({
    code: 'offer_undecodable',
    message: `The seller's 402 response cannot be decoded: ${why}. Nothing was signed.`,
    advice: ['Check that api_base points at an x402 seller.'],
  })
}

function unsupported(offered: readonly string[]): TollwayError {
  return new TollwayError({
    code: 'no_supported_offer',
    message: `The seller offers only ${offered.join(', ')}, which no payer supports. Nothing was signed.`,
    advice: ['Use a seller that offers x402 payments.'],
  })
}
