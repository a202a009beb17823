/** Reads a Postgres ledger without writing to it or blocking a gateway that uses it. */
import type { LedgerReader } from '../ledger-reader.ts'
import { parseAddress, shownAddress } from './database/address.ts'
import { BEGIN } from './database/database.ts'
import { openConnections, type Connection } from './database/driver.ts'
import { checkDurability } from './database/durability.ts'
import { checkVersion } from './database/migrate.ts'
import { Transaction } from './database/transaction.ts'
import { compareRollups } from './history/compare-rollups.ts'
import { RollupReader } from './history/rollup-reader.ts'
import { contractsWithin } from './store.ts'

/** A report may ask for millions of rows. */
const WAITS = { connectMs: 5000, queueMs: 5000, statementMs: 600_000 }

/** A reader, and what a failover of its database could lose. */
export interface PostgresReader extends LedgerReader {
  readonly warnings: readonly string[]
  close(): Promise<void>
}

/**
 * Opens a ledger for reading. All reads see the ledger as of the instant of opening.
 * @throws ConfigError when there is no ledger, its schema version differs, or its database may lose what it confirms
 * @throws TollwayError `store_unavailable` when the database does not answer
 */
export async function readPostgresLedger(spec: string): Promise<PostgresReader> {
  const address = parseAddress(spec)
  const connections = await openConnections(address, WAITS)
  let connection: Connection | undefined
  const close = async (): Promise<void> => {
    // The transaction ends with its connection: it changed nothing.
    connection?.release(true)
    await connections.close()
  }
  try {
    connection = await connections.connect()
    const db = new Transaction(connection, connection.query(BEGIN.read))
    await db.begun
    await checkVersion(db, shownAddress(address))
    return { ...readerOn(db), warnings: await checkDurability(db, Date.now()), close }
  } catch (error) {
    await close()
    throw error
  }
}

function readerOn(db: Transaction): Omit<LedgerReader, 'close'> {
  const { budgets, charges, spending, auditHeads, flags } = contractsWithin(db)
  const rollups = new RollupReader(db)
  return {
    totals: (claims) => budgets.totals(claims),
    subjects: (claim) => budgets.subjects(claim),
    charge: (id) => charges.charge(id),
    history: (query) => charges.history(query),
    sums: (query) => rollups.read(query),
    range: () => rollups.range(),
    compareSums: (most) => compareRollups(db, most),
    usages: (ids) => spending.usages(ids),
    auditHeads: () => auditHeads.auditHeads(),
    flagCounts: () => flags.flagCounts(),
    flags: (query) => flags.flags(query),
  }
}
