/** Sums of charges and tokens in the SQLite ledger. Called inside the store's transactions. */
import type { StatementSync } from 'node:sqlite'
import type { ChargeState } from '../../../core/charge/charge.ts'
import type { Usage } from '../../../core/stream/usage.ts'
import {
  tagOfGroup,
  type ChargeSum,
  type Consumption,
  type ConsumptionQuery,
  type SpendingStore,
  type SpendQuery,
  type SpendRow,
  type SpentBy,
} from '../contracts/spending.ts'
import { integer, text } from '../rows/rows.ts'
import { chargeSum, consumptionOf, COUNTED_STATES, spendRows, spentByRows } from '../rules/spending-rules.ts'
import type { InTransaction } from '../synchronous-store.ts'
import type { ChargeTable } from './charge-table.ts'
import type { Connection } from './file/file.ts'
import { RollupReader } from './history/rollup-reader.ts'
import type { SqliteRollups } from './history/rollups.ts'

/** The sums of charges, read only. */
export class SpendingReader implements Omit<InTransaction<SpendingStore>, 'noteUsage'> {
  readonly #reader: RollupReader
  readonly #usages: StatementSync

  constructor(db: Connection) {
    this.#reader = new RollupReader(db)
    this.#usages = db.prepare('SELECT * FROM charge_usage WHERE charge IN (SELECT value FROM json_each(?))')
  }

  spend(query: SpendQuery): SpendRow[] {
    const { by, ...filter } = query
    return spendRows(this.#reader.read({ ...filter, tag: by && tagOfGroup(by) }), by)
  }

  sum(state: ChargeState): ChargeSum {
    return chargeSum(
      state === 'uncertain'
        ? this.#reader.uncertain()
        : this.#reader.read({ states: [state] }).map((part) => part.sums),
    )
  }

  spentBy(since: number, until?: number): SpentBy[] {
    return spentByRows(this.#reader.read({ states: ['settled'], from: since, to: until }))
  }

  usages(charges: readonly string[]): ReadonlyMap<string, Usage> {
    const rows = this.#usages.all(JSON.stringify(charges))
    return new Map(
      rows.map((row) => [
        text(row, 'charge'),
        { inputTokens: integer(row, 'input_tokens'), outputTokens: integer(row, 'output_tokens') },
      ]),
    )
  }

  consumption({ caller, since }: ConsumptionQuery): Consumption {
    return consumptionOf(this.#reader.read({ states: COUNTED_STATES, caller, from: since }))
  }
}

/** The spending of the SQLite ledger. */
export class SqliteSpending extends SpendingReader implements InTransaction<SpendingStore> {
  readonly #table: ChargeTable
  readonly #rollups: SqliteRollups
  readonly #note: StatementSync

  constructor(db: Connection, table: ChargeTable, rollups: SqliteRollups) {
    super(db)
    this.#table = table
    this.#rollups = rollups
    this.#note = db.prepare(`INSERT INTO charge_usage SELECT id, ?, ? FROM charges WHERE id = ?
      ON CONFLICT (charge) DO NOTHING`)
  }

  noteUsage(id: string, usage: Usage): void {
    const { changes } = this.#note.run(usage.inputTokens, usage.outputTokens, id)
    const charge = Number(changes) === 0 ? undefined : this.#table.get(id)
    if (charge) this.#rollups.noteUsage(charge, usage)
  }
}
