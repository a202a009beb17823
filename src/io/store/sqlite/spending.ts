/** Sums of charges and tokens in the SQLite ledger. Called inside the store's transactions. */
import type { StatementSync } from 'node:sqlite'
import type { ChargeState } from '../../../core/charge/charge.ts'
import type { Usage } from '../../../core/stream/usage.ts'
import {
  ALL_TOGETHER,
  type ChargeSum,
  type Consumption,
  type ConsumptionQuery,
  type SpendingStore,
  tagOfGroup,
  type SpendGroup,
  type SpendQuery,
  type SpendRow,
  type SpentBy,
} from '../contracts/spending.ts'
import { addSums, NO_SUMS, type SpendSums } from '../rules/rollup-rules.ts'
import type { InTransaction } from '../synchronous-store.ts'
import type { ChargeTable } from './charge-table.ts'
import type { Connection } from './file/file.ts'
import { integer, text } from '../rows/rows.ts'
import { addUpParts, RollupReader, type SpendPart } from './history/rollup-reader.ts'
import type { SqliteRollups } from './history/rollups.ts'

const COUNTED_STATES: readonly ChargeState[] = ['held', 'authorized', 'settled', 'uncertain']

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
    const parts = this.#reader.read({ ...filter, tag: by && tagOfGroup(by) })
    return addUpParts(parts, (part) => (by === undefined ? ALL_TOGETHER : groupOf(part, by)))
      .map(({ group, state, sums: { charges, unpriced, takenMicroUsd, inputTokens, outputTokens } }) => {
        const tokens = inputTokens + outputTokens
        const row = { group, state, charges, unpriced, microUsd: takenMicroUsd }
        return tokens === 0n ? row : { ...row, tokens }
      })
      .toSorted((a, b) => compare(a.group, b.group) || compare(a.state, b.state))
  }

  sum(state: ChargeState): ChargeSum {
    const sums =
      state === 'uncertain'
        ? this.#reader.uncertain()
        : this.#reader.read({ states: [state] }).map((part) => part.sums)
    const { charges, takenMicroUsd } = total(sums)
    return { count: charges, microUsd: takenMicroUsd }
  }

  spentBy(since: number, until?: number): SpentBy[] {
    const parts = this.#reader.read({ states: ['settled'], from: since, to: until })
    return addUpParts(parts, ({ route, remoteModel, payer, seller, caller }) => [
      route,
      remoteModel,
      payer,
      seller,
      caller,
    ])
      .toSorted((a, b) => compareAll(a.group, b.group))
      .map(({ group: [route = '', model = '', payer = '', seller = '', caller = ''], sums }) => {
        return { route, model, payer, seller, caller, charges: sums.charges, microUsd: sums.takenMicroUsd }
      })
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
    const parts = this.#reader.read({ states: COUNTED_STATES, caller, from: since })
    const { charges, takenMicroUsd, inputTokens, outputTokens } = total(parts.map((part) => part.sums))
    return {
      charges,
      microUsd: takenMicroUsd,
      inputTokens: Number(inputTokens),
      outputTokens: Number(outputTokens),
    }
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

function total(sums: readonly SpendSums[]): SpendSums {
  return sums.reduce((sum, each) => addSums(sum, each), NO_SUMS)
}

function groupOf(part: SpendPart, by: SpendGroup): string {
  if (by === 'model') return part.remoteModel
  if (by === 'route' || by === 'payer' || by === 'seller' || by === 'caller') return part[by]
  return part.tag
}

function compareAll(a: readonly string[], b: readonly string[]): number {
  for (const [index, value] of a.entries()) {
    const order = compare(value, b[index] ?? '')
    if (order !== 0) return order
  }
  return 0
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
