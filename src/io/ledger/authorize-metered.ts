import type { Charge } from '../../core/charge/charge.ts'
import { meteredRecord } from '../../core/charge/metered.ts'
import { TollwayError } from '../../core/errors.ts'
import type { Ledger } from './ledger.ts'

/**
 * Records that a call is about to be sent. Durable before the send: a crash from here on keeps the hold.
 * @throws TollwayError `store_unavailable`, `audit_unavailable`: nothing may be sent, and the reservation is given back
 */
export async function authorizeMetered(
  ledger: Pick<Ledger, 'authorize' | 'release'>,
  held: Charge,
): Promise<Charge> {
  try {
    return await ledger.authorize(held, meteredRecord(held))
  } catch (error) {
    await ledger.release(held, error instanceof TollwayError ? error.code : 'internal_error')
    throw error
  }
}
