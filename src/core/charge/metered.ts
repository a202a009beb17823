/** Charges of calls that nobody signs a payment for: an upstream with a key bills them, or they are free and only counted. */
import type { Charge } from './charge.ts'

/** In place of a payer's name, which has no brackets. */
export const KEYED_PAYER = '(keyed)'

/** In place of a network: no chain knows of these charges. */
export const METERED_NETWORK = 'metered'

/** Whether a charge was never a payment. */
export function isMetered({ network }: Pick<Charge, 'network'>): boolean {
  return network === METERED_NETWORK
}
