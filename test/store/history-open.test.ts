/** A ledger with a long history is opened at once; what takes long goes on behind the requests. */
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ledgerLog } from '../../src/app/logging/ledger-log.ts'
import type { FileCheck } from '../../src/io/store/sqlite/file/check-file.ts'
import { buildRollups, type BuildProgress } from '../../src/io/store/sqlite/history/build-rollups.ts'
import { SqliteRollups } from '../../src/io/store/sqlite/history/rollups.ts'
import { openSqliteStore } from '../../src/io/store/sqlite/store.ts'
import type { Store } from '../../src/io/store/store.ts'
import { NOW, signed, terms } from './samples.ts'

let directory: string
let path: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tollway-history-'))
  path = join(directory, 'ledger.db')
})
afterEach(() => {
  rmSync(directory, { recursive: true })
})

async function settle(store: Store, count: number): Promise<void> {
  await Promise.all(
    Array.from({ length: count }, async (_, n) => {
      await store.reserve(terms(n), [], false)
      await store.authorize(terms(n).id, signed(n), NOW)
      await store.move(terms(n).id, { to: 'settled', at: NOW, reason: 'receipt', proof: 'receipt' })
    }),
  )
}

describe('a ledger whose process did not end by itself', () => {
  /** The files of an open ledger, as a crash leaves them. */
  async function leftBehind(): Promise<string> {
    const store = openSqliteStore({ path })
    await settle(store, 300)
    await store.close()
    const open = openSqliteStore({ path })
    await open.ping()
    const left = join(directory, 'left.db')
    for (const suffix of ['', '-wal']) copyFileSync(`${path}${suffix}`, `${left}${suffix}`)
    await open.close()
    return left
  }

  async function checked(file: string): Promise<{ readonly store: Store; readonly result: FileCheck }> {
    const { promise, resolve } = Promise.withResolvers<FileCheck>()
    const store = openSqliteStore({ path: file, readWholeBytes: 0, onChecked: resolve })
    return { store, result: await promise }
  }

  test('is read for damage beside the requests', async () => {
    const { store, result } = await checked(await leftBehind())
    expect(result).toBe('whole')
    expect((await store.reserve(terms(900), [], false)).ok).toBe(true)
    await store.close()
  })

  test('rule 9: pays nothing more once damage was found', async () => {
    const left = await leftBehind()
    damage(left)
    const { store, result } = await checked(left)
    expect(result).toBe('damaged')
    await expect(store.reserve(terms(900), [], false)).rejects.toMatchObject({ code: 'store_unavailable' })
    await expect(store.ping()).rejects.toThrow(/The ledger is damaged: .* Nothing more is paid/)
    await store.close()
  })

  test('is refused at once when it is small: it is read whole before it is used', async () => {
    const left = await leftBehind()
    damage(left)
    expect(() => openSqliteStore({ path: left })).toThrow(/is damaged/)
  })
})

test('a large ledger that was closed in order is not read for damage', async () => {
  const store = openSqliteStore({ path })
  await settle(store, 10)
  await store.close()
  const results: FileCheck[] = []
  const again = openSqliteStore({ path, readWholeBytes: 0, onChecked: (result) => results.push(result) })
  await again.ping()
  await again.close()
  expect(results).toEqual([])
})

describe('the sums of a ledger of an older version', () => {
  test('are built in steps, the first at once, and are complete in the end', async () => {
    const store = openSqliteStore({ path })
    await settle(store, 30)
    const expected = await store.spend({ by: 'payer' })
    await store.close()
    const db = new DatabaseSync(path)
    db.exec('DELETE FROM rollups; DELETE FROM spend_keys; UPDATE charges SET key = NULL')
    const left = (): unknown => db.prepare('SELECT count(*) AS n FROM charges WHERE key IS NULL').get()?.['n']
    const told: BuildProgress[] = []
    const { promise, resolve } = Promise.withResolvers<undefined>()
    const stop = buildRollups({
      db,
      rollups: new SqliteRollups(db),
      write: async (work) => work(),
      step: 5,
      onBuild(progress) {
        told.push(progress)
        if (progress.done) resolve(undefined)
      },
    })
    expect(left()).toBe(10)
    await promise
    stop()
    expect(left()).toBe(0)
    expect(told).toEqual([
      { built: 5, charges: 30, done: false },
      { built: 10, charges: 30, done: false },
      { built: 10, charges: 30, done: true },
    ])
    db.close()
    const again = openSqliteStore({ path })
    expect(await again.spend({ by: 'payer' })).toEqual(expected)
    await again.close()
  })

  test('are told by every tenth in the log', () => {
    const lines: [object, string][] = []
    const log = {
      error: () => undefined,
      warn: (fields: object, text: string) => void lines.push([fields, text]),
    }
    const { onBuild } = ledgerLog(log)
    for (const built of [250, 500, 1000, 1250, 2500]) onBuild({ built, charges: 10_000, done: false })
    onBuild({ built: 10_000, charges: 10_000, done: true })
    expect(lines.map(([fields]) => fields)).toEqual([
      { percent: 0, charges: 250 },
      { percent: 10, charges: 1000 },
      { percent: 20, charges: 2500 },
      { charges: 10_000 },
    ])
  })
})

/** Fills the pages of an index with something else. */
function damage(file: string): void {
  const db = new DatabaseSync(file)
  const root = Number(
    db.prepare("SELECT rootpage FROM sqlite_schema WHERE name = 'charges_by_time'").get()?.['rootpage'],
  )
  const size = Number(db.prepare('PRAGMA page_size').get()?.['page_size'])
  const log = readFileSync(`${file}-wal`)
  db.close()
  const bytes = readFileSync(file)
  bytes.fill(0x5a, (root - 1) * size + 100, root * size)
  writeFileSync(file, bytes)
  writeFileSync(`${file}-wal`, log)
}
