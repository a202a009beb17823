/**
 * Writes a ledger as SQL text: `node test/tools/dump-ledger.ts tollway.db > test/fixtures/ledger-v4.sql`. Done once for each
 * schema version, with the code of that version, before a step is added to it; test/store/migration.test.ts brings each up.
 */
import { DatabaseSync, type SQLOutputValue } from 'node:sqlite'

const [path] = process.argv.slice(2)
if (path === undefined) throw new Error('name the ledger: node test/tools/dump-ledger.ts tollway.db')
const db = new DatabaseSync(path, { readOnly: true, readBigInts: true })
const number = (pragma: string): string =>
  String(Object.values(db.prepare(`PRAGMA ${pragma}`).get() ?? {})[0])

console.log(`PRAGMA application_id = ${number('application_id')};`)
console.log(`PRAGMA user_version = ${number('user_version')};`)
const objects = db
  .prepare(`SELECT name, type, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid`)
  .all()
for (const { sql } of objects) console.log(`${String(sql)};`)
for (const { name } of objects.filter(({ type }) => type === 'table')) {
  for (const row of db.prepare(`SELECT * FROM ${String(name)}`).all()) {
    console.log(`INSERT INTO ${String(name)} VALUES (${Object.values(row).map(literal).join(', ')});`)
  }
}
db.close()

function literal(value: SQLOutputValue): string {
  if (value === null) return 'NULL'
  if (typeof value === 'string') return `'${value.replaceAll("'", "''")}'`
  return value instanceof Uint8Array ? `x'${Buffer.from(value).toString('hex')}'` : String(value)
}
