import { randomUUID } from 'node:crypto'
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { commandAuditPath } from '../../src/app/wiring/audit-files.ts'
import { backUp } from '../../src/app/operations/backup.ts'
import { restoreLedger } from '../../src/app/operations/restore.ts'
import { systemClock } from '../../src/core/clock.ts'
import { run as runCommand } from '../../src/app/cli/run.ts'
import type { Charge } from '../../src/core/charge/charge.ts'
import { openAuditFile } from '../../src/io/audit/audit-file.ts'
import { chainOf } from '../../src/io/audit/audit-rotate.ts'
import { verifyAudit } from '../../src/io/audit/audit-verify.ts'
import { openStore } from '../../src/io/ledger/open-store.ts'
import type { Store } from '../../src/io/store/store.ts'
import { FakeTerminal } from '../cli/fake-terminal.ts'
import { startPatientSeller } from '../kit/fragile-gateway.ts'
import { ask } from '../kit/gateway.ts'
import { readyUrl, servePlace } from '../kit/serve-process.ts'
import { claim, NOW, signed, terms } from '../store/samples.ts'

const clock = { now: () => NOW }
let directory: string
let config: { store: string; audit: { path: string } }

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tollway-backup-'))
  config = {
    store: `sqlite:${join(directory, 'tollway.db')}`,
    audit: { path: join(directory, 'audit.jsonl') },
  }
})
afterEach(() => {
  rmSync(directory, { recursive: true })
})

async function fill(charges: number): Promise<Store> {
  const store = await openStore(config.store)
  await Promise.all(
    Array.from({ length: charges }, (_, n) => store.reserve(terms(n), [claim(7n, 10_000n)], true)),
  )
  await store.authorize(terms(0).id, signed(1), NOW)
  const audit = await openAuditFile({ path: config.audit.path, clock, instance: 'ins_one' })
  for (let n = 0; n < charges; n += 1) await audit.append('charge.held', { charge: terms(n).id })
  await audit.close()
  return store
}

const leftovers = (): string[] => readdirSync(directory).filter((name) => name.includes('part'))

