/**
 * The total of the rows of the ledger. A charge that can no longer change is read once an hour: what a check costs depends on the
 * charges since the last one and on those that are open, not on how many this process has made.
 */
import { takenOf, type Charge } from '../../core/charge/charge.ts'
import type { Clock } from '../../core/clock.ts'
import type { ChargeStore } from '../store/contracts/charges.ts'
import type { Totals } from './totals.ts'

/** What {@link LedgerTotals} works with. */
export interface LedgerTotalsContext {
  readonly store: Pick<ChargeStore, 'history' | 'charge'>
  /** The process whose charges are added up. */
  readonly instance: string
  /** Milliseconds since the epoch. */
  readonly startedAt: number
  readonly clock: Clock
  /** Lets requests run between two pages. */
  readonly breathe: () => Promise<void>
}

const NOTHING: Totals = { authorized: 0n, settled: 0n }
/** Charges that are read before requests run again. */
const PAGE = 200
/** How far before the start charges are read, so that a clock that was set back does not hide the first ones. */
const MARGIN_MS = 86_400_000
/** Charges are read again until they are this old: one that was reserved a moment earlier may be written a moment later. */
const SETTLE_MS = 60_000
/** How often everything is read again, milliseconds: a row that was changed by other means is noticed. */
const WHOLE_MS = 3_600_000
/** The most open charges that are kept apart; beyond them everything is read at each check. */
const MAX_OPEN = 100_000

/** Adds up the charges of one process again and again. */
export class LedgerTotals {
  readonly #context: LedgerTotalsContext
  /** What can no longer change, of the charges up to {@link #after}. */
  #closed = NOTHING
  /** Those of them that still can. */
  readonly #open = new Set<string>()
  #after: Pick<Charge, 'reservedAt' | 'id'> | undefined
  #wholeAt = Number.NEGATIVE_INFINITY

  constructor(context: LedgerTotalsContext) {
    this.#context = context
  }

  /** Forgets what was read: the next reading is of everything. Called when totals differ, for example after a clock was set back. */
  reset(): void {
    this.#closed = NOTHING
    this.#open.clear()
    this.#after = undefined
  }

  /** @throws TollwayError `store_unavailable` */
  async read(): Promise<Totals> {
    const { store, instance, startedAt, clock, breathe } = this.#context
    const now = clock.now()
    if (this.#open.size > MAX_OPEN || Math.abs(now - this.#wholeAt) >= WHOLE_MS) this.reset()
    if (this.#after === undefined) this.#wholeAt = now
    let sum = plus(await this.#readOpen(), this.#closed)
    let after = this.#after
    let isSettled = true
    for (;;) {
      const page = await store.history({
        since: startedAt - MARGIN_MS,
        until: Number.MAX_SAFE_INTEGER,
        instance,
        after,
        limit: PAGE,
      })
      const last = page.at(-1)
      if (!last) return sum
      sum = page.map(totalsOf).reduce(plus, sum)
      isSettled &&= last.reservedAt < now - SETTLE_MS
      if (isSettled) this.#keep(page, last)
      after = last
      await breathe()
    }
  }

  async #readOpen(): Promise<Totals> {
    const { store, breathe } = this.#context
    let sum = NOTHING
    let read = 0
    for (const id of this.#open) {
      const charge = await store.charge(id)
      if (charge && isFinal(charge)) {
        this.#open.delete(id)
        this.#closed = plus(this.#closed, totalsOf(charge))
      } else if (charge) sum = plus(sum, totalsOf(charge))
      read += 1
      if (read % PAGE === 0) await breathe()
    }
    return sum
  }

  /** Keeps a page whose charges are all old enough, so that it is not read again. */
  #keep(page: readonly Charge[], last: Charge): void {
    for (const charge of page) {
      if (isFinal(charge)) this.#closed = plus(this.#closed, totalsOf(charge))
      else this.#open.add(charge.id)
    }
    this.#after = last
  }
}

/** Whether a charge can no longer change. For an `upto` payment, the chain may prove a smaller amount after the receipt. */
export function isFinal({ state, proof, authorization }: Charge): boolean {
  if (state !== 'settled') return state === 'released'
  return proof === 'chain' || (proof === 'receipt' && authorization?.scheme !== 'upto')
}

function totalsOf(charge: Charge): Totals {
  return {
    authorized: charge.authorization ? (charge.microUsd ?? 0n) : 0n,
    settled: charge.state === 'settled' ? (takenOf(charge).microUsd ?? 0n) : 0n,
  }
}

function plus(a: Totals, b: Totals): Totals {
  return { authorized: a.authorized + b.authorized, settled: a.settled + b.settled }
}
