/** One transaction on the database, with statements written as for SQLite: `?` for each value. */
import type { Row } from '../../rows/rows.ts'
import { storable, type Connection, type Value } from './driver.ts'

/** How many different statements a connection keeps prepared: those of filters vary. */
const MAX_PREPARED = 400

const names = new Map<string, { readonly text: string; readonly name: string | undefined }>()

/** A transaction. Its statements run one after the other. */
export class Transaction {
  readonly #connection: Connection

  constructor(connection: Connection) {
    this.#connection = connection
  }

  /** Every row. */
  async all(sql: string, ...values: readonly Value[]): Promise<readonly Row[]> {
    return (await this.#query(sql, values)).rows
  }

  /** The first row. */
  async get(sql: string, ...values: readonly Value[]): Promise<Row | undefined> {
    return (await this.#query(sql, values)).rows[0]
  }

  /** How many rows it changed. */
  async run(sql: string, ...values: readonly Value[]): Promise<number> {
    return (await this.#query(sql, values)).count
  }

  /** Statements without values, which are not prepared. */
  async execute(sql: string): Promise<void> {
    await this.#connection.query(sql)
  }

  /**
   * Locks names until the transaction ends, so that what they stand for is read and written by one transaction at a time. All are
   * locked in one order: transactions that lock once cannot wait for each other in a circle.
   */
  async lock(locked: readonly string[]): Promise<void> {
    if (locked.length === 0) return
    await this.#query(
      `SELECT pg_advisory_xact_lock(key) FROM (
        SELECT DISTINCT hashtextextended(current_schema() || ' ' || name, 7402) AS key FROM unnest(?::text[]) AS name ORDER BY key
      ) AS keys`,
      [locked.map(storable)],
    )
  }

  #query(sql: string, values: readonly Value[]) {
    const { text, name } = prepared(sql)
    return this.#connection.query(text, values, name)
  }
}

/** Objects as the value of a parameter `?::jsonb`. */
export function json(value: readonly Readonly<Record<string, string | number | null>>[]): string {
  return JSON.stringify(value, (_key, each: unknown) => (typeof each === 'string' ? storable(each) : each))
}

function prepared(sql: string): { readonly text: string; readonly name: string | undefined } {
  const known = names.get(sql)
  if (known) return known
  let count = 0
  const text = sql.replaceAll('?', () => `$${(count += 1)}`)
  const statement = { text, name: names.size < MAX_PREPARED ? `tollway_${names.size}` : undefined }
  if (names.size < MAX_PREPARED) names.set(sql, statement)
  return statement
}
