/** Reads a SQLite ledger without writing to it or blocking a gateway that uses it. */
import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { ConfigError } from '../../../core/errors.ts'
import { NoLedgerError } from '../no-ledger.ts'
import { storeError } from './file/errors.ts'
import { sqliteCode } from '../../files/sqlite-code.ts'
import { refuseLogLeftBehind } from './file/one-log.ts'
import { integer } from '../rows/rows.ts'
import { APPLICATION_ID, SCHEMA_VERSION } from './file/schema.ts'
import { SqliteAuditHeads } from './audit-heads.ts'
import { SqliteBudgets } from './budgets.ts'
import { ChargeTable } from './charge-table.ts'
import { SqliteFlags } from './flags.ts'
import { ChargeHistory } from './charges.ts'
import { SpendingReader } from './spending.ts'
import { compareRollups } from './history/compare-rollups.ts'
import { type LedgerReader } from '../ledger-reader.ts'
import { RollupReader } from './history/rollup-reader.ts'

/** A reader whose file is closed at once. */
export interface SqliteReader extends LedgerReader {
  close(): void
}

const CORRUPT = 11
const NOT_A_DATABASE = 26

/**
 * Opens a ledger for reading. All reads see the ledger as of the instant of opening.
 * @param connect opens the file; another one for a short look
 * @throws NoLedgerError when there is no ledger
 * @throws ConfigError when its schema version differs
 * @throws TollwayError `store_unavailable` when the disk fails
 */
export function readSqliteLedger(
  file: string,
  connect: (path: string) => DatabaseSync = (path) => new DatabaseSync(path, { readOnly: true }),
): SqliteReader {
  const path = resolve(file)
  if (!statSync(path, { throwIfNoEntry: false })?.isFile()) {
    throw new NoLedgerError(path)
  }
  let db: DatabaseSync | undefined
  try {
    db = connect(path)
    check(db, path)
    refuseLogLeftBehind(db, path)
    db.exec('BEGIN')
    return reader(db, new SqliteBudgets(db))
  } catch (error) {
    db?.close()
    throw explain(error, path)
  }
}

function reader(db: DatabaseSync, budgets: SqliteBudgets): SqliteReader {
  const history = new ChargeHistory(db)
  const spending = new SpendingReader(db)
  const rollups = new RollupReader(db)
  const heads = new SqliteAuditHeads(db)
  const table = new ChargeTable(db)
  const flags = new SqliteFlags(db, table)
  return {
    totals: async (claims) => budgets.totals(claims),
    subjects: async (claim) => budgets.subjects(claim),
    charge: async (id) => table.get(id),
    history: async (query) => history.read(query),
    sums: async (query) => rollups.read(query),
    range: async () => rollups.range(),
    compareSums: async (most) => compareRollups(db, most),
    usages: async (charges) => spending.usages(charges),
    auditHeads: async () => heads.auditHeads(),
    flagCounts: async () => flags.flagCounts(),
    flags: async (query) => flags.flags(query),
    close: () => db.close(),
  }
}

function check(db: DatabaseSync, path: string): void {
  const pragma = (name: string): number => integer(db.prepare(`PRAGMA ${name}`).get() ?? {}, name)
  if (pragma('application_id') !== APPLICATION_ID) {
    throw new ConfigError(`${path} is not a Tollway ledger. Check store in the configuration.`)
  }
  const version = pragma('user_version')
  if (version === SCHEMA_VERSION) return
  throw new ConfigError(
    version < SCHEMA_VERSION
      ? `The ledger ${path} was written by an older Tollway (schema ${version}). Start this version's gateway with it once to migrate it.`
      : `The ledger ${path} was written by a newer Tollway (schema ${version}; this version supports ${SCHEMA_VERSION}). Run the newer Tollway.`,
  )
}

function explain(error: unknown, path: string): unknown {
  const code = sqliteCode(error)
  if (code !== CORRUPT && code !== NOT_A_DATABASE) return storeError(error)
  return new ConfigError(`The ledger ${path} is damaged or not a ledger. Restore it from a backup.`, {
    cause: error,
  })
}
