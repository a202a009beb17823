/** Under which header names a payment is sent: one, unless the seller is known to need another. */

/** What a route may ask for: the version's own header (`auto`), or one that this seller is known to read. */
export const PAYMENT_HEADER_CHOICES = ['auto', 'payment-signature', 'x-payment', 'both'] as const

/** See {@link PAYMENT_HEADER_CHOICES}. */
export type PaymentHeaderChoice = (typeof PAYMENT_HEADER_CHOICES)[number]

/** The `error` of a 402 of Obol's sellers (`x402-verifier`), word for word. */
const OBOL_ERROR = 'Payment required for this resource'

/**
 * Whether a v2 seller reads its payment from X-PAYMENT. Two kinds do: sellers that put their v2 offers into the body alone and
 * know nothing of v2's headers, and Obol's, which send both. Obol's are recognised by three things at once: offers in header
 * and body, their own words in `error`, and an `extensions` member. A body that only mirrors the header says nothing.
 * @param header the JSON of PAYMENT-REQUIRED, undefined without one
 * @param body the JSON of the body
 */
export function readsXPayment(header: unknown, body: unknown): boolean {
  if (header === undefined) return true
  return [header, body].every(
    (json) =>
      isRecord(json) &&
      json['x402Version'] === 2 &&
      json['error'] === OBOL_ERROR &&
      isRecord(json['extensions']) &&
      Array.isArray(json['accepts']) &&
      json['accepts'].length > 0,
  )
}

/**
 * The further header names to send a v2 payment under. Both headers carry the same authorization and nonce, so it can be
 * taken only once.
 */
export function furtherNames(
  challenge: { readonly readsXPayment?: boolean | undefined },
  header: { readonly name: string },
): { readonly alsoAs?: readonly string[] } {
  return challenge.readsXPayment === true && header.name === HEADERS.signature
    ? { alsoAs: [HEADERS.paymentV1] }
    : {}
}

/**
 * All header names of one payment.
 * @param name the header of its version
 * @param alsoAs see {@link furtherNames}
 * @param choice of the route; a v1 payment has one header only
 */
export function paymentHeaderNames(
  name: string,
  alsoAs: readonly string[] | undefined,
  choice: PaymentHeaderChoice | undefined,
): readonly string[] {
  if (name !== HEADERS.signature) return [name]
  switch (choice) {
    case 'payment-signature':
      return [HEADERS.signature]
    case 'x-payment':
      return [HEADERS.paymentV1]
    case 'both':
      return [HEADERS.signature, HEADERS.paymentV1]
    case 'auto':
    case undefined:
      return [name, ...(alsoAs ?? [])]
    default:
      return choice satisfies never
  }
}

/** The longest description that is sent back, characters. */
const MAX_DESCRIPTION = 200

/**
 * What a v2 payment says about the resource: the members that the specification names, a description only while it is short.
 * Sellers do not check it, and headers have limits.
 */
export function echoedResource(resource: unknown): unknown {
  if (!isRecord(resource)) return undefined
  const { url, description, mimeType } = resource
  if (typeof url !== 'string') return undefined
  return {
    url,
    ...(typeof description === 'string' && description.length <= MAX_DESCRIPTION ? { description } : {}),
    ...(typeof mimeType === 'string' ? { mimeType } : {}),
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Header names, lower case as Node gives them. */
export const HEADERS = {
  required: 'payment-required',
  requiredOther: 'x-payment-required',
  signature: 'payment-signature',
  response: 'payment-response',
  paymentV1: 'x-payment',
  responseV1: 'x-payment-response',
  responseMpp: 'payment-receipt',
} as const
