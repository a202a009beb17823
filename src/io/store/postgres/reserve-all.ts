/** Reserves several charges in one transaction. Each gets its own verdict, in order, as if each came alone. */
import type { Claim } from '../../../core/budget/budget.ts'
import type { Charge, ChargeTerms } from '../../../core/charge/charge.ts'
import type { RequestMark } from '../../../core/request/idempotency.ts'
import type { Notice, Reservation } from '../contracts/charges.ts'
import { duplicateCharge, heldCharge, takeClaims } from '../rules/charge-rules.ts'
import { BudgetRows } from './budget-rows.ts'
import { budgetLocks } from './budgets.ts'
import type { ChargeTable } from './charge-table.ts'
import type { ChargeFollowers } from './charge-followers.ts'
import type { Transaction } from './database/transaction.ts'
import { requestLocks } from './idempotency.ts'
import { outcomeOf, type Outcome } from './database/lane.ts'

/** What one reservation asks for; see `ChargeStore.reserve`. */
export interface ReserveWork {
  readonly terms: ChargeTerms
  readonly claims: readonly Claim[]
  readonly pin: boolean
  readonly mark: RequestMark | undefined
}

type Refused = Extract<Reservation, { readonly ok: false }>

/** A charge that is reserved, before it is written. */
interface Accepted {
  readonly ok: true
  readonly charge: Charge
  readonly claims: readonly Claim[]
  readonly mark: RequestMark | undefined
  readonly passed: readonly Notice[]
}

/**
 * Reservations with such a name in common do not share a transaction: what one writes is not compared with the next one's request.
 * The bodies of one process's own requests are compared when they come.
 */
export function reservationNames({ terms, mark }: ReserveWork): string[] {
  return [`charge ${terms.id}`, ...(mark?.name === undefined ? [] : [`name ${mark.name}`])]
}

/**
 * All locks are taken at once and in one order, then everything is read, judged by the rules, and written.
 * @throws Error when the transaction fails as a whole
 */
export async function reserveAll(
  db: Transaction,
  table: ChargeTable,
  followers: ChargeFollowers,
  work: readonly ReserveWork[],
): Promise<Outcome<Reservation>[]> {
  const { budgets, sellers, idempotency, rollups } = followers
  const sums = new BudgetRows(db)
  // The first travels ahead: what is read after it is read under the locks.
  const [, known, repeats, payees, keys] = await Promise.all([
    db.lock(
      work.flatMap(({ mark, claims }) => [...(mark ? requestLocks(mark) : []), ...budgetLocks(claims)]),
    ),
    table.known(work.map(({ terms }) => terms.id)),
    idempotency.findRepeats(
      work.flatMap(({ mark, terms }) =>
        mark ? [{ mark, instance: terms.instance, at: terms.reservedAt }] : [],
      ),
    ),
    sellers.payeesOf(work.flatMap(({ pin, terms }) => (pin ? [terms] : []))),
    rollups.keysOf(work.map(({ terms }) => heldCharge(terms))),
    sums.prepare(
      work.map(
        ({ claims }) =>
          (rows) =>
            takeClaims(claims, rows),
      ),
    ),
  ])
  const judge = ({ terms, claims, pin, mark }: ReserveWork): Accepted | Refused => {
    if (mark) repeats.refuse(mark)
    if (known.has(terms.id)) throw duplicateCharge(terms.id)
    if (pin) payees.check(terms)
    const taken = sums.now((rows) => takeClaims(claims, rows))
    if (!taken.ok) return taken
    sums.apply(taken.changes, claims)
    if (pin) payees.reserved(terms)
    return { ok: true, charge: heldCharge(terms), claims, mark, passed: taken.passed }
  }
  const verdicts = work.map((each) => outcomeOf(() => judge(each)))
  const accepted = verdicts.flatMap((verdict) =>
    'value' in verdict && verdict.value.ok ? [verdict.value] : [],
  )
  const marked = accepted.flatMap(({ charge, mark }) => (mark ? [{ charge, mark }] : []))
  const [notices] = await Promise.all([
    budgets.notify(accepted.map(({ passed }) => passed)),
    rollups.addKeys(
      keys,
      accepted.map(({ charge }) => charge),
    ),
  ])
  table.insert(accepted.map(({ charge }) => ({ charge, key: keys.of(charge) })))
  budgets.take(accepted, sums.changes())
  idempotency.insert(marked, repeats)
  const told = new Map(accepted.map(({ charge }, index) => [charge.id, notices[index] ?? []]))
  return verdicts.map((verdict): Outcome<Reservation> => {
    if ('thrown' in verdict) return verdict
    if (!verdict.value.ok) return { value: verdict.value }
    const { charge } = verdict.value
    const own = told.get(charge.id) ?? []
    return { value: { ok: true, charge, ...(own.length > 0 ? { notices: own } : {}) } }
  })
}