describe('a backup', () => {
  test('has every charge, sum and pin of the ledger, for its owner only, and says so in backup.json', async () => {
    const store = await fill(300)
    const target = join(directory, 'copy')
    const backup = await backUp(config, target, clock)
    const copy = await openStore(`sqlite:${join(target, 'tollway.db')}`)
    for (const read of [
      (from: Store) => from.charges({ limit: 1000 }),
      (from: Store) => from.windows(0),
      (from: Store) => from.pins(),
      (from: Store) => from.digestKey(),
    ]) {
      expect(await read(copy)).toEqual(await read(store))
    }
    await copy.close()
    await store.close()
    expect(backup.ledger.charges).toEqual({ held: 299, authorized: 1 })
    expect(backup.audit?.verdict).toMatchObject({ ok: true, records: 300 })
    const facts = JSON.parse(readFileSync(join(target, 'backup.json'), 'utf8')) as object
    expect(facts).toEqual({
      at: '2026-11-21T10:00:00.000Z',
      ledger: backup.ledger,
      audit: backup.audit,
      commands: {},
    })
    expect(statSync(target).mode & 0o777).toBe(0o700)
    for (const name of ['tollway.db', 'audit.jsonl', 'backup.json']) {
      expect(statSync(join(target, name)).mode & 0o777, name).toBe(0o600)
    }
  })

  test('is of one instant, whatever is written while it is made', async () => {
    const store = await fill(500)
    let serial = 1000
    const writing = new AbortController()
    const writer = (async () => {
      while (!writing.signal.aborted) {
        await Promise.all([1, 2, 3].map(() => store.reserve(terms(serial++), [claim(7n, 1_000_000n)], true)))
      }
    })()
    for (let n = 0; n < 5; n += 1) {
      await backUp(config, join(directory, `copy-${n}`), clock)
      const copy = await openStore(`sqlite:${join(directory, `copy-${n}`, 'tollway.db')}`)
      const { count } = await copy.sum('held')
      const [totals] = await copy.totals([claim(0n, 0n)])
      expect(totals).toEqual({ spent: 0n, held: BigInt(count) * 7n, authorized: 7n, uncertain: 0n })
      await copy.close()
    }
    writing.abort()
    await writer
    await store.close()
  })

  test('leaves out a record that is being written', async () => {
    const store = await fill(3)
    await store.close()
    appendFileSync(config.audit.path, '{"seq":4,"ty')
    const backup = await backUp(config, join(directory, 'copy'), clock)
    expect(backup.audit?.verdict).toMatchObject({ ok: true, records: 3, torn: false })
    expect(await verifyAudit(join(directory, 'copy', 'audit.jsonl'))).toMatchObject({ ok: true, torn: false })
  })

  test('copies the files that were put away too, so that the copy proves the whole chain', async () => {
    const store = await fill(1)
    await store.close()
    const file = await openAuditFile({
      path: config.audit.path,
      clock,
      instance: 'ins_two',
      rotateBytes: 600,
    })
    for (let n = 0; n < 12; n += 1) await file.append('note', { n }, { durable: true })
    await file.close()
    const backup = await backUp(config, join(directory, 'copy'), clock)
    const files = chainOf(join(directory, 'copy', 'audit.jsonl'))
    expect(files.length).toBeGreaterThan(2)
    expect(backup.audit?.verdict).toMatchObject({ ok: true, from: { seq: 0 } })
    expect(await verifyAudit(files)).toMatchObject({ ok: true, head: file.head() })
  })

  test('has the files of commands too, under their names', async () => {
    const store = await fill(1)
    await store.close()
    const file = await openAuditFile({
      path: commandAuditPath(config.audit.path),
      clock,
      instance: 'ins_two',
    })
    for (let n = 0; n < 3; n += 1) await file.append('note', { n }, { durable: true })
    await file.close()
    const { commands } = await backUp(config, join(directory, 'copy'), clock)
    expect(commands).toMatchObject({
      'audit.cli.jsonl': { knownUntil: 3, verdict: { ok: true, records: 3 } },
    })
    expect(await verifyAudit(join(directory, 'copy', 'audit.cli.jsonl'))).toMatchObject({ head: file.head() })
  })

  test('needs no audit file', async () => {
    const store = await fill(1)
    await store.close()
    rmSync(config.audit.path)
    expect((await backUp(config, join(directory, 'copy'), clock)).audit).toBeUndefined()
  })

  test('copies an audit file that was changed, and says so', async () => {
    const store = await fill(3)
    await store.close()
    writeFileSync(
      config.audit.path,
      readFileSync(config.audit.path, 'utf8').replace('charge.held', 'charge.gone'),
    )
    const backup = await backUp(config, join(directory, 'copy'), clock)
    expect(backup.audit?.verdict).toMatchObject({ ok: false, line: 1 })
    expect(readFileSync(join(directory, 'copy', 'audit.jsonl'))).toEqual(readFileSync(config.audit.path))
  })
})

describe('a backup is refused, and leaves nothing behind,', () => {
  test('where there is no ledger, or nothing but memory', async () => {
    await expect(backUp(config, join(directory, 'copy'), clock)).rejects.toThrow(
      /There is no ledger at .*tollway\.db/,
    )
    expect(existsSync(join(directory, 'tollway.db'))).toBe(false)
    await expect(backUp({ ...config, store: 'memory' }, join(directory, 'copy'), clock)).rejects.toThrow(
      /store: memory is lost when the gateway stops/,
    )
    expect(leftovers()).toEqual([])
  })

  test('where the ledger is damaged or another program wrote it', async () => {
    await (await fill(200)).close()
    truncateSync(join(directory, 'tollway.db'), 20_480)
    await expect(backUp(config, join(directory, 'copy'), clock)).rejects.toThrow(/tollway\.db is damaged/)
    writeFileSync(join(directory, 'tollway.db'), 'not a database '.repeat(1000))
    await expect(backUp(config, join(directory, 'copy'), clock)).rejects.toThrow(/is damaged or not a ledger/)
    expect(leftovers()).toEqual([])
    expect(existsSync(join(directory, 'copy'))).toBe(false)
  })

  test('into a directory that is there, or whose parent is not', async () => {
    await (await fill(1)).close()
    mkdirSync(join(directory, 'copy'))
    await expect(backUp(config, join(directory, 'copy'), clock)).rejects.toThrow(
      /already exists\. Choose a new/,
    )
    await expect(backUp(config, join(directory, 'no/copy'), clock)).rejects.toThrow(
      /no does not exist\. Create it/,
    )
    expect(readdirSync(join(directory, 'copy'))).toEqual([])
  })
})

