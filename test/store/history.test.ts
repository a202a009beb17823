/** Charges page by page, and the heads of audit files: alike in every store. */
import { DatabaseSync } from 'node:sqlite'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Charge } from '../../src/core/charge/charge.ts'
import type { Store } from '../../src/io/store/store.ts'
import { ChargeHistory } from '../../src/io/store/sqlite/charges.ts'
import { MIGRATIONS } from '../../src/io/store/sqlite/file/schema.ts'
import { onEachStore } from './each-store.ts'
import { NOW, signed, terms } from './samples.ts'

async function pages(store: Store, query: Parameters<Store['history']>[0]): Promise<string[]> {
  const ids: string[] = []
  for (let after: Charge | undefined; ;) {
    const page = await store.history({ ...query, after })
    ids.push(...page.map(({ id }) => id))
    after = page.at(-1)
    if (!after) return ids
  }
}

onEachStore('history', (open) => {
  test('pages of any size list every charge once, oldest first', async () => {
    const store = open()
    // Several in one millisecond, and ids that are not in the order of time.
    const at = [5, 5, 5, 3, 9, 9, 1, 7]
    for (const [n, ms] of at.entries()) {
      await store.reserve(
        terms(n, { reservedAt: NOW + ms, instance: n % 2 ? 'ins_one' : 'ins_two' }),
        [],
        false,
      )
    }
    const numbers = async (query: Partial<Parameters<Store['history']>[0]>): Promise<number[]> =>
      (await pages(store, { since: 0, until: NOW + 1000, ...query })).map((id) => Number(id.slice(4)))
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 9 }), async (limit) => {
        expect(await numbers({ limit })).toEqual([6, 3, 0, 1, 2, 7, 4, 5])
      }),
      { numRuns: 9 },
    )
    expect(await numbers({ since: NOW + 5, until: NOW + 9, limit: 2 })).toEqual([0, 1, 2, 7])
    expect(await numbers({ instance: 'ins_one', limit: 2 })).toEqual([3, 1, 7, 5])
  })

  test('what was signed for longer than a day is found by when it ends, page by page', async () => {
    const store = open()
    const seconds = Math.floor(NOW / 1000)
    for (const [n, validBefore] of [300, 86_399, 86_402, 90_000, 200_000].entries()) {
      await store.reserve(terms(n), [], false)
      await store.authorize(terms(n).id, signed(n, { validBefore: seconds + validBefore }), NOW + n)
    }
    await store.reserve(terms(9), [], false)
    const found = async (longValidAt: number, limit: number): Promise<number[]> =>
      (await pages(store, { since: 0, until: NOW + 1000, longValidAt, limit })).map((id) =>
        Number(id.slice(4)),
      )
    expect(await found(seconds, 2)).toEqual([2, 3, 4])
    expect(await found(seconds + 90_000, 1)).toEqual([3, 4])
    expect(await found(seconds + 90_001, 9)).toEqual([4])
    expect(await pages(store, { since: 0, until: NOW + 3, longValidAt: seconds })).toEqual([terms(2).id])
  })

  test('the head of an audit file is the one noted last', async () => {
    const store = open()
    expect(await store.auditHeads()).toEqual([])
    const head = (file: string, seq: number) => ({ file, seq, hash: 'ab'.repeat(32), at: NOW + seq })
    for (const one of [head('/b', 5), head('/a', 1), head('/b', 3)]) await store.noteAuditHead(one)
    expect(await store.auditHeads()).toEqual([head('/a', 1), head('/b', 3)])
  })
})

test('SQLite pages through the charges of a process, and of all, without sorting them anew for each page', () => {
  const db = new DatabaseSync(':memory:')
  db.exec(MIGRATIONS.join(''))
  const asked: string[] = []
  const prepare = (sql: string) => {
    asked.push(sql)
    return db.prepare(sql)
  }
  const connection = {
    prepare,
    exec: (sql: string) => db.exec(sql),
    close: () => db.close(),
    isTransaction: false,
  }
  expect(new ChargeHistory(connection)).toBeDefined()
  const ofCharges = asked.filter((sql) => sql.includes('FROM charges') && !sql.includes('charges_long'))
  expect(ofCharges).toHaveLength(2)
  for (const sql of ofCharges) {
    const plan = db.prepare(`EXPLAIN QUERY PLAN ${sql}`).all()
    expect(plan.map(({ detail }) => detail)).toEqual([
      expect.stringMatching(/^SEARCH charges USING INDEX .*\(reserved_at,id\)>/),
    ])
  }
  db.close()
})
