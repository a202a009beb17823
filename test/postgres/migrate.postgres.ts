/** `tollway store migrate`: a SQLite ledger becomes a Postgres one, whole or not at all. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { copyLedger } from '../../src/io/store/copy/copy-ledger.ts'
import { COPIED, NOT_COPIED } from '../../src/io/store/copy/tables.ts'
import { openSqliteStore } from '../../src/io/store/sqlite/store.ts'
import type { Store } from '../../src/io/store/store.ts'
import { claim, NOW, signed, terms } from '../../src/testing/store/samples.ts'
import { LIMITS, pool, voucher } from '../../src/testing/store/voucher-samples.ts'
import { run } from '../kit/child.ts'
import { freshLedger, openPatiently } from '../kit/postgres-stores.ts'
import { MAIN } from '../kit/program.ts'

let directory: string
let file: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tollway-migrate-'))
  file = join(directory, 'tollway.db')
})
afterEach(() => rmSync(directory, { recursive: true }))

/** Something in every table that a gateway fills. */
async function fill(store: Store, charges: number): Promise<void> {
  const rolling = (amount: bigint) =>
    claim(amount, 10n ** 40n, { budget: 'rolling', window: 'rolling', windowStart: NOW, lengthMs: 3_600_000 })
  await store.vouchers.define(pool(), NOW)
  await store.vouchers.add([voucher(1), voucher(2)], { limits: LIMITS, at: NOW, signed: false })
  for (let n = 0; n < charges; n += 1) {
    const amount = n % 7 === 0 ? 10n ** 30n + BigInt(n) : BigInt(n + 1)
    const mark = { name: `name ${n}`, body: `body ${n}`, call: `call ${n}` }
    const claims = [claim(amount, 10n ** 40n, { soft: 1n }), rolling(amount)]
    await store.reserve(terms(n, { amount, microUsd: amount }), claims, false, mark)
    const { id } = terms(n)
    if (n % 5 === 0) continue
    await store.authorize(id, signed(n), NOW)
    await store.noteUsage(id, { inputTokens: n, outputTokens: 1 })
    if (n % 5 === 1) continue
    const end = n % 5 === 2 ? 'uncertain' : 'settled'
    const proof = end === 'settled' ? ({ proof: 'receipt', pin: true } as const) : {}
    await store.move(id, { to: end, at: NOW + 1, reason: 'x', by: 'ins_one', ...proof })
  }
  await store.notePrice({ apiBase: 'a', endpoint: '/c', model: 'm', network: 'n', asset: 't' }, 5n, NOW)
  await store.flag(terms(2).id, { flag: 'receipt_unproven', detail: 'd' }, NOW)
  await store.noteAuditHead({ file: '/audit.jsonl', seq: 7, hash: 'h', at: NOW })
}

/** What a gateway would read of it. */
async function told(store: Store): Promise<unknown[]> {
  const today = claim(0n, 0n)
  return [
    await store.charges({ limit: 1000 }),
    await store.windows(0),
    await store.totals([
      today,
      claim(0n, 1n, { budget: 'rolling', window: 'rolling', windowStart: NOW, lengthMs: 3_600_000 }),
    ]),
    await store.spend({ by: 'tag.agent' }),
    await store.sum('uncertain'),
    await store.pins(),
    await store.prices(),
    await store.flags(),
    await store.auditHeads(),
    Buffer.from(await store.digestKey()).toString('hex'),
    await store.tombstones({ name: 'name 3', body: 'body 3' }, NOW - 1),
    await store.vouchers.pools({ at: NOW }),
    await store.vouchers.list({ at: NOW }),
    await store.usages([terms(3).id]),
    await store.unproven({ network: terms(1).network }),
  ]
}

test('a copied ledger answers everything as the old one does, and goes on from there', async () => {
  const old = openSqliteStore({ path: file })
  await fill(old, 40)
  const before = await told(old)
  await old.close()
  const address = freshLedger()
  const copied = await copyLedger(file, address)
  expect(copied.find(({ table }) => table === 'charges')).toEqual({ table: 'charges', rows: 40 })
  const store = await openPatiently(address)
  try {
    expect(await told(store)).toEqual(before)
    // A new key of the sums must not be one that was copied.
    await store.reserve(terms(100, { route: 'new/*' }), [claim(1n, 10n ** 40n)], false)
    await store.move(terms(100).id, { to: 'released', at: NOW, reason: 'x' })
    expect(await store.authorize(terms(5).id, signed(3), NOW)).toBe('nonce_used')
  } finally {
    await store.close()
  }
  await expect(copyLedger(file, address)).rejects.toThrow(/is not empty.*count money twice/)
})

test('every table of a SQLite ledger is copied, or named as one that is not', async () => {
  await openSqliteStore({ path: file }).close()
  const db = new DatabaseSync(file)
  const names = db
    .prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    .all()
  db.exec('CREATE TABLE later (x)')
  db.close()
  expect(names.map(({ name }) => String(name)).toSorted()).toEqual(
    [...COPIED.map(({ name }) => name), ...NOT_COPIED].toSorted(),
  )
  await expect(copyLedger(file, freshLedger())).rejects.toThrow(/tables that cannot be copied: later/)
})

test('rule 2: a copy that would say something else is not kept', async () => {
  const old = openSqliteStore({ path: file })
  await fill(old, 6)
  await old.close()
  const db = new DatabaseSync(file)
  // Without the check of plain numbers, which a damaged file does not obey.
  db.exec("PRAGMA ignore_check_constraints = ON; UPDATE totals SET spent = '-1'")
  db.close()
  const address = freshLedger()
  await expect(copyLedger(file, address)).rejects.toThrow()
  const store = await openPatiently(address)
  expect(await store.charges()).toEqual([])
  await store.close()
})

test('the command tells what it copied, refuses a running gateway, and takes no plain password', async () => {
  const old = openSqliteStore({ path: file })
  await fill(old, 5)
  const { thisInstance } = await import('../../src/io/ledger/instance.ts')
  const self = thisInstance({ now: () => Date.now() })
  await old.register(self)
  await old.close()
  const address = freshLedger()
  const migrate = (to: string) =>
    run(process.execPath, [MAIN, 'store', 'migrate', `sqlite:${file}`, to], { cwd: directory })
  const running = await migrate(address)
  expect(running.code).not.toBe(0)
  expect(running.stderr).toContain(`Process ${process.pid} still uses the ledger`)
  const again = openSqliteStore({ path: file })
  await again.retire(self.id, Date.now(), 'instance_closed')
  await again.close()
  const plain = await migrate(address.replace('tollway@', 'tollway:hunter2@'))
  expect(plain.code).not.toBe(0)
  expect(plain.stderr).toMatch(/The address holds a password/)
  expect(await migrate(address)).toMatchObject({
    code: 0,
    stderr: '',
    stdout: expect.stringMatching(
      /^Copied 5 charges \(\d+ rows in all\) of .*tollway\.db in [\d.]+ seconds\. Counts and sums of every table are equal\.\n/,
    ),
  })
})
