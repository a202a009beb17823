/**
 * Rolling windows at size: `node test/campaigns/rolling.ts [--charges 100000]`. Fills a ledger with charges, spread over 30 days and
 * then within ten minutes, and reads their rolling sums from many instants: each must equal the sum charge by charge.
 * One directory under the system's temporary one; ends by itself; exit code 1 when a sum is wrong.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { renderTable } from '../../src/app/cli/output/table.ts'
import { claimOn, counted, type BudgetRule } from '../../src/core/budget/budget.ts'
import { openSqliteStore } from '../../src/io/store/sqlite/store.ts'
import type { Store } from '../../src/io/store/store.ts'
import { terms } from '../store/samples.ts'

const DAY_MS = 86_400_000
const START = Date.parse('2026-10-01T00:00:00Z')
const RULES: readonly BudgetRule[] = [
  { name: 'day', limit: 10n ** 15n, window: 'rolling', lengthMs: DAY_MS, timezone: 'UTC' },
  { name: 'month', limit: 10n ** 15n, window: 'rolling', lengthMs: 30 * DAY_MS, timezone: 'UTC' },
]
const SPREADS: readonly (readonly [string, number])[] = [
  ['30 days', 30 * DAY_MS],
  ['10 minutes', 600_000],
]
/** Reservations asked for in one turn; the ledger commits them together. */
const BATCH = 200

const { values } = parseArgs({ options: { charges: { type: 'string', default: '100000' } } })
const charges = Number(values.charges)
const directory = await mkdtemp(join(tmpdir(), 'tollway-rolling-'))
try {
  const rows: string[][] = []
  for (const [name, spread] of SPREADS) {
    const store = openSqliteStore({ path: join(directory, `${spread}.db`) })
    const reserved = await fill(store, spread)
    const reading = await readAll(store, reserved)
    rows.push([
      name,
      String(charges),
      reading.median.toFixed(2),
      reading.most.toFixed(2),
      String(reading.wrong),
    ])
    if (reading.wrong > 0) process.exitCode = 1
    await store.close()
  }
  process.stdout.write(
    renderTable(['SPREAD', 'CHARGES', 'READ P50 (MS)', 'READ MAX (MS)', 'WRONG SUMS'], rows),
  )
} finally {
  await rm(directory, { recursive: true, force: true })
}

/** Reserves the charges, each of its own price; returns when and how much. */
async function fill(
  store: Store,
  spread: number,
): Promise<{ readonly at: number; readonly amount: bigint }[]> {
  const plan = Array.from({ length: charges }, (_, n) => ({
    at: START + Math.floor((n * spread) / charges),
    amount: BigInt(1 + (n % 997)),
  }))
  for (let from = 0; from < charges; from += BATCH) {
    await Promise.all(
      plan.slice(from, from + BATCH).map(async ({ at, amount }, index) => {
        const claims = RULES.map((rule) => claimOn(rule, '*', amount, at))
        await store.reserve(terms(from + index, { reservedAt: at, leaseUntil: at + 1 }), claims, false)
      }),
    )
  }
  return plan
}

/** Reads every rolling sum from 200 instants during and after the charges. */
async function readAll(
  store: Store,
  reserved: readonly { readonly at: number; readonly amount: bigint }[],
): Promise<{ readonly median: number; readonly most: number; readonly wrong: number }> {
  const end = (reserved.at(-1)?.at ?? START) + 31 * DAY_MS
  const times: number[] = []
  let wrong = 0
  for (let step = 0; step <= 200; step += 1) {
    const now = START + Math.floor(((end - START) * step) / 200) + (step % 7)
    for (const rule of RULES) {
      const before = performance.now()
      const [totals] = await store.totals([claimOn(rule, '*', 0n, now)])
      times.push(performance.now() - before)
      const from = now - (rule.lengthMs ?? 0)
      const expected = reserved.reduce((sum, { at, amount }) => (at > from ? sum + amount : sum), 0n)
      if (!totals || counted(totals) !== expected) wrong += 1
    }
  }
  times.sort((a, b) => a - b)
  return { median: times[times.length >> 1] ?? 0, most: times.at(-1) ?? 0, wrong }
}
