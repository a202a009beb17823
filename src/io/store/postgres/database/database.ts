/** Runs work in transactions. */
import { TollwayError } from '../../../../core/errors.ts'
import { Semaphore } from '../../../../core/semaphore.ts'
import type { Connection, Connections } from './driver.ts'
import { isLost, isRetryable } from './errors.ts'
import { Transaction } from './transaction.ts'

/** How often work is done again because another transaction got into its way. */
const MAX_ATTEMPTS = 6
/** For how long nothing more is tried after a connection failed, milliseconds: a lost database sees no storm of connections. */
const PAUSE_MS = 250

/** How a transaction begins. */
export const BEGIN = {
  read: 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY',
  write: 'BEGIN ISOLATION LEVEL READ COMMITTED',
  // Written with the next durable commit; see `Transactions.writeSoon`.
  writeSoon: 'BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL synchronous_commit = off',
} as const

interface Options {
  /** How many transactions may run at once: one per connection. */
  readonly places: number
  /** How long the others wait for a place, milliseconds. */
  readonly queueMs: number
  /** Milliseconds that only grow. */
  readonly now?: (() => number) | undefined
}

/** The database of a ledger. */
export class Database {
  readonly #connections: Connections
  readonly #places: Semaphore
  readonly #queueMs: number
  readonly #now: () => number
  #failed: { readonly at: number; readonly error: unknown } | undefined

  constructor(connections: Connections, { places, queueMs, now = () => performance.now() }: Options) {
    this.#connections = connections
    this.#places = new Semaphore(places)
    this.#queueMs = queueMs
    this.#now = now
  }

  /**
   * Runs work in a transaction, again if another one got into its way.
   * @throws TollwayError `store_unavailable`; what was written is rolled back, or unknown when the connection was lost at its end
   */
  async transact<T>(begin: string, work: (transaction: Transaction) => Promise<T>): Promise<T> {
    const leave = await this.#places.take(AbortSignal.timeout(this.#queueMs)).catch((cause: unknown) => {
      throw busy(cause)
    })
    try {
      for (let attempt = 1; ; attempt += 1) {
        try {
          return await this.#attempt(begin, work)
        } catch (error) {
          if (!isRetryable(error) || attempt >= MAX_ATTEMPTS) throw error
        }
      }
    } finally {
      leave()
    }
  }

  async close(): Promise<void> {
    await this.#connections.close()
  }

  async #attempt<T>(begin: string, work: (transaction: Transaction) => Promise<T>): Promise<T> {
    const connection = await this.#connect()
    let isBroken = true
    try {
      const transaction = new Transaction(connection, connection.query(begin))
      const result = await work(transaction)
      await commit(connection, transaction)
      isBroken = false
      return result
    } catch (error) {
      isBroken = isLost(error) || !(await rollBack(connection))
      throw error
    } finally {
      connection.release(isBroken)
    }
  }

  async #connect(): Promise<Connection> {
    if (this.#failed && this.#now() - this.#failed.at < PAUSE_MS) throw this.#failed.error
    try {
      const connection = await this.#connections.connect()
      this.#failed = undefined
      return connection
    } catch (error) {
      this.#failed = { at: this.#now(), error }
      throw error
    }
  }
}

/** Ends a transaction together with what it still sends. */
async function commit(connection: Connection, transaction: Transaction): Promise<void> {
  await transaction.begun
  const committed = connection.query('COMMIT')
  const [{ command }] = await Promise.all([committed, transaction.sent()])
  // After a failed statement the server rolls back, and does not call that an error.
  if (command !== 'COMMIT') throw new Error('the transaction was rolled back: one of its statements failed')
}

function busy(cause: unknown): TollwayError {
  return new TollwayError({
    code: 'store_unavailable',
    message: "The ledger's database is busy: every connection of this process was taken.",
    advice: ['Give the pool more connections: pool_max in the address.'],
    cause,
  })
}

async function rollBack(connection: Connection): Promise<boolean> {
  try {
    await connection.query('ROLLBACK')
    return true
  } catch {
    return false
  }
}
