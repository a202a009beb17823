/** An old ledger that was put back beside audit files that know more: refused, then adopted or forgotten. */
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { run as runCommand } from '../../src/app/cli/run.ts'
import { openCommandLedger } from '../../src/app/operations/command-ledger.ts'
import { restoreLedger } from '../../src/app/operations/restore.ts'
import { forgottenCharges, refuseOldLedger } from '../../src/app/wiring/refuse-old-ledger.ts'
import { copyLedger } from '../../src/io/store/sqlite/backup.ts'
import { openStore } from '../../src/io/ledger/open-store.ts'
import type { BudgetRule } from '../../src/core/budget/budget.ts'
import type { Charge } from '../../src/core/charge/charge.ts'
import type { Ledger } from '../../src/io/ledger/ledger.ts'
import { FakeTerminal } from '../cli/fake-terminal.ts'
import { NOW, signed, terms } from '../store/samples.ts'

const all: BudgetRule = { name: 'all', limit: 50_000n, window: 'lifetime', timezone: 'UTC' }
let now = NOW
const clock = { now: () => (now += 1000) }
let directory: string
let ledgerPath: string
let config: { store: string; audit: { path: string }; budgets: readonly BudgetRule[] }

beforeEach(() => {
  now = NOW
  directory = mkdtempSync(join(tmpdir(), 'tollway-restore-'))
  ledgerPath = join(directory, 'tollway.db')
  config = {
    store: `sqlite:${ledgerPath}`,
    audit: { path: join(directory, 'audit.jsonl') },
    budgets: [all],
  }
})
afterEach(() => {
  rmSync(directory, { recursive: true })
})

let nonce = 0

async function pay(
  ledger: Ledger,
  end: 'settled' | 'uncertain' | 'authorized' | 'held' | 'released',
): Promise<Charge> {
  const { id: _i, instance: _n, reservedAt: _r, leaseUntil: _l, ...wanted } = terms(1)
  const charge = await ledger.reserve({ ...wanted, tags: ['team=a'] }, [all], false)
  if (end === 'held') return charge
  if (end === 'released') {
    await ledger.release(charge, 'client_left')
    return charge
  }
  const sent = await ledger.authorize(charge, signed((nonce += 1), { validBefore: NOW / 1000 + 9_000 }))
  if (end === 'settled') await ledger.settle(sent, 'assumed', undefined)
  if (end === 'uncertain') await ledger.uncertain(sent, 'timeout')
  return charge
}

/** Runs a ledger, and puts the old one back afterwards. */
async function oldLedger(work: (ledger: Ledger) => Promise<void>): Promise<void> {
  const first = await openCommandLedger(config, clock)
  await pay(first, 'settled')
  await first.close()
  const old = join(directory, 'old.db')
  copyFileSync(ledgerPath, old)
  const second = await openCommandLedger(config, clock)
  await work(second)
  await second.close()
  for (const suffix of ['', '-wal', '-shm']) rmSync(`${ledgerPath}${suffix}`, { force: true })
  copyFileSync(old, ledgerPath)
}

async function totals() {
  const store = await openStore(config.store)
  const { spent, uncertain, held, authorized } = (await store.windows(0))[0]?.totals ?? {}
  const charges = await store.charges()
  await store.close()
  return { spent, open: (uncertain ?? 0n) + (authorized ?? 0n), held, charges }
}

const AMOUNT = terms(1).amount

