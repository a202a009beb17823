/**
 * Group commit: all writes requested in one turn of the event loop, or in a few busy ones, share one transaction and at most one wait for the disk. Each
 * runs in its own savepoint, so that a write that throws rolls back only itself. No promise resolves before COMMIT has returned.
 * While another process has locked the file, the queue waits without blocking the event loop.
 */
import { TollwayError } from '../../../core/errors.ts'
import { storeError } from './file/errors.ts'
import { sqliteCode } from '../../files/sqlite-code.ts'

/** The part of `node:sqlite`'s connection that the queue uses. */
export interface Transactions {
  exec(sql: string): void
  readonly isTransaction: boolean
}

/** The most writes that share a transaction: bounds how long one turn blocks the event loop. */
const MAX_BATCH = 256

/** The most turns of the event loop that writes are gathered for: a transaction costs more than a turn. */
const MOST_TURNS = 5

const BUSY = 5
/** Pause before the next attempt while another process has locked the file, milliseconds. Transactions take a few. */
const BUSY_PAUSE_MS = 3

/** Options of {@link WriteQueue}. */
export interface WriteQueueOptions {
  /** How long a write waits for another process's transaction, milliseconds. */
  readonly busyTimeoutMs: number
  /** Called before each transaction. Throws a TollwayError when nothing may be written now. */
  readonly check?: (() => void) | undefined
}

interface Job {
  readonly isDurable: boolean
  /** `performance.now()` */
  readonly since: number
  /** Does the work. Returns a function that resolves the caller's promise, to be called after COMMIT. */
  readonly attempt: () => () => void
  readonly reject: (error: unknown) => void
}

/** Collects writes and runs them in shared transactions. */
export class WriteQueue {
  readonly #db: Transactions
  readonly #options: WriteQueueOptions
  #waiting: Job[] = []
  /** A ledger is opened with FULL. */
  #isDurable = true
  #scheduled = false

  constructor(db: Transactions, options: WriteQueueOptions) {
    this.#db = db
    this.#options = options
  }

  /**
   * Runs `work` in the next transaction.
   * @param work synchronous; when it throws, only this work is rolled back, and the promise rejects
   * @param isDurable whether it must survive a power loss when the promise resolves; otherwise it does with the next work that must
   * @throws TollwayError `store_unavailable` when the transaction cannot begin or commit; nothing was written then
   */
  run<T>(work: () => T, isDurable = true): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const attempt = (): (() => void) => {
        const value = work()
        return () => resolve(value)
      }
      this.#waiting.push({ isDurable, since: performance.now(), attempt, reject })
      this.#schedule()
    })
  }

  /** Runs everything in the queue now, without waiting for other processes. */
  drain(): void {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, MAX_BATCH)
      this.#runBatch(batch, (job, error) => job.reject(error))
    }
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    this.#gather(this.#waiting.length, MOST_TURNS)
  }

  /** A write that comes alone is run in the next turn. Where a turn brings others, one more turn may bring those of more requests. */
  #gather(before: number, turns: number): void {
    setImmediate(() => {
      const { length } = this.#waiting
      if (length > before && length < MAX_BATCH && turns > 1) this.#gather(length, turns - 1)
      else this.#turn()
    })
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

  /** @param onBusy called with each job when another process has locked the file; nothing was run then */
  #runBatch(batch: readonly Job[], onBusy: (job: Job, error: unknown) => void): void {
    if (batch.length === 0) return
    const completions: (() => void)[] = []
    let begun = false
    try {
      this.#options.check?.()
      this.#sync(batch.some(({ isDurable }) => isDurable))
      this.#db.exec('BEGIN IMMEDIATE')
      begun = true
      for (const job of batch) completions.push(this.#runJob(job))
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
    for (const complete of completions) complete()
  }

  /**
   * Whether COMMIT waits for the disk. It then makes everything durable that was committed to the same log before, by other
   * processes too.
   */
  #sync(isDurable: boolean): void {
    if (this.#isDurable === isDurable) return
    this.#db.exec(isDurable ? 'PRAGMA synchronous = FULL' : 'PRAGMA synchronous = NORMAL')
    this.#isDurable = isDurable
  }

  /** @throws the error when SQLite has rolled back the whole transaction, as it does when the disk is full */
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
      // The next BEGIN fails then and rejects its callers. Nothing of this batch was committed.
    }
  }
}

function batchError(error: unknown): unknown {
  const known = storeError(error)
  if (known instanceof TollwayError) return known
  return new TollwayError({
    code: 'store_unavailable',
    message: 'The ledger could not be written. Nothing of this write was recorded.',
    cause: error,
  })
}
