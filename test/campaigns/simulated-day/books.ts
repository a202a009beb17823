/** What was spent, counted in five ways that know nothing of each other, and where they differ. */
import { readFile } from 'node:fs/promises'
import type { Charge } from '../../../src/core/charge/charge.ts'
import { chainOf } from '../../../src/io/audit/audit-rotate.ts'
import { verifyAudit } from '../../../src/io/audit/audit-verify.ts'
import type { TestGateway } from '../../kit/gateway.ts'
import { localDate } from './clock-change.ts'

/** Atomic units of USDC. */
export interface Books {
  readonly ledger: bigint
  readonly charges: bigint
  readonly metrics: bigint
  readonly audit: bigint
  readonly chain: bigint
  /** Charges by how they stand. */
  readonly states: Readonly<Record<string, number>>
  /** Budget windows that were held against the charges. */
  readonly windows: number
  /** What does not fit together; nothing may. */
  readonly differences: readonly string[]
}

/**
 * Counts, when nothing is on its way.
 * @param moved what left the buyer's account on the chain
 * @param zone of the budgets by day
 * @param names the budgets that every charge counts in, the first of them for ever
 */
export async function holdBooksTogether(
  gateway: TestGateway,
  moved: bigint,
  zone: string,
  names: readonly [string, ...string[]],
): Promise<Books> {
  const { ledger: books, config } = gateway.gateway.parts
  const all = await books.store.charges({ limit: 1000 })
  if (all.length === 1000) throw new Error('there are more charges than one listing holds: simulate fewer')
  const settled = all.filter(({ state }) => state === 'settled')
  const windows = await books.store.windows(0)
  const of = (name: string) =>
    windows.filter(({ budget, window }) => budget === name && !window.startsWith('rolling-'))
  const spentIn = (name: string): bigint => of(name).reduce((total, { totals }) => total + totals.spent, 0n)
  const sums = {
    ledger: spentIn(names[0]),
    charges: sum(settled),
    metrics: BigInt(await gateway.metric('tollway_spend_atomic_total')),
    audit: await auditSum(chainOf(config.audit.path)),
    chain: moved,
  }
  const differences = Object.entries(sums).flatMap(([name, value]) =>
    value === sums.chain ? [] : [`${name} says ${value}, and the chain says ${sums.chain}`],
  )
  for (const name of names) {
    if (spentIn(name) !== sums.chain) differences.push(`the windows of ${name} add up to ${spentIn(name)}`)
  }
  for (const { budget, totals } of windows) {
    const open = totals.held + totals.authorized + totals.uncertain
    if (open !== 0n) differences.push(`${budget} still counts ${open} that is not decided`)
    const limit = config.budgets.find(({ name }) => name === budget)?.limit ?? 0n
    if (budget !== 'rolling' && totals.spent > limit)
      differences.push(`${budget} spent ${totals.spent} of ${limit}`)
  }
  differences.push(
    ...(names.includes('day') ? compareWindows('day', of('day'), settled, (at) => localDate(zone, at)) : []),
    ...(names.includes('hour') ? compareWindows('hour', of('hour'), settled, hourOf) : []),
    ...config.budgets
      .filter(({ window }) => window === 'rolling')
      .flatMap(({ lengthMs = 0, limit }) => rollingExcess(settled, lengthMs, limit)),
  )
  const verdict = await verifyAudit(chainOf(config.audit.path))
  if (!verdict.ok || verdict.openIntents.length > 0) differences.push('the audit file is not whole')
  const states: Record<string, number> = {}
  for (const { state } of all) states[state] = (states[state] ?? 0) + 1
  return { ...sums, states, windows: of('day').length + of('hour').length, differences }
}

function hourOf(at: number): string {
  return String(Math.floor(at / 3_600_000))
}

function sum(charges: readonly Charge[]): bigint {
  return charges.reduce((total, { amount }) => total + amount, 0n)
}

/** The amounts of the charges whose last record says settled. */
async function auditSum(files: readonly string[]): Promise<bigint> {
  const last = new Map<string, { state: string; amount: string }>()
  const texts = await Promise.all(files.map(async (file) => await readFile(file, 'utf8')))
  for (const line of texts.join('').trimEnd().split('\n')) {
    const record = JSON.parse(line) as Record<'type' | 'charge' | 'state' | 'amount', string>
    if (/^charge\.(?:held|authorized|settled|uncertain|released)$/.test(record.type))
      last.set(record.charge, record)
  }
  return [...last.values()].reduce(
    (total, { state, amount }) => (state === 'settled' ? total + BigInt(amount) : total),
    0n,
  )
}

/** Each window's sum against the charges that were reserved in it, by a calendar of the system's own. */
function compareWindows(
  name: string,
  windows: readonly { windowStart: number; totals: { spent: bigint } }[],
  settled: readonly Charge[],
  keyOf: (at: number) => string,
): string[] {
  const expected = new Map<string, bigint>()
  for (const { reservedAt, amount } of settled) {
    expected.set(keyOf(reservedAt), (expected.get(keyOf(reservedAt)) ?? 0n) + amount)
  }
  const found = new Map(
    windows
      .filter(({ totals }) => totals.spent > 0n)
      .map(({ windowStart, totals }) => [keyOf(windowStart), totals.spent]),
  )
  return [...new Set([...expected.keys(), ...found.keys()])].flatMap((key) =>
    expected.get(key) === found.get(key)
      ? []
      : [`${name} ${key}: the ledger says ${found.get(key)}, its charges ${expected.get(key)}`],
  )
}

/** Instants at which the settled charges of the last so many milliseconds were over the limit. */
function rollingExcess(settled: readonly Charge[], lengthMs: number, limit: bigint): string[] {
  return settled.flatMap(({ reservedAt }) => {
    const within = settled.filter(
      (other) => other.reservedAt <= reservedAt && other.reservedAt > reservedAt - lengthMs,
    )
    return sum(within) > limit ? [`rolling: ${sum(within)} of ${limit} at ${reservedAt}`] : []
  })
}