describe('rule 2: an old ledger that is put back', () => {
  test('is refused with the sum and the ways on, by whoever would spend', async () => {
    await oldLedger(async (ledger) => {
      await pay(ledger, 'settled')
    })
    await expect(openCommandLedger(config, clock)).rejects.toThrow(
      /^The ledger .*tollway\.db is older than the audit file .*audit\.jsonl, which records 1 payment \(\$0\.023\) that the ledger does not know.*Nothing was paid.*backup restore --adopt-audit.*--forget/,
    )
    expect((await totals()).charges).toHaveLength(1)
  })

  test('is taken when nothing was signed since: reserved, given back, or nothing at all', async () => {
    await oldLedger(async (ledger) => {
      await pay(ledger, 'released')
      await pay(ledger, 'held')
    })
    await (await openCommandLedger(config, clock)).close()
  })

  test('with --adopt-audit counts every payment in its window, above the limit too, and starts', async () => {
    const made: Charge[] = []
    await oldLedger(async (ledger) => {
      for (const end of ['settled'] as const) made.push(await pay(ledger, end))
    })
    const before = await totals()
    expect(before.spent).toBe(AMOUNT)
    // The limit is smaller by now.
    const tight = { ...config, budgets: [{ ...all, limit: 30_000n }] }
    expect(await restoreLedger(tight, 'adopt', clock)).toMatchObject({
      result: 'adopted',
      charges: [{ id: made[0]?.id, known: 'missing' }],
    })
    const after = await totals()
    expect(after.spent).toBe(2n * AMOUNT)
    expect(after.charges.find(({ id }) => id === made[0]?.id)).toMatchObject({
      state: 'settled',
      proof: 'assumed',
      reason: 'adopted',
      reservedAt: expect.closeTo(made[0]?.reservedAt ?? 0, -4),
      apiBase: terms(1).apiBase,
      authorization: { nonce: signed(nonce).nonce, method: 'eip3009' },
    })
    const ledger = await openCommandLedger(config, clock)
    await expect(pay(ledger, 'settled')).rejects.toMatchObject({ code: 'budget_exhausted' })
    await ledger.close()
    expect(readFileSync(join(directory, 'audit.cli.jsonl'), 'utf8')).toContain('"type":"ledger.adopted"')
  })

  test('with --adopt-audit keeps what has no outcome as uncertain, for the chain to settle', async () => {
    await oldLedger(async (ledger) => {
      await pay(ledger, 'uncertain')
    })
    await restoreLedger(config, 'adopt', clock)
    expect(await totals()).toMatchObject({ spent: AMOUNT, open: AMOUNT })
  })

  test('that knows a payment as reserved only is refused too, and adopts it in its place', async () => {
    const first = await openCommandLedger(config, clock)
    const { id: _i, instance: _n, reservedAt: _r, leaseUntil: _l, ...wanted } = terms(1)
    const held = await first.reserve({ ...wanted, tags: [] }, [all], false)
    copyLedger(ledgerPath, join(directory, 'old.db'))
    await first.settle(await first.authorize(held, signed((nonce += 1))), 'receipt', undefined)
    await first.close()
    for (const suffix of ['', '-wal', '-shm']) rmSync(`${ledgerPath}${suffix}`, { force: true })
    copyFileSync(join(directory, 'old.db'), ledgerPath)
    const store = await openStore(config.store)
    expect(await forgottenCharges(config, store)).toMatchObject([{ id: held.id, known: 'held' }])
    await expect(refuseOldLedger(config, store)).rejects.toThrow(/1 payment/)
    await store.close()
    await restoreLedger(config, 'adopt', clock)
    expect(await totals()).toMatchObject({
      spent: AMOUNT,
      held: 0n,
      charges: [{ id: held.id, proof: 'receipt' }],
    })
  })

  test('with --forget goes on without them, and is not asked again', async () => {
    await oldLedger(async (ledger) => {
      await pay(ledger, 'settled')
    })
    const path = join(directory, 'tollway.yaml')
    writeFileSync(
      path,
      `store: ${config.store}\naudit: { path: ${config.audit.path} }\nmodel_list: [{ model_name: "a", api_base: "http://127.0.0.1:1" }]\n`,
    )
    const terminal = new FakeTerminal()
    expect(await runCommand(['backup', 'restore', '--config', path], terminal)).toBe(2)
    expect(
      await runCommand(['backup', 'restore', '--forget', '--config', path], terminal),
      terminal.err,
    ).toBe(0)
    expect(terminal.out).toContain('goes on without 1 payment ($0.023)')
    const ledger = await openCommandLedger(config, clock)
    await pay(ledger, 'settled')
    await ledger.close()
    await (await openCommandLedger(config, clock)).close()
    expect((await totals()).spent).toBe(2n * AMOUNT)
  })
})
