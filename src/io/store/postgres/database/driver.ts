/** The part of `pg` that the ledger uses, loaded when a Postgres store is opened: `pg` is an optional peer. */
import { ConfigError } from '../../../../core/errors.ts'
import type { Row } from '../../rows/rows.ts'
import type { PostgresAddress } from './address.ts'
import { databaseError } from './errors.ts'

/** A value of a statement. `bigint`s and lists of text are sent as text. */
export type Value = string | number | bigint | null | Uint8Array | readonly (string | number)[]

/** What a statement returned. */
export interface Result {
  readonly rows: readonly Row[]
  /** How many rows it returned or changed. */
  readonly count: number
  /** What the server did: `COMMIT`, or `ROLLBACK` where that was asked for after a failed statement. */
  readonly command: string
}

/** One connection to the database. Statements are sent at once and answered in their order. */
export interface Connection {
  /** @param name of the prepared statement; without one it is not prepared, and without values it may be several statements */
  query(text: string, values?: readonly Value[], name?: string): Promise<Result>
  /** Gives the connection back. @param isBroken whether it must not be used again */
  release(isBroken: boolean): void
}

/** Connections to the database. */
export interface Connections {
  /** @throws TollwayError `store_unavailable` */
  connect(): Promise<Connection>
  close(): Promise<void>
}

/** Bounds of every wait for the database, milliseconds. */
export interface Waits {
  readonly connectMs: number
  /** For a connection while all are taken. */
  readonly queueMs: number
  /** For one statement, waiting for locks included. */
  readonly statementMs: number
}

/** How the types of the ledger's columns are read, by their number in Postgres; NUMERIC and text come as text. */
const READERS: ReadonlyMap<number, (text: string) => number | Uint8Array> = new Map<
  number,
  (text: string) => number | Uint8Array
>([
  [16, (text) => (text === 't' ? 1 : 0)],
  [17, (text) => Buffer.from(text.slice('\\x'.length), 'hex')],
  [20, wholeNumber],
  [21, wholeNumber],
  [23, wholeNumber],
])

/**
 * Makes a pool; nothing is connected yet.
 * @throws ConfigError when `pg` is not installed
 */
export async function openConnections(address: PostgresAddress, waits: Waits): Promise<Connections> {
  const { default: pg } = await loadPg()
  const pool = new pg.Pool({
    host: address.host,
    port: address.port,
    database: address.database,
    user: address.user,
    ...(address.password === undefined ? {} : { password: address.password }),
    ssl: address.tls ?? false,
    max: address.poolSize,
    connectionTimeoutMillis: waits.connectMs,
    idleTimeoutMillis: 30_000,
    keepAlive: true,
    pipeline: true,
    application_name: 'tollway',
    // The server ends what it is still doing for a replica that is gone; the client ends what a lost server would answer.
    statement_timeout: waits.statementMs,
    idle_in_transaction_session_timeout: 2 * waits.statementMs,
    query_timeout: waits.statementMs + 500,
    options: `-c search_path=${address.schema} -c client_encoding=UTF8`,
    types: {
      getTypeParser: (type: number) => READERS.get(type) ?? ((text: string) => text),
    },
  })
  // An idle connection that ends is replaced by the pool; without a listener it would end the process.
  pool.on('error', () => undefined)
  return {
    connect: async () => {
      const client = await pool.connect().catch((error: unknown) => {
        throw databaseError(error)
      })
      // Told while nobody waits for an answer: the next statement fails.
      const ignore = (): void => undefined
      client.on('error', ignore)
      return {
        query: async (text, values, name) => {
          try {
            const result = await client.query<Record<string, Row[string]>>(
              values === undefined
                ? { text }
                : { ...(name === undefined ? {} : { name }), text, values: values.map(sent) },
            )
            return { rows: result.rows ?? [], count: result.rowCount ?? 0, command: result.command }
          } catch (error) {
            throw databaseError(error)
          }
        },
        release: (isBroken) => {
          client.off('error', ignore)
          client.release(isBroken)
        },
      }
    },
    close: () => pool.end(),
  }
}

async function loadPg() {
  try {
    return await import('pg')
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND')) throw error
    throw new ConfigError(
      'store: a Postgres ledger needs the package pg, which is not installed. Run npm i pg beside tollway, then start again.',
    )
  }
}

/** Milliseconds, counts and Unix seconds: none of them passes 2^53. */
function wholeNumber(text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value)) throw new Error('the ledger holds a number that is too large')
  return value
}

function sent(value: Value): unknown {
  if (typeof value === 'string') return storable(value)
  if (typeof value === 'bigint') return value.toString()
  if (value instanceof Uint8Array) return Buffer.from(value)
  return value
}

/** Postgres keeps neither NUL nor half a character in text; a seller may send either. */
export function storable(text: string): string {
  return text.toWellFormed().replaceAll('\0', '\uFFFD')
}
