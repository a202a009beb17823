/** Creates a ledger's tables, or brings those of an older version up to date. */
import { randomBytes } from 'node:crypto'
import { ConfigError } from '../../../../core/errors.ts'
import { NoLedgerError } from '../../no-ledger.ts'
import { integer } from '../../rows/rows.ts'
import { BEGIN, type Database } from './database.ts'
import { MIGRATIONS, SCHEMA_VERSION } from './schema.ts'
import type { Transaction } from './transaction.ts'

/** A number that no other program is likely to lock: "Tollmi". */
const MIGRATION_LOCK = 0x546f6c6c6d69

/**
 * One process migrates at a time; the others wait for it and find the work done.
 * @param schema created when it is missing
 * @throws ConfigError when a newer Tollway has written the ledger: a schema is never migrated back
 */
export async function migrate(database: Database, schema: string): Promise<void> {
  await database.transact(BEGIN.write, async (transaction) => {
    // Not by the name of the schema, which may not exist yet.
    await transaction.run('SELECT pg_advisory_xact_lock(?)', MIGRATION_LOCK)
    // IF NOT EXISTS would ask for the right to create one, also where there is one.
    const found = await transaction.get('SELECT to_regnamespace(?) IS NOT NULL AS found', schema)
    if (!found || integer(found, 'found') === 0) await transaction.execute(`CREATE SCHEMA ${schema}`)
    await transaction.execute(`CREATE TABLE IF NOT EXISTS ledger (
      id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL)`)
    const version = await versionOf(transaction)
    if (version > SCHEMA_VERSION) throw newer(version)
    for (const step of MIGRATIONS.slice(version)) await transaction.execute(step)
    if (version === SCHEMA_VERSION) return
    await transaction.run(
      `INSERT INTO ledger VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET version = excluded.version`,
      SCHEMA_VERSION,
    )
    await transaction.run(
      `INSERT INTO secrets VALUES ('request_digest', ?) ON CONFLICT (name) DO NOTHING`,
      randomBytes(32),
    )
  })
}

/**
 * Checks that a ledger is of this version, without writing.
 * @param place for messages, without a password
 * @throws NoLedgerError, ConfigError when it is not
 */
export async function checkVersion(transaction: Transaction, place: string): Promise<void> {
  const known = await transaction.get("SELECT to_regclass('ledger') IS NOT NULL AS found")
  const version = known && integer(known, 'found') === 1 ? await versionOf(transaction) : 0
  if (version === SCHEMA_VERSION) return
  if (version === 0) throw new NoLedgerError(place)
  if (version > SCHEMA_VERSION) throw newer(version)
  throw new ConfigError(
    `The ledger in the database was written by an older Tollway (schema ${version}). Start this version's gateway with it once to migrate it.`,
  )
}

async function versionOf(transaction: Transaction): Promise<number> {
  const row = await transaction.get('SELECT version FROM ledger')
  return row ? integer(row, 'version') : 0
}

function newer(version: number): ConfigError {
  return new ConfigError(
    `The ledger in the database was written by a newer Tollway (schema ${version}; this version supports ${SCHEMA_VERSION}). Run the newer Tollway: a ledger is never migrated back.`,
  )
}
