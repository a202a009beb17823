/** Reports read sums that are kept as charges are booked: they are those of the charges, to the atom, whatever became of these. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import * as fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { spendingIn } from '../../src/app/report/read-sums.ts'
import { addUp, type Dimension } from '../../src/app/report/spending.ts'
import { readWithUsage } from '../../src/app/report/read-charges.ts'
import { memoryStore } from '../../src/io/store/memory/store.ts'
import type { Connection } from '../../src/io/store/sqlite/file/file.ts'
import { readSqliteLedger } from '../../src/io/store/sqlite/read.ts'
import { openSqliteStore } from '../../src/io/store/sqlite/store.ts'
import { answers, DAY, live, lives, questions, START } from './rollup-lives.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tollway-rollups-'))
})
afterEach(() => {
  rmSync(directory, { recursive: true })
})

test('a ledger of an older version gives the same answers before its sums are built, half-way and after', async () => {
  await fc.assert(
    fc.asyncProperty(
      lives,
      lives,
      questions,
      fc.integer({ min: 0, max: 4 }),
      async (old, later, asked, half) => {
        const path = join(mkdtempSync(join(directory, 'run-')), 'l.db')
        const memory = memoryStore()
        const first = openSqliteStore({ path, connect: unsynced })
        for (const [n, one] of old.entries()) {
          await live(memory, n + 1, one)
          await live(first, n + 1, one)
        }
        await first.close()
        const sqlite = openSqliteStore({ path, connect: (file) => forgetful(unsynced(file), half) })
        for (const [n, one] of later.entries()) {
          await live(memory, n + 101, one)
          await live(sqlite, n + 101, one)
        }
        for (const each of asked) expect(await answers(sqlite, each)).toEqual(await answers(memory, each))
        await sqlite.close()
        const built = openSqliteStore({ path, connect: unsynced })
        for (const each of asked) expect(await answers(built, each)).toEqual(await answers(memory, each))
        await built.close()
      },
    ),
    { numRuns: 25, endOnFailure: true },
  )
})

test('a report of the sums is the report of the charges, in every time zone, by time, names and tags', async () => {
  const dimension = fc.constantFrom<Dimension>(
    'day',
    'week',
    'month',
    'route',
    'payer',
    'caller',
    'model',
    'remote_model',
    'network',
    'tag.agent',
    'tag.team',
  )
  const wanted = fc.record({
    by: fc.uniqueArray(dimension, { maxLength: 4 }),
    timezone: fc.constantFrom('UTC', 'Europe/Berlin', 'Asia/Kathmandu', 'America/New_York'),
    since: fc.integer({ min: -DAY, max: 3 * DAY }),
    ms: fc.integer({ min: 1, max: 4 * DAY }),
  })
  await fc.assert(
    fc.asyncProperty(lives, fc.array(wanted, { minLength: 4, maxLength: 4 }), async (charges, reports) => {
      const path = join(mkdtempSync(join(directory, 'run-')), 'l.db')
      const store = openSqliteStore({ path, connect: unsynced })
      for (const [n, one] of charges.entries()) await live(store, n + 1, one)
      await store.close()
      const ledger = readSqliteLedger(path)
      for (const { by, timezone, since, ms } of reports) {
        const period = { since: START + since, until: START + since + ms }
        const expected = await addUp(readWithUsage(ledger, period), by, timezone)
        expect(await spendingIn(ledger, period, by, timezone)).toEqual(expected)
      }
      const compared = await ledger.compareSums(Number.POSITIVE_INFINITY)
      expect(compared).toEqual({ charges: charges.length, isWhole: true, unbuilt: 0, differing: 0 })
      ledger.close()
    }),
    { numRuns: 20, endOnFailure: true },
  )
})

/** The disk is not the subject. */
function unsynced(path: string): DatabaseSync {
  const db = new DatabaseSync(path)
  db.exec('PRAGMA synchronous = OFF')
  return db
}

/** A ledger whose charges came from an older version, and of which only so many are built before it is opened again. */
function forgetful(db: DatabaseSync, built: number): Connection {
  db.exec(`DELETE FROM rollups; DELETE FROM spend_keys; UPDATE charges SET key = NULL`)
  const prepare = db.prepare.bind(db)
  db.prepare = (sql) => {
    const statement = prepare(sql)
    if (!sql.includes('WHERE key IS NULL LIMIT ?')) return statement
    let left = built
    const all = statement.all.bind(statement)
    statement.all = ((limit: number) => {
      const take = Math.min(limit, left)
      left -= take
      return all(take)
    }) as typeof statement.all
    return statement
  }
  return db
}
