/** Which charges a list, an export or a sum is about: one meaning for every store. */
import type { Charge, ChargeState } from '../../core/charge/charge.ts'

/** What is left out matches all. */
export interface ChargeFilter {
  readonly states?: readonly ChargeState[] | undefined
  readonly instance?: string | undefined
  /** The route's `model_name`. */
  readonly route?: string | undefined
  readonly payer?: string | undefined
  /** The seller's origin. */
  readonly seller?: string | undefined
  readonly caller?: string | undefined
  /** Reserved at or after this instant, milliseconds since the epoch. */
  readonly from?: number | undefined
  /** Reserved before this instant, milliseconds since the epoch. */
  readonly to?: number | undefined
}

/** Where a page of charges ended: the last one of it. */
export type ChargeCursor = Pick<Charge, 'reservedAt' | 'id'>

/** What spending can be told apart by. */
export type SpendGroup = 'route' | 'payer' | 'seller' | 'caller'

/** Every group, for parsers. */
export const SPEND_GROUPS = ['route', 'payer', 'seller', 'caller'] as const satisfies readonly SpendGroup[]

/** Which charges are added up, and what by. */
export interface SpendQuery extends ChargeFilter {
  /** Without it all of a state together. */
  readonly by?: SpendGroup | undefined
}

/** The charges of one group in one state. */
export interface SpendRow {
  /** The route, payer, seller or caller; `*` for all together. */
  readonly group: string
  readonly state: ChargeState
  readonly charges: number
  /** How many of them have no USD value. */
  readonly unpriced: number
  /** Micro-USD of the others; of an `upto` payment what the chain proved, where it did. */
  readonly microUsd: bigint
}

/** Group of everything, where nothing is told apart. */
export const ALL_TOGETHER = '*'

const FIELDS = ['instance', 'route', 'payer', 'seller', 'caller'] as const

/** Whether a charge is one of those a filter is about. */
export function matchesFilter(charge: Charge, filter: ChargeFilter): boolean {
  return (
    (filter.states?.includes(charge.state) ?? true) &&
    FIELDS.every((field) => filter[field] === undefined || filter[field] === charge[field]) &&
    (filter.from === undefined || charge.reservedAt >= filter.from) &&
    (filter.to === undefined || charge.reservedAt < filter.to)
  )
}

/** Whether a charge comes behind a cursor, where the newest is first. */
export function isBehind(charge: Charge, cursor: ChargeCursor | undefined): boolean {
  if (cursor === undefined) return true
  if (charge.reservedAt !== cursor.reservedAt) return charge.reservedAt < cursor.reservedAt
  return charge.id < cursor.id
}

/** The same as an SQL condition over `charges`, true for no filter, with its values in order. */
export function filterCondition(
  filter: ChargeFilter,
  cursor?: ChargeCursor,
): { readonly sql: string; readonly values: readonly (string | number)[] } {
  const { states, from, to } = filter
  const parts: { readonly sql: string; readonly values: readonly (string | number)[] }[] = [
    ...(states ? [{ sql: `state IN (${states.map(() => '?').join(', ')})`, values: states }] : []),
    ...FIELDS.flatMap((field) => {
      const value = filter[field]
      return value === undefined ? [] : [{ sql: `${field} = ?`, values: [value] }]
    }),
    ...(from === undefined ? [] : [{ sql: 'reserved_at >= ?', values: [from] }]),
    ...(to === undefined ? [] : [{ sql: 'reserved_at < ?', values: [to] }]),
    ...(cursor ? [{ sql: '(reserved_at, id) < (?, ?)', values: [cursor.reservedAt, cursor.id] }] : []),
  ]
  return {
    sql: parts.length === 0 ? 'TRUE' : parts.map(({ sql }) => sql).join(' AND '),
    values: parts.flatMap(({ values }) => values),
  }
}
