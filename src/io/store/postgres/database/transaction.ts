/** One transaction on the database, with statements written as for SQLite: `?` for each value. */
import type { Row } from '../../rows/rows.ts'
import { storable, type Connection, type Result, type Value } from './driver.ts'

/** How many different statements a connection keeps prepared: those of filters vary. */
const MAX_PREPARED = 400

const names = new Map<string, { readonly text: string; readonly name: string | undefined }>()

/**
 * A transaction. Its statements run one after the other, in the order in which they were asked for; those that do not wait for each
 * other's results travel together.
 */
export class Transaction {
  /** Resolves when it has begun. */
  readonly begun: Promise<void>
  readonly #connection: Connection
  readonly #sent: Promise<unknown>[] = []
  #hasBegun = false

  /** @param begun the statement that begins it, which may still be on its way */
  constructor(connection: Connection, begun: Promise<unknown>) {
    this.#connection = connection
    this.begun = this.#begin(begun)
    this.begun.catch(() => undefined)
  }

  async #begin(begun: Promise<unknown>): Promise<void> {
    await begun
    this.#hasBegun = true
  }

  /** Resolves when everything of {@link send} is done. */
  async sent(): Promise<void> {
    await Promise.all(this.#sent)
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

  /** Sends a statement without waiting for it: the transaction fails with it. */
  send(sql: string, ...values: readonly Value[]): void {
    const sent = this.#query(sql, values)
    sent.catch(() => undefined)
    this.#sent.push(sent)
  }

  /** Statements without values, which are not prepared. */
  async execute(sql: string): Promise<void> {
    await this.begun
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

  async #query(sql: string, values: readonly Value[]): Promise<Result> {
    // Outside a transaction, a write would stay; a read and its locks would not.
    if (!this.#hasBegun && !sql.startsWith('SELECT')) await this.begun
    const { text, name } = prepared(sql)
    return await this.#connection.query(text, values, name)
  }
}

/** Objects as the value of a parameter `?::jsonb`, which reads a member that is not there as NULL. */
export function json(value: readonly Readonly<Record<string, string | number | null>>[]): string {
  return JSON.stringify(value, (_key, each: unknown) =>
    typeof each === 'string' ? storable(each) : each === null ? undefined : each,
  )
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
