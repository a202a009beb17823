import { chmodSync, copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { beforeEach, describe, expect, it } from 'vitest'
import { run } from '../../src/app/cli/run.ts'
import { openSqliteStore } from '../../src/io/store/sqlite/store.ts'
import { claimsFor, type BudgetRule } from '../../src/core/budget/budget.ts'
import { configFile, temporaryDirectory } from '../config/config-file.ts'
import { terms } from '../store/samples.ts'
import { FakeTerminal } from './fake-terminal.ts'
import { tollway } from './tollway.ts'

const CONFIG = `budgets:
  - { name: all, limit_usd: "5.00", soft_usd: "0.01", window: lifetime }
  - { name: each, per: caller, limit_usd: "1.00", window: lifetime, enforce: false }
`
const RULES: readonly BudgetRule[] = [
  { name: 'all', limit: 5_000_000n, window: 'lifetime', timezone: 'UTC' },
  { name: 'each', per: 'caller', limit: 1_000_000n, window: 'lifetime', timezone: 'UTC' },
]

let directory: string
let config: string
let ledger: string

beforeEach(() => {
  directory = temporaryDirectory()
  config = configFile(CONFIG, directory)
  ledger = join(directory, 'tollway.db')
})

/** A ledger with one charge of $0.023, and the writer still at work on it. */
async function writtenLedger() {
  const store = openSqliteStore({ path: ledger })
  const spend = { caller: 'openclaw', route: '', payer: '', seller: '', tags: [], symbol: 'USDC' }
  const now = Date.now()
  const claims = claimsFor(RULES, { ...spend, amount: 23_000n, microUsd: 23_000n }, now)
  await store.reserve(terms(1, { reservedAt: now, leaseUntil: now + 1 }), claims, false)
  return store
}

const TABLE = `BUDGET  SUBJECT   WINDOW    LIMIT  SPENT  HELD    UNCERTAIN  LEFT    RESETS
all     -         lifetime  $5     $0     $0.023  $0         $4.977  -       over its soft limit of $0.01
each    openclaw  lifetime  $1     $0     $0.023  $0         $0.977  -       not enforced
`

it('shows what each budget holds while the ledger is written, and never waits for the writer', async () => {
  const store = await writtenLedger()
  // Another process in the middle of a transaction.
  const writer = new DatabaseSync(ledger)
  writer.exec('BEGIN IMMEDIATE; UPDATE pings SET count = count + 1')
  expect(await tollway(['budgets', '--config', config])).toEqual({ code: 0, stdout: TABLE, stderr: '' })
  writer.exec('COMMIT')
  writer.close()
  await store.close()
})

it('shows the same after the gateway has ended, and changes nothing', async () => {
  await (await writtenLedger()).close()
  const before = readFileSync(ledger)
  expect((await tollway(['budgets', '--config', config])).stdout).toBe(TABLE)
  expect((await tollway(['budgets', '--config', config])).stdout).toBe(TABLE)
  expect(readFileSync(ledger).equals(before)).toBe(true)
})

it('reads a copy that nobody may write', async () => {
  await (await writtenLedger()).close()
  const copy = join(temporaryDirectory(), 'copy.db')
  copyFileSync(ledger, copy)
  chmodSync(copy, 0o400)
  const path = configFile(`store: "sqlite:${copy}"\n${CONFIG}`)
  expect(await tollway(['budgets', '--config', path])).toEqual({ code: 0, stdout: TABLE, stderr: '' })
})

it('says so where no budgets are configured', async () => {
  await (await writtenLedger()).close()
  const terminal = new FakeTerminal()
  expect(
    await run(['budgets', '--config', configFile('store: sqlite:./tollway.db\n', directory)], terminal),
  ).toBe(0)
  expect(terminal.out).toBe('No budgets are configured: only policy.max_usd_per_request limits spending.\n')
})

describe('ends with its exit code and the fix', () => {
  const cases: Readonly<
    Record<string, [prepare: () => void | Promise<void>, message: RegExp, code?: number]>
  > = {
    'for a ledger in memory': [
      () => void (config = configFile(`store: memory\n${CONFIG}`)),
      /^store: memory exists only inside the gateway\. Use GET \/api\/budgets or open \/dashboard,/,
    ],
    'before a gateway ever ran': [
      () => undefined,
      /^There is no ledger at .*tollway\.db yet: no gateway has run with this configuration, so nothing was spent or bought\./,
      1,
    ],
    'for a file of another program': [
      () => {
        const db = new DatabaseSync(ledger)
        db.exec('CREATE TABLE notes (text TEXT)')
        db.close()
      },
      /tollway\.db is not a Tollway ledger\. Check store in the configuration\.\n$/,
    ],
    'for a file that is no database': [
      () => writeFileSync(ledger, 'money\n'.repeat(500)),
      /tollway\.db is damaged or not a ledger\. Restore it from a backup\.\n$/,
    ],
    'for a ledger of an older version': [
      async () => {
        await (await writtenLedger()).close()
        const db = new DatabaseSync(ledger)
        db.exec('PRAGMA user_version = 1')
        db.close()
      },
      /was written by an older Tollway \(schema 1\)\. Start this version's gateway with it once to migrate it\.\n$/,
    ],
    'for a ledger of a newer version': [
      async () => {
        await (await writtenLedger()).close()
        const db = new DatabaseSync(ledger)
        db.exec('PRAGMA user_version = 999')
        db.close()
      },
      /was written by a newer Tollway \(schema 999; this version supports \d+\)\. Run the newer Tollway\.\n$/,
    ],
  }
  for (const [name, [prepare, message, code = 2]] of Object.entries(cases)) {
    it(name, async () => {
      await prepare()
      const terminal = new FakeTerminal()
      expect(await run(['budgets', '--config', config], terminal)).toBe(code)
      expect(terminal.out).toBe('')
      expect(terminal.err).toMatch(message)
    })
  }
})
