/**
 * The extensions of a v2 challenge (x402 v2, 5.1.2): which are sent back with the payment, and which one stands in its way. A
 * client that sends an extension sends all that the seller said in it, and may only add to it.
 */
import { isRecord } from './wire-json.ts'

/** The extension by which a seller accepts a signed Permit2 allowance (EIP-2612) together with the payment. */
export const GAS_SPONSORING = 'eip2612GasSponsoring'

/** The extension that carries an id of the payment, by which a seller knows it again. */
export const PAYMENT_IDENTIFIER = 'payment-identifier'

/** The extension by which a seller signs what it offers, and what it was paid. */
export const OFFER_RECEIPT = 'offer-receipt'

/** The extension by which an address that has paid signs in instead (CAIP-122). */
export const SIGN_IN = 'sign-in-with-x'

/** What a seller is known to need nothing more for than its own text back, or nothing at all. */
const SERVED: ReadonlySet<string> = new Set([
  GAS_SPONSORING,
  PAYMENT_IDENTIFIER,
  'bazaar',
  'builder-code',
  OFFER_RECEIPT,
])

/** Never sent back as they came: the payer adds what it signs, and a sign-in travels in a header of its own. */
const NOT_ECHOED: ReadonlySet<string> = new Set([GAS_SPONSORING, 'erc20ApprovalGasSponsoring', SIGN_IN])

/** The most that is sent back, characters of JSON: a payment must fit into the header limits of servers. */
const MAX_ECHOED = 2_048

/** What payment identifiers are made of. */
const IDENTIFIER = /^[a-zA-Z0-9_-]{16,128}$/

type Extensions = Readonly<Record<string, unknown>>

/** The names of extensions that the seller insists on and that no payer serves. */
export function unservedExtensions(extensions: Extensions): string[] {
  return Object.entries(extensions)
    .filter(([name, extension]) => !SERVED.has(name) && isRequired(extension))
    .map(([name]) => name)
}

/** The extensions that are sent back with the payment, as the seller sent them. Those that do not fit are left out. */
export function echoedExtensions(extensions: Extensions): Extensions {
  let left = MAX_ECHOED
  const first = Object.entries(extensions).filter(([name]) => !NOT_ECHOED.has(name))
  const ordered = first.toSorted(
    ([a], [b]) => Number(b === PAYMENT_IDENTIFIER) - Number(a === PAYMENT_IDENTIFIER),
  )
  const kept = ordered.filter(([name, extension]) => {
    const size = JSON.stringify({ [name]: extension }).length
    if (size > left) return false
    left -= size
    return true
  })
  return Object.fromEntries(kept)
}

/**
 * The extensions of a payment.
 * @param echoed what {@link echoedExtensions} gave
 * @param charge the charge that pays: its id is the payment's, the same however often it is sent
 * @param own what the payer signed; it takes precedence
 * @returns `undefined` for none
 */
export function paymentExtensions(
  echoed: Extensions,
  charge: string,
  own: Extensions | undefined,
): Extensions | undefined {
  const identifier = Object.hasOwn(echoed, PAYMENT_IDENTIFIER) ? echoed[PAYMENT_IDENTIFIER] : undefined
  const info = isRecord(identifier) ? identifier['info'] : undefined
  const named =
    isRecord(identifier) && isRecord(info) && info['id'] === undefined && IDENTIFIER.test(charge)
      ? { [PAYMENT_IDENTIFIER]: { ...identifier, info: { ...info, id: charge } } }
      : {}
  const all = { ...echoed, ...named, ...own }
  return Object.keys(all).length === 0 ? undefined : all
}

function isRequired(extension: unknown): boolean {
  if (!isRecord(extension)) return false
  const info = isRecord(extension['info']) ? extension['info'] : {}
  return [extension['required'], info['required']].some((value) => value === true || value === 'true')
}
