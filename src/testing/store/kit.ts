/** Charges in the states that the conformance suites start from. */
import { NO_TOTALS, type Totals } from '../../core/budget/budget.ts'
import type { Charge, ChargeState } from '../../core/charge/charge.ts'
import type { Move } from '../../io/store/contracts/charges.ts'
import type { Store } from '../../io/store/store.ts'
import { claim, NOW, signed, terms } from './samples.ts'

/** Sums of a window; what is left out is 0. */
export const sums = (changes: Partial<Totals>): Totals => ({ ...NO_TOTALS, ...changes })

/** A move half a second after `NOW`; with a receipt when it settles. */
export const to = (state: ChargeState, changes: Partial<Move> = {}): Move => ({
  to: state,
  at: NOW + 500,
  reason: 'why',
  ...(state === 'settled' ? { proof: 'receipt' } : {}),
  ...changes,
})

/** Makes charges in the store of the running test. */
export interface ChargeKit {
  /** Reserves the nth charge. */
  readonly held: (n: number, amount?: bigint, limit?: bigint) => Promise<Charge>
  /** Reserves and authorizes the nth charge. */
  readonly authorized: (n: number) => Promise<Charge>
  /** The sums of the daily budget, or of a changed claim. */
  readonly totals: (changes?: Parameters<typeof claim>[2]) => Promise<Totals | undefined>
}

/** @param current the store of the running test */
export function chargeKit(current: () => Store): ChargeKit {
  const held = async (n: number, amount = 10n, limit = 1000n): Promise<Charge> => {
    const result = await current().reserve(terms(n), [claim(amount, limit)], false)
    if (!result.ok) throw new Error('the reservation was refused')
    return result.charge
  }
  return {
    held,
    authorized: async (n) => {
      await held(n)
      const result = await current().authorize(terms(n).id, signed(n), NOW + n)
      if (typeof result === 'string') throw new Error(result)
      return result
    },
    totals: async (changes = {}) => (await current().totals([claim(0n, 0n, changes)]))[0],
  }
}