describe('tollway backup', () => {
  async function tollway(...args: string[]): Promise<{ code: number; out: string; err: string }> {
    const file = join(directory, 'tollway.yaml')
    writeFileSync(file, 'store: sqlite:./tollway.db\naudit: { path: ./audit.jsonl }\n')
    const terminal = new FakeTerminal()
    const code = await runCommand(['backup', ...args, '--config', file], terminal)
    return { code, out: terminal.out, err: terminal.err }
  }

  test('tells what it copied, for people and as JSON', async () => {
    await (await fill(3)).close()
    const target = join(directory, 'copy')
    const { code, out, err } = await tollway(target)
    expect([code, err]).toEqual([0, ''])
    expect(out).toMatch(
      /^Backed up to .*copy\.\nLedger: schema \d+, charges: 1 authorized, 2 held\.\nAudit file: 3 records, the last with hash [0-9a-f]{64}\.\n$/,
    )
    const json = await tollway(join(directory, 'other'), '--json')
    expect(JSON.parse(json.out)).toMatchObject({ ledger: { charges: { held: 2, authorized: 1 } } })
  })

  test('ends with 1 for a damaged audit file, and with 2 for a mistake', async () => {
    await (await fill(3)).close()
    writeFileSync(
      config.audit.path,
      readFileSync(config.audit.path, 'utf8').replace('charge.held', 'charge.gone'),
    )
    const { code, err } = await tollway(join(directory, 'copy'))
    expect([code, err]).toEqual([
      1,
      'The audit file audit.jsonl is damaged: line 1 is not record 1: its hash does not match its content.\n',
    ])
    expect((await tollway(join(directory, 'copy'))).code).toBe(2)
  })
})

test('made while a gateway pays and restored after it was killed: to the atom what it had, nothing paid twice', async () => {
  const seller = await startPatientSeller()
  const place = servePlace(`
model_list: [{ model_name: "paid/*", model: "*", api_base: "${seller.apiBase}", payer: base }]
budgets: [{ name: all, limit_usd: "5.00", window: lifetime }]
`)
  const first = place.start()
  try {
    const url = await readyUrl(first)
    const pay = (at: string): Promise<unknown> =>
      ask(at, { model: 'paid/m', user: randomUUID() }).catch(() => undefined)
    for (let n = 0; n < 5; n += 1) await pay(url)
    // Some are on their way when the backup is made: the seller has their signatures and does not answer.
    const held = seller.hold()
    const open = [pay(url), pay(url), pay(url)]
    await expect.poll(() => seller.counts().paid).toBe(8)
    const target = join(place.directory, 'copy')
    const files = { store: `sqlite:${place.ledger}`, audit: { path: place.audit } }
    const backup = await backUp(files, target, clock)
    expect(backup.ledger.charges).toEqual({ settled: 5, authorized: 3 })
    held.answer()
    await Promise.all(open)
    for (let n = 0; n < 4; n += 1) await pay(url)
    first.kill('SIGKILL')
    await first.end()

    for (const suffix of ['', '-wal', '-shm']) rmSync(`${place.ledger}${suffix}`, { force: true })
    writeFileSync(place.ledger, readFileSync(join(target, 'tollway.db')))
    const budget = { name: 'all', limit: 5_000_000n, window: 'lifetime', timezone: 'UTC' } as const
    await restoreLedger({ ...files, budgets: [budget] }, 'adopt', systemClock)
    const second = place.start()
    await readyUrl(second)
    second.kill('SIGTERM')
    expect(await second.end()).toMatchObject({ code: 0 })

    const { charges, windows } = await place.withLedger(async (store) => ({
      charges: await store.charges({ limit: 1000 }),
      windows: await store.windows(0),
    }))
    const of = (state: Charge['state']): Charge[] => charges.filter((charge) => charge.state === state)
    expect([of('settled').length, of('uncertain').length, charges.length]).toEqual([9, 3, 12])
    expect(windows).toMatchObject([{ totals: { spent: 9000n, held: 0n, authorized: 0n, uncertain: 3000n } }])
    // Every charge of the restored ledger is one the seller was paid for, and no signature was sent twice.
    const nonces = seller.requests
      .flatMap(({ headers }) => headers['payment-signature'] ?? [])
      .map((header) => /"nonce":"(0x[0-9a-f]{64})"/.exec(Buffer.from(header, 'base64').toString())?.[1])
    expect(new Set(nonces).size).toBe(12)
    expect(nonces).toHaveLength(12)
    for (const { authorization } of charges) expect(nonces).toContain(authorization?.nonce)
    expect(await verifyAudit(place.audit)).toMatchObject({ ok: true })
  } finally {
    first.kill('SIGKILL')
    await seller.close()
    place.remove()
  }
})
