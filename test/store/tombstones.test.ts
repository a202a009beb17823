import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { REMEMBERED_MS } from '../../src/core/request/idempotency.ts'
import { openSqliteStore } from '../../src/io/store/sqlite/store.ts'
import { memoryStore } from '../../src/io/store/memory/store.ts'
import { NOW, terms } from './samples.ts'

const SINCE = NOW - REMEMBERED_MS

describe('across openings', () => {
  test('another store has another secret; the same file keeps its secret and its tombstones', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'tollway-store-'))
    onTestFinished(() => rmSync(directory, { recursive: true }))
    const open = (name: string) => openSqliteStore({ path: join(directory, name) })
    const [one, other] = [open('one.db'), open('other.db')]
    await one.reserve(terms(1), [], false, { name: 'a', body: 'x' })
    const keys = [await one.digestKey(), await other.digestKey(), await memoryStore().digestKey()]
    expect(new Set(keys.map((key) => Buffer.from(key).toString('hex'))).size).toBe(3)
    await one.close()
    await other.close()
    const again = open('one.db')
    expect(Buffer.from(await again.digestKey())).toEqual(Buffer.from(keys[0] ?? []))
    expect((await again.tombstones({ name: 'a', body: '' }, SINCE)).named?.charge.id).toBe(terms(1).id)
    await again.close()
  })

  test('two processes on one file cannot both take a name', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'tollway-store-'))
    onTestFinished(() => rmSync(directory, { recursive: true }))
    const stores = [0, 1].map(() => openSqliteStore({ path: join(directory, 'ledger.db') }))
    const results = await Promise.allSettled(
      stores.map((store, n) => store.reserve(terms(n), [], false, { name: 'a', body: 'x' })),
    )
    expect(results.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected'])
    for (const store of stores) await store.close()
  })
})
