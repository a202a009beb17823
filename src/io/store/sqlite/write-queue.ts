/**
 * Group commit: all writes asked for in one turn of the event loop share one transaction and one wait for the
 * disk. Each runs in its own savepoint, so one that throws takes only itself back. No promise resolves before
 * COMMIT has returned. While another process holds the file, the queue waits and the event loop does not.
 */
import { TollwayError } from '../../../core/errors.ts'
import { storeError } from './errors.ts'
import { sqliteCode } from '../../files/sqlite-code.ts'

/** The part of `node:sqlite`'s connection the queue needs. */
export interface Transactions {
  exec(sql: string): void
  readonly isTransaction: boolean
}

/** How many writes share a transaction at most: bounds how long one drain keeps the event loop. */
const MAX_BATCH = 256

const BUSY = 5
/** Pause before asking again for a file that another process holds, milliseconds: its transactions take a few. */
const BUSY_PAUSE_MS = 3

/** How a {@link WriteQueue} waits and looks. */
export interface WriteQueueOptions {
  /** How long a write waits for another process's transaction, milliseconds. */
  readonly busyTimeoutMs: number
  /** Called before each transaction. @throws TollwayError when nothing may be written now */
  readonly check?: (() => void) | undefined
}

interface Job {
  /** `performance.now()` */
  readonly since: number
  /** Does the work; what it returns tells the waiting caller, and is called after COMMIT. */
  readonly attempt: () => () => void
  readonly reject: (error: unknown) => void
}

/** See the file's head. */
export class WriteQueue {
  readonly #db: Transactions
  readonly #options: WriteQueueOptions
  #waiting: Job[] = []
  #scheduled = false

  constructor(db: Transactions, options: WriteQueueOptions) {
    this.#db = db
    this.#options = options
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
      this.#waiting.push({ since: performance.now(), attempt, reject })
      this.#schedule()
    })
  }

  /** Runs everything that waits, now; nothing waits for another process any more. */
  drain(): void {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, MAX_BATCH)
      this.#runBatch(batch, (job, error) => job.reject(error))
    }
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => this.#turn())
  }

  #turn(): void {
    this.#scheduled = false
    const again: Job[] = []
    const { busyTimeoutMs } = this.#options
    const batch = this.#waiting.splice(0, MAX_BATCH)
    this.#runBatch(batch, (job, error) => {
      if (performance.now() - job.since < busyTimeoutMs) again.push(job)
      else job.reject(error)
    })
    this.#waiting.unshift(...again)
    if (this.#waiting.length === 0) return
    if (again.length === 0) return this.#schedule()
    this.#scheduled = true
    setTimeout(() => this.#turn(), BUSY_PAUSE_MS)
  }

  /** @param onBusy gets each job when another process holds the file: nothing was run then */
  #runBatch(batch: readonly Job[], onBusy: (job: Job, error: unknown) => void): void {
    if (batch.length === 0) return
    const tell: (() => void)[] = []
    let begun = false
    try {
      this.#options.check?.()
      this.#db.exec('BEGIN IMMEDIATE')
      begun = true
      for (const job of batch) tell.push(this.#runJob(job))
      this.#db.exec('COMMIT')
    } catch (error) {
      this.#rollBack()
      const isBusy = !begun && sqliteCode(error) === BUSY
      for (const job of batch) {
        if (isBusy) onBusy(job, batchError(error))
        else job.reject(batchError(error))
      }
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
