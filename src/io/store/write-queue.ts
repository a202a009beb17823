/**
 * Group commit: all writes asked for in one turn of the event loop share one transaction and one wait for the
 * disk. Each runs in its own savepoint, so one that throws takes only itself back. No promise resolves before
 * COMMIT has returned.
 */
import { TollwayError } from '../../core/errors.ts'
import { storeError } from './sqlite-errors.ts'

/** The part of `node:sqlite`'s connection the queue needs. */
export interface Transactions {
  exec(sql: string): void
  readonly isTransaction: boolean
}

/** How many writes share a transaction at most: bounds how long one drain keeps the event loop. */
const MAX_BATCH = 256

interface Job {
  /** Does the work; what it returns tells the waiting caller, and is called after COMMIT. */
  readonly attempt: () => () => void
  readonly reject: (error: unknown) => void
}

/** See the file's head. */
export class WriteQueue {
  readonly #db: Transactions
  #waiting: Job[] = []
  #scheduled = false

  constructor(db: Transactions) {
    this.#db = db
  }

  /**
   * Runs `work` in the next transaction.
   * @param work synchronous; what it throws rolls back this work alone and rejects
   * @throws TollwayError `store_unavailable` when the transaction cannot be begun or committed; nothing was written then
   */
  run<T>(work: () => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const attempt = (): (() => void) => {
        const value = work()
        return () => resolve(value)
      }
      this.#waiting.push({ attempt, reject })
      this.#schedule()
    })
  }

  /** Runs everything that waits, now. */
  drain(): void {
    while (this.#waiting.length > 0) this.#runBatch()
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#runBatch()
      if (this.#waiting.length > 0) this.#schedule()
    })
  }

  #runBatch(): void {
    const batch = this.#waiting.slice(0, MAX_BATCH)
    this.#waiting = this.#waiting.slice(MAX_BATCH)
    if (batch.length === 0) return
    const tell: (() => void)[] = []
    try {
      this.#db.exec('BEGIN IMMEDIATE')
      for (const job of batch) tell.push(this.#runJob(job))
      this.#db.exec('COMMIT')
    } catch (error) {
      this.#rollBack()
      for (const job of batch) job.reject(batchError(error))
      return
    }
    for (const done of tell) done()
  }

  /** @throws when the whole transaction is lost, as SQLite does on its own on a full disk */
  #runJob(job: Job): () => void {
    this.#db.exec('SAVEPOINT job')
    try {
      const done = job.attempt()
      this.#db.exec('RELEASE job')
      return done
    } catch (error) {
      if (!this.#db.isTransaction) throw error
      this.#db.exec('ROLLBACK TO job')
      this.#db.exec('RELEASE job')
      return () => job.reject(storeError(error))
    }
  }

  #rollBack(): void {
    try {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK')
    } catch {
      // The next BEGIN fails then, and tells its callers; nothing of this batch was committed.
    }
  }
}

function batchError(error: unknown): unknown {
  const known = storeError(error)
  if (known instanceof TollwayError) return known
  return new TollwayError({
    code: 'store_unavailable',
    message: 'The ledger could not be written.',
    cause: error,
  })
}
