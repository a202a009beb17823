/**
 * Builds the sums of a ledger of an older version in steps, behind the requests: reports are right meanwhile, and get faster. A
 * step is a transaction, so that a process that ends leaves the rest to the next one.
 */
import { sqliteCode } from '../../../files/sqlite-code.ts'
import type { Connection } from '../file/file.ts'
import { integer } from '../../rows/rows.ts'
import type { SqliteRollups } from './rollups.ts'

/** How far the sums are built. */
export interface BuildProgress {
  /** Charges that were added since this process opened the ledger. */
  readonly built: number
  /** Charges in the ledger; about, where some were deleted. */
  readonly charges: number
  readonly done: boolean
}

/** What {@link buildRollups} works with. */
export interface BuildContext {
  readonly db: Connection
  readonly rollups: Pick<SqliteRollups, 'build' | 'isComplete'>
  /** Runs work in a transaction. */
  readonly write: <T>(work: () => T) => Promise<T>
  readonly onBuild?: ((progress: BuildProgress) => void) | undefined
  /** Charges per step; default 250, which takes a few milliseconds. */
  readonly step?: number | undefined
}

const STEP = 250
/** Steps that are taken at once, before the ledger is used: most ledgers are done then. */
const FIRST_STEPS = 4
/** The pause after a step as a multiple of its duration: at most a quarter of the thread is used. */
const REST = 3
const BUSY = 5

/**
 * Begins to build, if there is anything to build.
 * @returns a function that ends it
 */
export function buildRollups({ db, rollups, write, onBuild, step = STEP }: BuildContext): () => void {
  if (rollups.isComplete() || !firstSteps(db, rollups, step)) return () => undefined
  const charges = integer(
    db.prepare('SELECT coalesce(max(rowid), 0) AS charges FROM charges').get() ?? {},
    'charges',
  )
  let timer: NodeJS.Timeout | undefined
  let isStopped = false
  let built = 0
  const next = async (): Promise<void> => {
    const since = performance.now()
    // While another process writes, or the disk is full: the next step tries again.
    const added = await write(() => rollups.build(step)).catch(() => undefined)
    built += added ?? 0
    if (isStopped) return
    const done = added !== undefined && added < step
    onBuild?.({ built, charges, done })
    if (!done) later((performance.now() - since) * REST)
  }
  const later = (ms: number): void => {
    timer = setTimeout(() => void next(), ms)
    timer.unref()
  }
  later(0)
  return () => {
    isStopped = true
    clearTimeout(timer)
  }
}

/** @returns whether there is more to build */
function firstSteps(db: Connection, rollups: BuildContext['rollups'], step: number): boolean {
  try {
    db.exec('BEGIN IMMEDIATE')
    const added = rollups.build(step * FIRST_STEPS)
    db.exec('COMMIT')
    return added === step * FIRST_STEPS
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK')
    if (sqliteCode(error) === BUSY) return true
    throw error
  }
}
