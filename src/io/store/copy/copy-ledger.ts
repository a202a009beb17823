/** Copies a SQLite ledger into an empty Postgres one, in one transaction, and proves that both say the same. */
import { hostname } from 'node:os'
import { DatabaseSync, type SQLOutputValue } from 'node:sqlite'
import { ConfigError } from '../../../core/errors.ts'
import { parseAddress, shownAddress } from '../postgres/database/address.ts'
import { BEGIN, Database } from '../postgres/database/database.ts'
import { openConnections } from '../postgres/database/driver.ts'
import { checkDurability } from '../postgres/database/durability.ts'
import { migrate } from '../postgres/database/migrate.ts'
import { json, type Transaction } from '../postgres/database/transaction.ts'
import { keyDigest } from '../postgres/history/rollups.ts'
import { integer, text } from '../rows/rows.ts'
import { COPIED, NOT_COPIED, TableSums, type CopiedTable } from './tables.ts'

/** A large ledger takes a while; nobody else uses the new one yet. */
const WAITS = { connectMs: 5000, queueMs: 5000, statementMs: 3_600_000 }
const BATCH = 1000

type Row = Readonly<Record<string, SQLOutputValue>>

/** How many rows of a table were copied. */
export interface Copied {
  readonly table: string
  readonly rows: number
}

/**
 * Copies a ledger. No gateway may use either of them.
 * @param file a SQLite ledger of this version whose sums are complete
 * @param spec an address whose schema holds no ledger, or an empty one
 * @throws ConfigError when the new ledger is not empty, or the old one has a table that this version does not know
 * @throws Error when the copy would say something else; nothing is kept then
 */
export async function copyLedger(file: string, spec: string): Promise<Copied[]> {
  const address = parseAddress(spec)
  const source = new DatabaseSync(file, { readOnly: true })
  const target = new Database(await openConnections(address, WAITS), { places: 2, queueMs: WAITS.queueMs })
  try {
    source.exec('BEGIN')
    assertKnown(source)
    assertBuilt(source, file)
    await migrate(target, address.schema)
    await target.transact(BEGIN.read, (db) => checkDurability(db, Date.now()))
    return await target.transact(BEGIN.write, async (db) => {
      await assertEmpty(db, shownAddress(address))
      const copied: Copied[] = []
      for (const table of COPIED) {
        const sums = await copyTable(source, db, table)
        const difference = sums.difference(await sumsIn(db, table))
        if (difference !== undefined) throw new Error(`the copy differs, and was not kept: ${difference}`)
        copied.push({ table: table.name, rows: Number(sums.rows) })
      }
      await copySecret(source, db)
      await db.execute(
        "SELECT setval(pg_get_serial_sequence('spend_keys', 'id'), (SELECT max(id) FROM spend_keys))",
      )
      return copied
    })
  } finally {
    source.close()
    await target.close()
  }
}

/** A table that is not known here would be left behind without a word. */
function assertKnown(source: DatabaseSync): void {
  const known = new Set([...COPIED.map(({ name }) => name), ...NOT_COPIED])
  const rows = source
    .prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    .all()
  const strange = rows.map((row) => text(row, 'name')).filter((name) => !known.has(name))
  if (strange.length === 0) return
  throw new ConfigError(
    `The ledger has tables that cannot be copied: ${strange.join(', ')}. Nothing was changed.`,
  )
}

/** Charges of an older version get their keys while a gateway runs. */
function assertBuilt(source: DatabaseSync, file: string): void {
  if (source.prepare('SELECT 1 FROM charges WHERE key IS NULL LIMIT 1').get() === undefined) return
  throw new ConfigError(
    `The sums of the ledger ${file} are still being built, because an older Tollway wrote it. Start a gateway of this version with it until its log says that they are complete, and stop it.`,
  )
}

async function assertEmpty(db: Transaction, place: string): Promise<void> {
  for (const { name } of COPIED) {
    if ((await db.get(`SELECT 1 FROM ${name} LIMIT 1`)) === undefined) continue
    throw new ConfigError(
      `The ledger at ${place} is not empty: it has rows in ${name}. A copy on top would count money twice. Name another schema, or drop it.`,
    )
  }
}

async function copyTable(source: DatabaseSync, db: Transaction, table: CopiedTable): Promise<TableSums> {
  const sums = new TableSums(table)
  const { name } = table
  let batch: Readonly<Record<string, string | number | null>>[] = []
  const send = async (): Promise<void> => {
    if (batch.length === 0) return
    // A digest is bytes, which JSON writes as text.
    await db.run(
      `INSERT INTO ${name} SELECT * FROM jsonb_populate_recordset(NULL::${name}, ?::jsonb)`,
      json(batch),
    )
    batch = []
  }
  for (const row of source.prepare(`SELECT * FROM ${name}`).iterate()) {
    sums.add(row)
    batch.push(targetRow(name, row))
    if (batch.length >= BATCH) await send()
  }
  await send()
  return sums
}

/** A row as the new ledger keeps it: what it has in addition is made here. */
function targetRow(table: string, row: Row): Record<string, string | number | null> {
  const plain = Object.fromEntries(Object.entries(row).map(([column, value]) => [column, plainOf(value)]))
  if (table === 'audit_heads') return { ...plain, host: hostname() }
  if (table !== 'spend_keys') return plain
  const digest = keyDigest([
    text(row, 'tag'),
    text(row, 'route'),
    text(row, 'model'),
    text(row, 'remote_model'),
    text(row, 'payer'),
    text(row, 'seller'),
    text(row, 'caller'),
    text(row, 'network'),
    text(row, 'symbol'),
    integer(row, 'decimals'),
  ])
  return { ...plain, digest: `\\x${Buffer.from(digest).toString('hex')}` }
}

function plainOf(value: SQLOutputValue): string | number | null {
  if (value === null || typeof value === 'string' || typeof value === 'number') return value
  throw new Error('the ledger holds an unreadable value: restore it from a backup')
}

/** Requests that were paid before must be recognized when they come again. */
async function copySecret(source: DatabaseSync, db: Transaction): Promise<void> {
  const value = source.prepare("SELECT value FROM secrets WHERE name = 'request_digest'").get()?.['value']
  if (!(value instanceof Uint8Array)) throw new Error('the ledger holds no request_digest secret')
  await db.run("UPDATE secrets SET value = ? WHERE name = 'request_digest'", value)
}

async function sumsIn(db: Transaction, table: CopiedTable): Promise<TableSums> {
  const sums = new TableSums(table)
  const by = table.by.map((column) => `"${column}"`)
  const added = table.sums.map((column) => `coalesce(sum(${column}), 0)::text AS sum_${column}`)
  const rows = await db.all(
    `SELECT ${[...by, 'count(*) AS rows', ...added].join(', ')} FROM ${table.name}
    ${by.length === 0 ? '' : `GROUP BY ${by.join(', ')}`}`,
  )
  for (const row of rows) {
    const count = BigInt(integer(row, 'rows'))
    if (count > 0n) sums.set(row, [count, ...table.sums.map((column) => BigInt(text(row, `sum_${column}`)))])
  }
  return sums
}
