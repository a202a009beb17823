/** Sums of charges and tokens in the SQLite ledger. Called inside the store's transactions. */
import type { StatementSync } from 'node:sqlite'
import { OTHER_SUBJECT } from '../../../core/budget/scope.ts'
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
import { filterCondition } from '../rules/charge-filter.ts'
import type { InTransaction } from '../synchronous-store.ts'
import type { Connection } from './file.ts'
import { amount, integer, rowToSpentBy, rowToState, rowToTakenMicroUsd, text, type Row } from './rows.ts'

/** Values up to this many digits are added up by SQL: nine million of them fit a 64-bit integer. */
const SMALL_DIGITS = 12

/** `askedModel` of core/charge in SQL. */
const MODEL = `coalesce(nullif(remote_model, ''), model)`

/** The spending of the SQLite ledger. */
export class SqliteSpending implements InTransaction<SpendingStore> {
  readonly #db: Connection
  readonly #microUsd: StatementSync
  readonly #settled: StatementSync
  readonly #settledInPart: StatementSync
  readonly #note: StatementSync
  readonly #usages: StatementSync
  readonly #boughtByAll: StatementSync
  readonly #boughtByCaller: StatementSync

  constructor(db: Connection) {
    this.#db = db
    this.#microUsd = db.prepare('SELECT micro_usd, amount, charged FROM charges WHERE state = ?')
    // Micro-USD are far below 2^63, past which sum() fails rather than rounds. Charges settled in part are read separately.
    this.#settled = db.prepare(`SELECT route, ${MODEL} AS asked, payer, seller, caller, count(*) AS charges,
    CAST(coalesce(sum(CASE WHEN charged IS NULL THEN CAST(micro_usd AS INTEGER) END), 0) AS TEXT) AS micro_usd
    FROM charges WHERE state = 'settled' AND reserved_at >= ? AND reserved_at < ?
    GROUP BY route, asked, payer, seller, caller ORDER BY route, asked, payer, seller, caller`)
    this.#settledInPart =
      db.prepare(`SELECT route, ${MODEL} AS asked, payer, seller, caller, micro_usd, amount, charged FROM charges
    WHERE state = 'settled' AND reserved_at >= ? AND reserved_at < ? AND charged IS NOT NULL`)
    const bought = `SELECT micro_usd, amount, charged, coalesce(input_tokens, 0) AS input_tokens, coalesce(output_tokens, 0) AS output_tokens
      FROM charges LEFT JOIN charge_usage ON charge_usage.charge = charges.id
      WHERE state <> 'released' AND reserved_at >= ?`
    this.#note = db.prepare(`INSERT INTO charge_usage SELECT id, ?, ? FROM charges WHERE id = ?
      ON CONFLICT (charge) DO NOTHING`)
    this.#usages = db.prepare('SELECT * FROM charge_usage WHERE charge IN (SELECT value FROM json_each(?))')
    this.#boughtByAll = db.prepare(bought)
    this.#boughtByCaller = db.prepare(`${bought} AND caller = ?`)
  }

  spend(query: SpendQuery): SpendRow[] {
    const { sql, values } = filterCondition(query)
    const group = query.by === undefined ? `'${ALL_TOGETHER}'` : groupSql(query.by)
    const small = `length(micro_usd) <= ${SMALL_DIGITS} AND charged IS NULL`
    const rows = this.#db.prepare(
      `SELECT ${group} AS name, state, count(*) AS charges, count(*) - count(micro_usd) AS unpriced,
        CAST(coalesce(sum(CASE WHEN ${small} THEN CAST(micro_usd AS INTEGER) END), 0) AS TEXT) AS total
        FROM charges WHERE ${sql} GROUP BY name, state ORDER BY name, state`,
    )
    const large = this.#db.prepare(
      `SELECT ${group} AS name, state, micro_usd, amount, charged FROM charges
        WHERE (length(micro_usd) > ${SMALL_DIGITS} OR charged IS NOT NULL) AND ${sql}`,
    )
    // Larger values and parts of signed amounts are added up here: SQL's sums are doubles or 64-bit integers.
    const more = new Map<string, bigint>()
    for (const row of large.iterate(...values)) {
      const key = JSON.stringify([text(row, 'name'), rowToState(row)])
      more.set(key, (more.get(key) ?? 0n) + (rowToTakenMicroUsd(row) ?? 0n))
    }
    return rows.all(...values).map((row) => {
      const [name, state] = [text(row, 'name'), rowToState(row)]
      const microUsd = amount(row, 'total') + (more.get(JSON.stringify([name, state])) ?? 0n)
      const [charges, unpriced] = [integer(row, 'charges'), integer(row, 'unpriced')]
      return { group: name, state, charges, unpriced, microUsd }
    })
  }

  sum(state: ChargeState): ChargeSum {
    let count = 0
    let microUsd = 0n
    // Added up here and not by SQL: its sums are doubles or 64-bit integers.
    for (const row of this.#microUsd.iterate(state)) {
      count += 1
      microUsd += rowToTakenMicroUsd(row) ?? 0n
    }
    return { count, microUsd }
  }

  spentBy(since: number, until = Number.MAX_SAFE_INTEGER): SpentBy[] {
    // Parts of signed amounts are computed here: products of two amounts exceed SQL's 64 bits.
    const partlySpent = new Map<string, bigint>()
    for (const row of this.#settledInPart.iterate(since, until)) {
      const group = groupOf(row)
      partlySpent.set(group, (partlySpent.get(group) ?? 0n) + (rowToTakenMicroUsd(row) ?? 0n))
    }
    return this.#settled.all(since, until).map((row) => {
      const sum = rowToSpentBy(row)
      return { ...sum, microUsd: sum.microUsd + (partlySpent.get(groupOf(row)) ?? 0n) }
    })
  }

  noteUsage(charge: string, { inputTokens, outputTokens }: Usage): void {
    this.#note.run(inputTokens, outputTokens, charge)
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
    const rows =
      caller === undefined ? this.#boughtByAll.iterate(since) : this.#boughtByCaller.iterate(since, caller)
    let [charges, microUsd, inputTokens, outputTokens] = [0, 0n, 0, 0]
    // Added up here and not by SQL: its sums are doubles or 64-bit integers.
    for (const row of rows) {
      charges += 1
      microUsd += rowToTakenMicroUsd(row) ?? 0n
      inputTokens += integer(row, 'input_tokens')
      outputTokens += integer(row, 'output_tokens')
    }
    return { charges, microUsd, inputTokens, outputTokens }
  }
}

function groupOf(row: Row): string {
  return JSON.stringify(['route', 'asked', 'payer', 'seller', 'caller'].map((column) => text(row, column)))
}

/** The value of a group in SQL. Only names that were checked become part of it. */
function groupSql(by: SpendGroup): string {
  if (by === 'model') return MODEL
  if (by === 'route' || by === 'payer' || by === 'seller' || by === 'caller') return by
  const prefix = `${tagOfGroup(by) ?? ''}:`
  return `coalesce((SELECT substr(value, ${prefix.length + 1}) FROM json_each(tags)
    WHERE substr(value, 1, ${prefix.length}) = '${prefix}' ORDER BY key LIMIT 1), '${OTHER_SUBJECT}')`
}
