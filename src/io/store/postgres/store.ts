/** The ledger in a Postgres database: shared by any number of processes on any number of machines. */
import type { Charge } from '../../../core/charge/charge.ts'
import type { AuthorizeRefusal, Reservation } from '../contracts/charges.ts'
import { composeStore, type ContractsWithin } from '../compose-store.ts'
import { storeClosed } from '../rules/charge-rules.ts'
import type { Store } from '../store.ts'
import { PostgresAuditHeads } from './audit-heads.ts'
import { PostgresAuditOutbox } from './audit-outbox.ts'
import { PostgresBudgets } from './budgets.ts'
import { ChargeTable } from './charge-table.ts'
import { Lane } from './database/lane.ts'
import { moveNames, type MoveWork } from './move-all.ts'
import { reservationNames, type ReserveWork } from './reserve-all.ts'
import { movedBy, PostgresCharges } from './charges.ts'
import { parseAddress, shownAddress } from './database/address.ts'
import { DatabaseClock } from './database/clock.ts'
import { BEGIN, Database } from './database/database.ts'
import { openConnections, type Waits } from './database/driver.ts'
import { checkDurability } from './database/durability.ts'
import { checkVersion, migrate } from './database/migrate.ts'
import type { Transaction } from './database/transaction.ts'
import { PostgresFlags } from './flags.ts'
import { PostgresRollups } from './history/rollups.ts'
import { PostgresIdempotency } from './idempotency.ts'
import { PostgresInstances } from './instances.ts'
import { PostgresNotices } from './notices.ts'
import { PostgresPurchases } from './purchases.ts'
import { PostgresSellers } from './sellers.ts'
import { PostgresSpending } from './spending.ts'
import { PostgresVouchers } from './vouchers.ts'

/** How to open a Postgres ledger. */
export interface PostgresStoreOptions {
  /** `postgres://user:password@host:port/database` and parameters; see `parseAddress`. */
  readonly address: string
  readonly waits?: Partial<Waits> | undefined
  /** Only a ledger that a gateway has made already. */
  readonly isExpected?: boolean | undefined
  /** Told what a failover of the database could lose. */
  readonly onWarning?: ((warning: string) => void) | undefined
  /** This process's clock, milliseconds since the epoch. */
  readonly now?: (() => number) | undefined
}

/** A paid request waits no longer than these for a database that is gone. */
const WAITS: Waits = { connectMs: 5000, queueMs: 5000, statementMs: 5000 }

/**
 * Opens a ledger, or creates its tables.
 * @throws ConfigError for a wrong address, when `pg` is not installed, when a newer Tollway has written the ledger, or the database
 * may lose what it confirms
 * @throws TollwayError `store_unavailable` when the database does not answer
 */
export async function openPostgresStore(options: PostgresStoreOptions): Promise<Store> {
  const address = parseAddress(options.address)
  const waits = { ...WAITS, ...options.waits }
  const { now = Date.now } = options
  const clock = new DatabaseClock(now)
  const connections = await openConnections(address, waits)
  const database = new Database(connections, { places: address.poolSize, queueMs: waits.queueMs })
  try {
    if (options.isExpected === true) {
      await database.transact(BEGIN.read, (db) => checkVersion(db, shownAddress(address)))
    } else await migrate(database, address.schema)
    const warnings = await database.transact(BEGIN.read, async (db) => {
      await clock.measure(db)
      return await checkDurability(db, now())
    })
    for (const warning of warnings) options.onWarning?.(warning)
  } catch (error) {
    await database.close()
    throw error
  }
  return postgresStore(database, clock, waits.queueMs)
}

function postgresStore(database: Database, clock: DatabaseClock, queueMs: number): Store {
  let isClosed = false
  const running = new Set<Promise<unknown>>()
  /** Closing waits for what was asked for before. */
  const accepted = async <T>(work: () => Promise<T>): Promise<T> => {
    if (isClosed) throw storeClosed()
    const done = work()
    running.add(done)
    try {
      return await done
    } finally {
      running.delete(done)
    }
  }
  const run = <T>(begin: string, work: (db: Transaction) => T | Promise<T>): Promise<T> =>
    accepted(() => database.transact(begin, async (db) => await work(db)))
  const within =
    (begin: string) =>
    <T>(work: (contracts: ContractsWithin) => T | Promise<T>): Promise<T> =>
      run(begin, (db) => work(contractsWithin(db)))
  const composed = composeStore(
    {
      read: within(BEGIN.read),
      write: within(BEGIN.write),
      writeSoon: within(BEGIN.writeSoon),
      // A database that lost it would start again beside gateways that go on.
      writeEnd: within(BEGIN.write),
    },
    {
      kind: 'postgres',
      // A real write: nothing else notices a full disk, or a server that only answers reads.
      ping: () =>
        run(BEGIN.write, async (db) => {
          await db.run('UPDATE pings SET count = count + 1')
        }),
      close: async () => {
        if (isClosed) return
        isClosed = true
        await Promise.allSettled(running)
        await database.close()
      },
    },
  )
  const { reserve, authorize, move } = grouped(database, queueMs)
  return {
    ...composed,
    clockAheadMs: () => clock.aheadMs,
    heartbeat: async (...args) => {
      await composed.heartbeat(...args)
      await run(BEGIN.read, (db) => clock.measure(db))
    },
    reserve: (...args) => accepted(() => reserve(...args)),
    authorize: (...args) => accepted(() => authorize(...args)),
    move: (...args) => accepted(() => move(...args)),
  }
}

/** What each paid call does: all calls of this process that do it at once share a transaction. */
function grouped(database: Database, queueMs: number): Pick<Store, 'reserve' | 'authorize' | 'move'> {
  const reservations = new Lane<ReserveWork, Reservation>({
    transact: (work) =>
      database.transact(BEGIN.writeSoon, (db) => contractsWithin(db).charges.reserveAll(work)),
    namesOf: reservationNames,
    groupOf: ({ terms }) => terms.instance,
    queueMs,
  })
  const moves = new Lane<MoveWork, Charge | AuthorizeRefusal>({
    // Durable: the record of a signature before it is sent (rule 3), and the end of a payment, because a database that lost it would
    // start again beside gateways that go on.
    transact: (work) => database.transact(BEGIN.write, (db) => contractsWithin(db).charges.moveAll(work)),
    namesOf: moveNames,
    queueMs,
  })
  return {
    reserve: (terms, claims, pin, mark) => reservations.run({ terms, claims, pin, mark }),
    authorize: (id, record, at) => moves.run({ id, record, at }),
    move: async (id, move) => movedBy(await moves.run({ id, move })),
  }
}

/** Every contract in one transaction. */
export function contractsWithin(db: Transaction) {
  const table = new ChargeTable(db)
  const purchases = new PostgresPurchases(db)
  const followers = {
    budgets: new PostgresBudgets(db),
    sellers: new PostgresSellers(db),
    idempotency: new PostgresIdempotency(db),
    vouchers: new PostgresVouchers(db, table, purchases),
    outbox: new PostgresAuditOutbox(db),
  }
  const charges = new PostgresCharges(db, table, { ...followers, rollups: new PostgresRollups(db) })
  return {
    ...followers,
    charges,
    purchases,
    spending: new PostgresSpending(db, table),
    flags: new PostgresFlags(db, table),
    auditHeads: new PostgresAuditHeads(db),
    notices: new PostgresNotices(db),
    instances: new PostgresInstances(db, table, charges),
  }
}
