/** Payments that a person should look at, of a period: flagged ones, and those whose outcome or amount is not proven. */
import { takenOf, type Charge } from '../../core/charge/charge.ts'
import { isMetered } from '../../core/charge/metered.ts'
import type { ChargeFlag } from '../../core/charge/reconcile.ts'
import type { ChargeStore } from '../../io/store/contracts/charges.ts'
import type { FlagStore } from '../../io/store/contracts/flags.ts'
import type { Period } from './period.ts'
import { readCharges } from './read-charges.ts'

/** Why a payment is listed: a flag of the ledger, or what is not known of it. */
export type FlaggedReason = ChargeFlag | 'uncertain' | 'no_receipt' | 'estimated' | 'maximum'

/** One reason for one payment. */
export interface FlaggedCharge {
  readonly charge: Charge
  /** Settled or open amount, smallest units. */
  readonly amount: bigint
  readonly reason: FlaggedReason
  /** A sentence. */
  readonly detail: string
}

/** Flags are read this many at a time; there are few. */
const MAX_FLAGS = 1000

/** By the instant of the reservation, oldest first. */
export async function flaggedCharges(
  store: Pick<ChargeStore, 'history'> & Pick<FlagStore, 'flags'>,
  period: Period,
): Promise<FlaggedCharge[]> {
  const flagged = Map.groupBy(await store.flags({ limit: MAX_FLAGS }), ({ charge }) => charge)
  const found: FlaggedCharge[] = []
  for await (const charge of readCharges(store, period)) {
    const { amount } = takenOf(charge)
    const list = (reason: FlaggedReason, detail: string): number =>
      found.push({ charge, amount, reason, detail })
    for (const { flag, detail } of flagged.get(charge.id) ?? []) list(flag, detail)
    if (charge.state === 'uncertain')
      list('uncertain', `sent, and not known to be taken (${charge.reason ?? 'no answer'}): counts as spent`)
    if (charge.state === 'settled' && charge.proof === 'assumed' && isMetered(charge))
      list('estimated', 'answered without its usage: the most that the call may have cost counts as spent')
    else if (charge.state === 'settled' && charge.proof === 'assumed')
      list('no_receipt', 'answered without a receipt: counts as spent until the chain proves otherwise')
    if (isMaximum(charge))
      list('maximum', 'signed as `upto`: counts in full until the chain proves a lower amount')
  }
  return found
}

function isMaximum({ state, proof, authorization }: Charge): boolean {
  return state === 'settled' && proof !== 'chain' && authorization?.scheme === 'upto'
}
