/** `tollway report --flags` as a table, CSV or JSON. */
import { stringify } from 'csv-stringify/sync'
import { visibleLine } from '../../../core/visible.ts'
import { formatUnits } from '../../../core/money/money.ts'
import type { FlaggedCharge } from '../../report/flagged.ts'
import { renderTable } from './table.ts'

const COLUMNS = [
  'time',
  'charge',
  'reason',
  'route',
  'seller',
  'amount',
  'asset',
  'transaction',
  'detail',
] as const

/** As a table for people, without transactions, which are long. */
export function renderFlagged(flagged: readonly FlaggedCharge[]): string {
  if (flagged.length === 0) return 'No payment needs a look.\n'
  const shown = COLUMNS.filter((column) => column !== 'transaction')
  const rows = flagged.map(rowOf)
  return `${renderTable(
    shown.map((column) => column.toUpperCase()),
    rows.map((row) => shown.map((column) => visibleLine(row[column] ?? ''))),
  )}\ndocs/reconciliation.md explains each reason; tollway reconcile asks the chain about those that it can answer.\n`
}

/** As CSV with a header line. A cell that starts like a formula is escaped. */
export function csvOfFlagged(flagged: readonly FlaggedCharge[]): string {
  const rows = flagged.map(rowOf).map((row) => COLUMNS.map((column) => row[column] ?? ''))
  return stringify([[...COLUMNS], ...rows], { escape_formulas: true })
}

/** Money as decimal strings. */
export function jsonOfFlagged(flagged: readonly FlaggedCharge[]): readonly object[] {
  return flagged.map((one) => ({ ...rowOf(one), amount_atomic: one.amount.toString() }))
}

function rowOf({
  charge,
  amount,
  reason,
  detail,
}: FlaggedCharge): Record<(typeof COLUMNS)[number], string | null> {
  return {
    time: new Date(charge.reservedAt).toISOString(),
    charge: charge.id,
    reason,
    route: charge.route,
    seller: charge.seller,
    amount: formatUnits(amount, charge.decimals),
    asset: charge.symbol,
    transaction: charge.transaction ?? null,
    detail,
  }
}
