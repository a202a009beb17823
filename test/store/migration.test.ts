/** Ledgers as older versions wrote them, charges in every state: brought up without losing an atom. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { isDead } from '../../src/io/ledger/instance.ts'
import { MIGRATIONS, SCHEMA_VERSION } from '../../src/io/store/sqlite/file/schema.ts'
import { openSqliteStore } from '../../src/io/store/sqlite/store.ts'
import { claim, instance, NOW, terms } from './samples.ts'

const fixture = (version: number): string => join(import.meta.dirname, `../fixtures/ledger-v${version}.sql`)
const versions = Array.from({ length: SCHEMA_VERSION }, (_, n) => n + 1)
const kept = versions.filter((version) => existsSync(fixture(version)))

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tollway-migration-'))
})
afterEach(() => {
  rmSync(directory, { recursive: true })
})

function load(version: number): string {
  const path = join(directory, `v${version}.db`)
  const db = new DatabaseSync(path)
  db.exec(`PRAGMA synchronous = OFF; BEGIN; ${readFileSync(fixture(version), 'utf8')} COMMIT`)
  db.close()
  return path
}

type Rows = Readonly<Record<string, Record<string, unknown>[]>>

/** Every row of every table, by table. */
function rowsOf(path: string): Rows {
  const db = new DatabaseSync(path, { readOnly: true, readBigInts: true })
  const tables = db.prepare(`SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name`).all()
  const rows = tables.map(({ name }): [string, Record<string, unknown>[]] => [
    String(name),
    db
      .prepare(`SELECT * FROM ${String(name)}`)
      .all()
      .map((row) => ({ ...row })),
  ])
  db.close()
  return Object.fromEntries(rows)
}

function schemaOf(path: string): unknown[] {
  const db = new DatabaseSync(path, { readOnly: true })
  const schema = db
    .prepare('SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name')
    .all()
  db.close()
  return schema.map((row) => ({ ...row }))
}

test('a ledger of every older version is kept', () => {
  expect(kept, 'dump one with the code of that version: see test/tools/dump-ledger.ts').toEqual(
    versions.filter((version) => kept.includes(version) || version < SCHEMA_VERSION),
  )
  expect(kept.length).toBeGreaterThanOrEqual(5)
})

describe.each(kept)('a ledger of version %i', (version) => {
  test('is what the steps up to it make: a step that was released is never changed', () => {
    const path = join(directory, 'made.db')
    const db = new DatabaseSync(path)
    db.exec(`PRAGMA synchronous = OFF; BEGIN; ${MIGRATIONS.slice(0, version).join('')} COMMIT`)
    db.close()
    expect(schemaOf(load(version))).toEqual(schemaOf(path))
  })

  test('keeps every value of every row', async () => {
    const path = load(version)
    const before = rowsOf(path)
    await openSqliteStore({ path }).close()
    const after = rowsOf(path)
    expect(Object.values(before).flat().length).toBeGreaterThan(40)
    for (const [table, rows] of Object.entries(before)) {
      // Where the log lies is written by whoever opens the ledger.
      if (table === 'ledger_log') continue
      expect(after[table], table).toHaveLength(rows.length)
      expect(after[table], table).toMatchObject(rows)
    }
  })

  test('holds sums that are those of its charges, and goes on from there', async () => {
    const store = openSqliteStore({ path: load(version) })
    const charges = await store.charges({ limit: 1000 })
    expect(charges).toHaveLength(12)
    const usd = (...states: string[]): bigint =>
      charges
        .filter(({ state }) => states.includes(state))
        .reduce((sum, { microUsd }) => sum + (microUsd ?? 0n), 0n)
    const day = claim(0n, 0n)
    const expected = {
      spent: usd('settled'),
      held: usd('held'),
      authorized: usd('authorized'),
      uncertain: usd('uncertain'),
    }
    expect(await store.totals([day])).toEqual([expected])
    expect(expected.spent).toBe(92_032n)
    const obol = charges.find(({ symbol }) => symbol === 'OBOL')
    expect(obol).toMatchObject({ amount: 123_456_789_012_345_678_901_234_567_890n, microUsd: undefined })
    // Exactly what is left fits, and not one atom more.
    const counted = Object.values(expected).reduce((sum, part) => sum + part)
    expect((await store.reserve(terms(91), [claim(2n, counted + 1n)], true)).ok).toBe(false)
    expect((await store.reserve(terms(92), [claim(1n, counted + 1n)], true)).ok).toBe(true)
    await store.close()
  })

  test('resolves the charges of its dead processes', async () => {
    const store = openSqliteStore({ path: load(version) })
    const self = instance('ins_new', { host: 'box/boot/pid' })
    for (const other of await store.instances()) {
      expect(await isDead(other, self, NOW + 60_000)).toBe(true)
      await store.retire(other.id, NOW + 60_000, 'instance_dead')
    }
    const states = (await store.charges({ limit: 1000 })).map(({ state }) => state)
    expect(states.filter((state) => state === 'held' || state === 'authorized')).toEqual([])
    const [totals] = await store.totals([claim(0n, 0n)])
    expect(totals).toMatchObject({ spent: 92_032n, held: 0n, authorized: 0n, uncertain: 92_036n })
    await store.close()
  })

  test('is brought up once by processes that open it together', async () => {
    const path = load(version)
    const stores = [1, 2, 3].map(() => openSqliteStore({ path }))
    const pins = await Promise.all(stores.map((store) => store.pins()))
    expect(pins.map((list) => list.length)).toEqual([2, 2, 2])
    for (const store of stores) await store.close()
  })
})
