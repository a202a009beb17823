/** Sums of charges and tokens in the Postgres ledger. Called inside the store's transactions. */
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
import type { ChargeTable } from './charge-table.ts'
import type { Transaction } from './database/transaction.ts'
import { RollupReader } from './history/rollup-reader.ts'
import { PostgresRollups } from './history/rollups.ts'

/** The spending of the Postgres ledger. */
export class PostgresSpending implements SpendingStore {
  readonly #db: Transaction
  readonly #table: ChargeTable
  readonly #reader: RollupReader

  constructor(db: Transaction, table: ChargeTable) {
    this.#db = db
    this.#table = table
    this.#reader = new RollupReader(db)
  }

  async spend(query: SpendQuery): Promise<SpendRow[]> {
    const { by, ...filter } = query
    return spendRows(await this.#reader.read({ ...filter, tag: by && tagOfGroup(by) }), by)
  }

  async sum(state: ChargeState): Promise<ChargeSum> {
    return chargeSum(
      state === 'uncertain'
        ? await this.#reader.uncertain()
        : (await this.#reader.read({ states: [state] })).map((part) => part.sums),
    )
  }

  async spentBy(since: number, until?: number): Promise<SpentBy[]> {
    return spentByRows(await this.#reader.read({ states: ['settled'], from: since, to: until }))
  }

  async noteUsage(id: string, usage: Usage): Promise<void> {
    // Locked, so that the charge is added up either with its tokens or without them.
    const charge = await this.#table.lock(id)
    if (!charge) return
    const added = await this.#db.run(
      'INSERT INTO charge_usage VALUES (?, ?, ?) ON CONFLICT (charge) DO NOTHING',
      id,
      usage.inputTokens,
      usage.outputTokens,
    )
    if (added === 1) await new PostgresRollups(this.#db).noteUsage(charge, usage)
  }

  async usages(charges: readonly string[]): Promise<ReadonlyMap<string, Usage>> {
    const rows = await this.#db.all('SELECT * FROM charge_usage WHERE charge = ANY(?::text[])', charges)
    return new Map(
      rows.map((row) => [
        text(row, 'charge'),
        { inputTokens: integer(row, 'input_tokens'), outputTokens: integer(row, 'output_tokens') },
      ]),
    )
  }

  async consumption({ caller, since }: ConsumptionQuery): Promise<Consumption> {
    return consumptionOf(await this.#reader.read({ states: COUNTED_STATES, caller, from: since }))
  }
}
