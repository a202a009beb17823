/** `tollway report` as a table, CSV or JSON. Money is exact in each of them. */
import { stringify } from 'csv-stringify/sync'
import { formatUnits, formatUsd } from '../../../core/money/money.ts'
import type { Period } from '../../report/period.ts'
import { ASSUMPTIONS, type Refusal, type ReplayResult, type Worth } from '../../report/replay.ts'
import type { Dimension, SpendingRow } from '../../report/spending.ts'
import { renderTable } from './table.ts'

/** A spending report. */
export interface SpendingReport {
  readonly period: Period
  readonly timezone: string
  readonly by: readonly Dimension[]
  readonly rows: readonly SpendingRow[]
}

const COLUMNS = [
  'asset',
  'charges',
  'input_tokens',
  'output_tokens',
  'spent',
  'spent_usd',
  'open',
  'open_usd',
  'released',
] as const

/** As a table for people; the last line is the total in USD. */
export function renderSpending({ period, timezone, by, rows }: SpendingReport): string {
  const head = `Spending ${spanOf(period, timezone)} (${timezone})\n\n`
  if (rows.length === 0) return `${head}Nothing was paid.\n`
  const total = totalOf(rows)
  const sums = [
    '',
    String(total.charges),
    String(total.inputTokens),
    String(total.outputTokens),
    '',
    formatUsd(total.spent),
    '',
    formatUsd(total.open),
    String(total.released),
  ]
  const lines = [...rows.map((row) => [...row.keys, ...moneyOf(row)]), [...by.map(() => ''), ...sums]]
  const note = total.open > 0n ? '\nOPEN: in flight or with an unknown outcome; it counts as spent.\n' : ''
  const less =
    total.signed > total.spent
      ? `\nSPENT: for \`upto\` payments, the amount proven on chain; ${formatUsd(total.signed)} USD were signed.\n`
      : ''
  return `${head}${renderTable(
    [...by, ...COLUMNS].map((name) => name.toUpperCase().replace('_', ' ')),
    lines,
  )}${note}${less}`
}

/** As CSV with a header line and each amount also in smallest units. A cell that starts like a formula is escaped. */
export function csvOfSpending({ by, rows }: SpendingReport): string {
  const columns = [...by, ...COLUMNS, 'spent_atomic', 'open_atomic', 'signed_atomic', 'signed_usd']
  const lines = rows.map((row) => [
    ...row.keys,
    ...moneyOf(row),
    row.spent.toString(),
    row.open.toString(),
    row.signed.toString(),
    formatUsd(row.signedMicroUsd),
  ])
  return stringify([columns, ...lines], { escape_formulas: true })
}

/** Money as decimal strings. */
export function jsonOfSpending({ period, timezone, by, rows }: SpendingReport): object {
  const total = totalOf(rows)
  return {
    from: new Date(period.since).toISOString(),
    to: new Date(period.until).toISOString(),
    timezone,
    by,
    rows: rows.map((row) => ({
      ...Object.fromEntries(by.map((name, index) => [name, row.keys[index] ?? ''])),
      asset: row.asset,
      decimals: row.decimals,
      charges: row.charges,
      input_tokens: row.inputTokens,
      output_tokens: row.outputTokens,
      spent_atomic: row.spent.toString(),
      spent_usd: formatUsd(row.spentMicroUsd),
      signed_atomic: row.signed.toString(),
      signed_usd: formatUsd(row.signedMicroUsd),
      open_atomic: row.open.toString(),
      open_usd: formatUsd(row.openMicroUsd),
      released: row.released,
    })),
    total: {
      charges: total.charges,
      input_tokens: total.inputTokens,
      output_tokens: total.outputTokens,
      spent_usd: formatUsd(total.spent),
      signed_usd: formatUsd(total.signed),
      open_usd: formatUsd(total.open),
      released: total.released,
    },
  }
}

function moneyOf(row: SpendingRow): string[] {
  return [
    row.asset,
    String(row.charges),
    String(row.inputTokens),
    String(row.outputTokens),
    formatUnits(row.spent, row.decimals),
    formatUsd(row.spentMicroUsd),
    formatUnits(row.open, row.decimals),
    formatUsd(row.openMicroUsd),
    String(row.released),
  ]
}

function totalOf(rows: readonly SpendingRow[]) {
  return rows.reduce(
    (sum, row) => ({
      charges: sum.charges + row.charges,
      inputTokens: sum.inputTokens + row.inputTokens,
      outputTokens: sum.outputTokens + row.outputTokens,
      spent: sum.spent + row.spentMicroUsd,
      signed: sum.signed + row.signedMicroUsd,
      open: sum.open + row.openMicroUsd,
      released: sum.released + row.released,
    }),
    { charges: 0, inputTokens: 0, outputTokens: 0, spent: 0n, signed: 0n, open: 0n, released: 0 },
  )
}

/** @param file the other configuration */
export function renderReplay(file: string, period: Period, timezone: string, result: ReplayResult): string {
  const row = (what: string, { charges, microUsd }: Worth): string[] => [
    what,
    String(charges),
    formatUsd(microUsd),
  ]
  const table = renderTable(
    ['WITH THE OTHER POLICY', 'CHARGES', 'USD'],
    [
      row('paid then', result.paid),
      row('still paid', result.allowed),
      ...result.refused.map((refusal) => row(`refused: ${reasonOf(refusal)}`, refusal)),
    ],
  )
  const assumed = ASSUMPTIONS.map((line) => `- ${line}\n`).join('')
  return `Payments ${spanOf(period, timezone)} (${timezone}) under ${file}\n\n${table}\nAssumed:\n${assumed}`
}

/** Money as decimal strings. */
export function jsonOfReplay(file: string, period: Period, timezone: string, result: ReplayResult): object {
  const worth = ({ charges, microUsd }: Worth) => ({ charges, usd: formatUsd(microUsd) })
  return {
    policy: file,
    from: new Date(period.since).toISOString(),
    to: new Date(period.until).toISOString(),
    timezone,
    paid: worth(result.paid),
    allowed: worth(result.allowed),
    refused: result.refused.map((refusal) => ({
      code: refusal.code,
      budget: refusal.budget ?? null,
      ...worth(refusal),
    })),
    examples: result.examples.map(({ charge, code, budget }) => ({ charge, code, budget: budget ?? null })),
    assumptions: ASSUMPTIONS,
  }
}

/** With a header line. */
export function csvOfReplay(result: ReplayResult): string {
  const row = (what: string, code: string, budget: string, { charges, microUsd }: Worth): string[] => [
    what,
    code,
    budget,
    String(charges),
    formatUsd(microUsd),
  ]
  return stringify([
    ['what', 'code', 'budget', 'charges', 'usd'],
    row('paid', '', '', result.paid),
    row('allowed', '', '', result.allowed),
    ...result.refused.map((refusal) => row('refused', refusal.code, refusal.budget ?? '', refusal)),
  ])
}

function reasonOf({ code, budget }: Refusal): string {
  return budget === undefined ? code : `${code} (${budget})`
}

function spanOf({ since, until }: Period, timezone: string): string {
  const format = new Intl.DateTimeFormat('sv-SE', {
    timeZone: timezone,
    dateStyle: 'short',
    timeStyle: 'short',
  })
  const from = since === 0 ? 'the beginning' : format.format(since)
  return `from ${from} until ${format.format(until)}`
}
