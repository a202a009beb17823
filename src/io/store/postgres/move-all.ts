/** Moves several charges in one transaction. Each gets its own outcome, in order, as if each came alone. */
import type { AuthorizationRecord, Charge } from '../../../core/charge/charge.ts'
import type { AuthorizeRefusal, Move } from '../contracts/charges.ts'
import type { Pin } from '../contracts/sellers.ts'
import {
  authorizedCharge,
  movedCharge,
  refuseAuthorize,
  sharesAfter,
  unknownCharge,
  type Share,
} from '../rules/charge-rules.ts'
import { pinOf } from '../rules/payee-rules.ts'
import { BudgetRows } from './budget-rows.ts'
import { budgetLocks, readSums, type ShareMove } from './budgets.ts'
import { nonceName, nonceOf, type ChargeTable, type Nonce } from './charge-table.ts'
import type { ChargeFollowers } from './charge-followers.ts'
import type { Transaction } from './database/transaction.ts'
import type { ChargeMove } from './history/rollups.ts'
import { outcomeOf, type Outcome } from './database/lane.ts'

/** What one move asks for; see `ChargeStore.authorize` and `ChargeStore.move`. */
export type MoveWork =
  | { readonly id: string; readonly move: Move }
  | { readonly id: string; readonly record: AuthorizationRecord; readonly at: number }

/** Two moves of one charge do not share a transaction. */
export function moveNames({ id }: MoveWork): string[] {
  return [id]
}

/** A charge that moves, and what else is written with it. */
export interface Step extends ChargeMove {
  readonly nonce?: Nonce | undefined
  readonly pin?: Pin | undefined
  readonly by?: string | undefined
}

/** @throws Error when the transaction fails as a whole */
export async function moveAll(
  db: Transaction,
  table: ChargeTable,
  followers: ChargeFollowers,
  work: readonly MoveWork[],
): Promise<Outcome<Charge | AuthorizeRefusal>[]> {
  const ids = work.map(({ id }) => id)
  const [charges, shares] = await Promise.all([table.lockAll(ids), followers.budgets.sharesOf(ids)])
  const asked = work.map((one) => outcomeOf(() => stepOf(one, charges.get(one.id))))
  const steps = asked.flatMap((outcome) =>
    'value' in outcome && typeof outcome.value === 'object' ? [outcome.value] : [],
  )
  const nonces = steps.flatMap(({ nonce }) => (nonce ? [nonce] : []))
  const sums = new BudgetRows(db)
  // The first travels ahead: what is read after it is read under the locks.
  const [, recorded] = await Promise.all([
    db.lock([...nonces.map(nonceName), ...locksOf(steps, shares)]),
    table.recorded(nonces),
    prepare(sums, steps, shares),
  ])
  const used = new Set(recorded)
  const done: Step[] = []
  const outcomes = asked.map((outcome): Outcome<Charge | AuthorizeRefusal> => {
    if ('thrown' in outcome) return outcome
    if (typeof outcome.value === 'string') return { value: outcome.value }
    const { nonce, after } = outcome.value
    if (nonce && used.has(nonceName(nonce))) return { value: 'nonce_used' }
    if (nonce) used.add(nonceName(nonce))
    done.push(outcome.value)
    return { value: after }
  })
  await write(table, followers, { steps: done, shares, sums })
  return outcomes
}

/**
 * Writes what charges became, with their budget sums, the sums of reports and their vouchers. The charges are locked, and no two
 * moves are of one charge.
 */
export async function writeMoves(
  db: Transaction,
  table: ChargeTable,
  followers: ChargeFollowers,
  steps: readonly Step[],
): Promise<void> {
  const shares = await followers.budgets.sharesOf(steps.map(({ after }) => after.id))
  const sums = new BudgetRows(db)
  await Promise.all([db.lock(locksOf(steps, shares)), prepare(sums, steps, shares)])
  await write(table, followers, { steps, shares, sums })
}

function stepOf(work: MoveWork, before: Charge | undefined): Step | AuthorizeRefusal {
  if (!before) throw unknownCharge(work.id)
  if ('move' in work) {
    const after = movedCharge(before, work.move)
    return { before, after, pin: pinOf(after, work.move), by: work.move.by }
  }
  const { record, at } = work
  const refusal = refuseAuthorize(before, at)
  if (refusal) return refusal
  const after = authorizedCharge(before, record, at)
  return { before, after, nonce: nonceOf(after, record) }
}

type Shares = ReadonlyMap<string, readonly Share[]>

/** How the shares of a charge move; `undefined` when no budget changes. */
function shareMove({ before, after }: ChargeMove, all: Shares): ShareMove | undefined {
  const shares = all.get(before.id) ?? []
  const left = sharesAfter(shares, before, after)
  if (shares.length === 0 || (before.state === after.state && left === shares)) return undefined
  return { charge: before.id, shares, from: before.state, to: after.state, left }
}

function shareMoves(steps: readonly ChargeMove[], shares: Shares): ShareMove[] {
  return steps.flatMap((step) => shareMove(step, shares) ?? [])
}

/** Which budgets a charge counts in never changes (rule 2), so that they are known before they are locked. */
function locksOf(steps: readonly ChargeMove[], shares: Shares): string[] {
  return shareMoves(steps, shares).flatMap((move) => budgetLocks(move.shares))
}

async function prepare(sums: BudgetRows, steps: readonly ChargeMove[], shares: Shares): Promise<void> {
  await sums.prepare(shareMoves(steps, shares).map((move) => (rows) => readSums(move.shares, rows)))
}

interface Written {
  readonly steps: readonly Step[]
  readonly shares: Shares
  /** In which everything that the steps need is read. */
  readonly sums: BudgetRows
}

async function write(
  table: ChargeTable,
  followers: ChargeFollowers,
  { steps, shares, sums }: Written,
): Promise<void> {
  const { budgets, rollups, vouchers, sellers, outbox } = followers
  const charges = steps.map(({ after }) => after)
  budgets.move(shareMoves(steps, shares), sums)
  table.update(charges)
  await rollups.follow(steps)
  await vouchers.follow(charges)
  sellers.notePins(steps.flatMap(({ pin }) => pin ?? []))
  outbox.add(steps.map(({ after, by }) => ({ charge: after.id, by })))
}
