/** The ledger in one SQLite file: survives power loss, shared by any number of processes on one machine. */
import { resolve } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { TollwayError } from '../../../core/errors.ts'
import { storeClosed } from '../rules/charge-rules.ts'
import type { Store } from '../store.ts'
import { synchronousStore, type SynchronousContracts } from '../synchronous-store.ts'
import { SqliteAuditHeads } from './audit-heads.ts'
import { SqliteAuditOutbox } from './audit-outbox.ts'
import { SqliteBudgets } from './budgets.ts'
import { ChargeTable } from './charge-table.ts'
import { SqliteCharges } from './charges.ts'
import { checkFile, type FileCheck } from './file/check-file.ts'
import { storeError } from './file/errors.ts'
import { SqliteFileIdentity } from './file/file-identity.ts'
import { openLedgerFile, type Connection } from './file/file.ts'
import { SqliteFlags } from './flags.ts'
import { buildRollups, type BuildProgress } from './history/build-rollups.ts'
import { SqliteRollups } from './history/rollups.ts'
import { SqliteIdempotency } from './idempotency.ts'
import { SqliteInstances } from './instances.ts'
import { SqliteNotices } from './notices.ts'
import { SqlitePurchases } from './purchases.ts'
import { SqliteSellers } from './sellers.ts'
import { SqliteSpending } from './spending.ts'
import { SqliteVouchers } from './vouchers.ts'
import { WriteQueue } from './write-queue.ts'

/** How to open a SQLite ledger. */
export interface SqliteStoreOptions {
  /** The file; its directory must exist. Created with mode 0600 when missing. */
  readonly path: string
  /** How long a write waits for another process's transaction, milliseconds; default 1000. The event loop is not blocked. */
  readonly busyTimeoutMs?: number | undefined
  /** Opens the connection; for tests that watch or break it. */
  readonly connect?: ((path: string) => Connection) | undefined
  /** Told while the sums of a ledger of an older version are built, which goes on behind the requests. */
  readonly onBuild?: ((progress: BuildProgress) => void) | undefined
  /**
   * Told when a large ledger, whose last process did not end by itself, was read for damage. A damaged one is written no more.
   */
  readonly onChecked?: ((result: FileCheck) => void) | undefined
  /** Up to which size a ledger is read whole before it is used, bytes; default 16 MiB. */
  readonly readWholeBytes?: number | undefined
}

const BUSY_TIMEOUT_MS = 1000
/** How long SQLite itself waits for another process, milliseconds: most of their transactions are over by then. */
const BLOCKING_BUSY_MS = 5

/**
 * Opens a ledger file, or creates one.
 * @throws ConfigError when the file is damaged, not a ledger or newer, or its directory is missing: a fresh ledger never replaces it
 * @throws TollwayError `store_unavailable` when it is locked or the disk fails
 */
export function openSqliteStore(options: SqliteStoreOptions): Store {
  const opening = {
    path: options.path,
    busyTimeoutMs: options.busyTimeoutMs ?? BUSY_TIMEOUT_MS,
    connect: options.connect ?? ((path: string) => new DatabaseSync(path)),
    readWholeBytes: options.readWholeBytes,
  }
  return openLedgerFile(opening, (db, { isUnchecked }) => {
    const identity = new SqliteFileIdentity(options.path)
    // From here on the write queue waits for other processes; SQLite's own wait would block the event loop.
    db.exec(`PRAGMA busy_timeout = ${Math.min(opening.busyTimeoutMs, BLOCKING_BUSY_MS)}`)
    const { busyTimeoutMs } = opening
    let damage: TollwayError | undefined
    const check = (): void => {
      identity.check()
      if (damage) throw damage
    }
    const stopChecking = isUnchecked
      ? checkFile(resolve(options.path), (result) => {
          if (result === 'damaged') damage = damagedError()
          options.onChecked?.(result)
        })
      : () => undefined
    const queue = new WriteQueue(db, { busyTimeoutMs, check })
    return sqliteStore(db, queue, { onBuild: options.onBuild, onClose: stopChecking })
  })
}

function damagedError(): TollwayError {
  return new TollwayError({
    code: 'store_unavailable',
    message:
      'The ledger is damaged: reading all of it after its last process broke off found errors. Nothing more is paid.',
    advice: [
      'Stop every process that uses the ledger, and restore it from a backup: tollway backup restore --help.',
    ],
  })
}

interface Behind {
  readonly onBuild: SqliteStoreOptions['onBuild']
  readonly onClose: () => void
}

function sqliteStore(db: Connection, queue: WriteQueue, { onBuild, onClose }: Behind): Store {
  const rollups = new SqliteRollups(db)
  const contracts = prepareContracts(db, rollups)
  const ping = db.prepare('UPDATE pings SET count = count + 1')
  let isClosed = false

  const writeTo = async <T>(work: () => T, isDurable: boolean): Promise<T> => {
    if (isClosed) throw storeClosed()
    return await queue.run(work, isDurable)
  }
  const write = <T>(work: () => T): Promise<T> => writeTo(work, true)
  const writeSoon = <T>(work: () => T): Promise<T> => writeTo(work, false)
  /** One snapshot, at once: writers never make readers wait. No transaction stays open between two turns of the event loop. */
  const read = async <T>(work: () => T): Promise<T> => {
    if (isClosed) throw storeClosed()
    try {
      db.exec('BEGIN')
      return work()
    } catch (error) {
      throw storeError(error)
    } finally {
      // A read transaction changed nothing: it may end either way.
      if (db.isTransaction) db.exec('ROLLBACK')
    }
  }
  const stopBuilding = buildRollups({ db, rollups, write: writeSoon, onBuild })
  return synchronousStore(
    contracts,
    { read, write, writeSoon },
    {
      kind: 'sqlite',
      // A real write: nothing else notices a full or read-only disk.
      ping: () =>
        write(() => {
          ping.run()
        }),
      close: async () => {
        if (isClosed) return
        isClosed = true
        stopBuilding()
        onClose()
        queue.drain()
        db.close()
      },
    },
  )
}

function prepareContracts(db: Connection, rollups: SqliteRollups): SynchronousContracts {
  const table = new ChargeTable(db)
  const purchases = new SqlitePurchases(db)
  const followers = {
    budgets: new SqliteBudgets(db),
    sellers: new SqliteSellers(db),
    idempotency: new SqliteIdempotency(db),
    vouchers: new SqliteVouchers(db, table, purchases),
    outbox: new SqliteAuditOutbox(db),
  }
  const charges = new SqliteCharges(db, table, { ...followers, rollups })
  return {
    ...followers,
    charges,
    purchases,
    spending: new SqliteSpending(db, table, rollups),
    flags: new SqliteFlags(db, table),
    auditHeads: new SqliteAuditHeads(db),
    notices: new SqliteNotices(db),
    instances: new SqliteInstances(db, table, charges, followers.outbox),
  }
}
