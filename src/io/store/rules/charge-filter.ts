/** Which charges a filter matches, the same in every store. */
import type { Charge } from '../../../core/charge/charge.ts'
import type { ChargeCursor, ChargeFilter } from '../contracts/charges.ts'

const FIELDS = ['instance', 'route', 'payer', 'seller', 'caller'] as const

/** Whether a filter matches a charge. */
export function matchesFilter(charge: Charge, filter: ChargeFilter): boolean {
  return (
    (filter.states?.includes(charge.state) ?? true) &&
    FIELDS.every((field) => filter[field] === undefined || filter[field] === charge[field]) &&
    (filter.from === undefined || charge.reservedAt >= filter.from) &&
    (filter.to === undefined || charge.reservedAt < filter.to)
  )
}

/** Whether a charge follows a cursor in a list with the newest first. */
export function isBehind(charge: ChargeCursor, cursor: ChargeCursor | undefined): boolean {
  if (cursor === undefined) return true
  if (charge.reservedAt !== cursor.reservedAt) return charge.reservedAt < cursor.reservedAt
  return charge.id < cursor.id
}

/** The same as an SQL condition over `charges` (`TRUE` without a filter), with its values in order. */
export function filterCondition(
  filter: ChargeFilter,
  cursor?: ChargeCursor,
): { readonly sql: string; readonly values: readonly (string | number)[] } {
  const { states, from, to } = filter
  const conditions: { readonly sql: string; readonly values: readonly (string | number)[] }[] = [
    ...(states ? [{ sql: stateCondition(states.length), values: states }] : []),
    ...FIELDS.flatMap((field) => {
      const value = filter[field]
      return value === undefined ? [] : [{ sql: `${field} = ?`, values: [value] }]
    }),
    ...(from === undefined ? [] : [{ sql: 'reserved_at >= ?', values: [from] }]),
    ...(to === undefined ? [] : [{ sql: 'reserved_at < ?', values: [to] }]),
    ...(cursor ? [{ sql: '(reserved_at, id) < (?, ?)', values: [cursor.reservedAt, cursor.id] }] : []),
  ]
  return {
    sql: conditions.length === 0 ? 'TRUE' : conditions.map(({ sql }) => sql).join(' AND '),
    values: conditions.flatMap(({ values }) => values),
  }
}

/** Not every database takes an empty list. */
function stateCondition(count: number): string {
  return count === 0 ? 'FALSE' : `state IN (${Array.from({ length: count }, () => '?').join(', ')})`
}
