import type { Ledger } from '../../src/io/ledger/ledger.ts'
import type { ChargeTerms } from '../../src/core/charge/charge.ts'
import { claimsFor, type BudgetRule } from '../../src/core/budget/budget.ts'
import { signed, terms } from '../store/samples.ts'

/** What became of a seeded charge. */
export type Fate = 'held' | 'authorized' | 'receipt' | 'assumed' | 'uncertain' | 'released'

/** Puts a charge into the books as if a request had made it. `n` numbers it; `at` is when, milliseconds since the epoch. */
export async function seedCharge(
  ledger: Ledger,
  n: number,
  fate: Fate,
  changes: Partial<ChargeTerms> & { readonly reservedAt: number },
  budgets: readonly BudgetRule[] = [],
): Promise<void> {
  const { store } = ledger
  const charge = terms(n, { instance: ledger.instance, leaseUntil: changes.reservedAt + 30_000, ...changes })
  const claims = claimsFor(budgets, { ...charge, tags: [] }, charge.reservedAt)
  const reserved = await store.reserve(charge, claims, false)
  if (!reserved.ok) throw new Error(`the budget ${reserved.claim.budget} has no room for what is seeded`)
  const at = charge.reservedAt + 5
  if (fate === 'held') return
  if (fate === 'released') {
    await store.move(charge.id, { to: 'released', at, reason: 'seller_unavailable' })
    return
  }
  await store.authorize(charge.id, signed(n), at)
  if (fate === 'authorized') return
  if (fate === 'uncertain') {
    await store.move(charge.id, { to: 'uncertain', at, reason: 'timeout' })
    return
  }
  const transaction = fate === 'receipt' ? `0x${n.toString(16).padStart(64, 'a')}` : undefined
  await store.move(charge.id, {
    to: 'settled',
    at,
    reason: fate === 'receipt' ? 'receipt' : 'answered_without_receipt',
    proof: fate,
    transaction,
  })
}
