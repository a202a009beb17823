/** Charges of calls that nobody signs a payment for: an upstream with a key bills them, or they are free and only counted. */
import type { AuthorizationRecord, Charge } from './charge.ts'

/** In place of a payer's name, which has no brackets. */
export const KEYED_PAYER = '(keyed)'

/** In place of a network: no chain knows of these charges. */
export const METERED_NETWORK = 'metered'

/** The unit of these charges. */
export const METERED_SYMBOL = 'USD'

/** Whether a charge was never a payment. */
export function isMetered({ network }: Pick<Charge, 'network'>): boolean {
  return network === METERED_NETWORK
}

/** In place of what is signed: nothing is, and the charge's own id is used once. */
export function meteredRecord({ id, leaseUntil }: Pick<Charge, 'id' | 'leaseUntil'>): AuthorizationRecord {
  return { from: METERED_NETWORK, nonce: id, validAfter: 0, validBefore: Math.ceil(leaseUntil / 1000) }
}

/** Why a charge settled: `usage` and `estimated` are those of calls without a payment. */
export function settleReason(charge: Pick<Charge, 'network'>, proof: 'receipt' | 'assumed'): string {
  if (isMetered(charge)) return proof === 'receipt' ? 'usage' : 'estimated'
  return proof === 'receipt' ? 'receipt' : 'answered_without_receipt'
}
