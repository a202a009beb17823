/**
 * How far the database's clock is ahead of this process's. Replicas date charges by the database's clock, so that all of them count in
 * the same budget windows, whatever their own clocks say.
 */
import { integer } from '../../rows/rows.ts'
import type { Transaction } from './transaction.ts'

/** An answer that took longer says too little about the instant that it tells, milliseconds. */
const MOST_TRIP_MS = 2000

/** The clock of a ledger's database. */
export class DatabaseClock {
  readonly #now: () => number
  #aheadMs = 0
  #isKnown = false

  /** @param now this process's clock, milliseconds since the epoch */
  constructor(now: () => number) {
    this.#now = now
  }

  /** Milliseconds, negative where this process's clock is ahead; as last measured, to about half a round trip. */
  get aheadMs(): number {
    return this.#aheadMs
  }

  /** Compares the clocks. */
  async measure(db: Transaction): Promise<void> {
    await db.begun
    const before = this.#now()
    const row = await db.get('SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now')
    const after = this.#now()
    if (!row || (this.#isKnown && after - before > MOST_TRIP_MS)) return
    this.#isKnown = true
    this.#aheadMs = Math.round(integer(row, 'now') - (before + after) / 2)
  }
}
