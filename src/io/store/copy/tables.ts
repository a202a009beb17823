/** The tables of a ledger, in an order in which no row names one that is not there yet, and what proves that a copy is whole. */

import { storable } from '../postgres/database/driver.ts'

/** A table that is copied row by row. */
export interface CopiedTable {
  readonly name: string
  /** Rows are counted and added up by these. */
  readonly by: readonly string[]
  /** Amounts and counts that are added up, smallest units. */
  readonly sums: readonly string[]
}

/** Every table whose rows are copied. */
export const COPIED: readonly CopiedTable[] = [
  { name: 'spend_keys', by: [], sums: ['id'] },
  { name: 'charges', by: ['state', 'network', 'asset', 'proof'], sums: ['amount', 'micro_usd', 'charged'] },
  { name: 'shares', by: ['budget', 'window', 'counts'], sums: ['amount'] },
  { name: 'totals', by: ['budget', 'window'], sums: ['spent', 'held', 'authorized', 'uncertain'] },
  { name: 'soft_notices', by: ['budget'], sums: [] },
  { name: 'pins', by: ['api_base'], sums: [] },
  { name: 'prices', by: ['api_base'], sums: ['first', 'pinned', 'last'] },
  { name: 'instances', by: [], sums: [] },
  { name: 'flags', by: ['flag'], sums: [] },
  { name: 'tombstones', by: [], sums: ['at'] },
  { name: 'untold', by: ['instance'], sums: [] },
  { name: 'charge_usage', by: [], sums: ['input_tokens', 'output_tokens'] },
  { name: 'notices', by: ['kind', 'result'], sums: ['at', 'attempts'] },
  { name: 'audit_heads', by: [], sums: ['seq'] },
  { name: 'voucher_pools', by: ['payer'], sums: ['amount'] },
  { name: 'vouchers', by: ['payer', 'pool', 'closed', 'network', 'asset'], sums: ['amount', 'micro_usd'] },
  { name: 'purchases', by: ['payer'], sums: ['ordered', 'delivered', 'cost'] },
  {
    name: 'rollups',
    by: ['tile', 'tagged', 'state'],
    sums: [
      'charges',
      'signed',
      'signed_micro_usd',
      'taken',
      'taken_micro_usd',
      'input_tokens',
      'output_tokens',
    ],
  },
]

/** Tables that only say something about the file: they have no place in a database. */
export const NOT_COPIED: readonly string[] = ['secrets', 'pings', 'ledger_log']

/** Counts and sums of a table by group. */
export class TableSums {
  readonly #table: CopiedTable
  readonly #groups = new Map<string, bigint[]>()

  constructor(table: CopiedTable) {
    this.#table = table
  }

  /** @param row its columns; amounts as text or numbers */
  add(row: Readonly<Record<string, unknown>>): void {
    const { by, sums } = this.#table
    this.set(row, [1n, ...sums.map((column) => whole(row[column]))], by)
  }

  /** Adds a group that was added up elsewhere. */
  set(
    row: Readonly<Record<string, unknown>>,
    values: readonly bigint[],
    by: readonly string[] = this.#table.by,
  ): void {
    const key = JSON.stringify(by.map((column) => named(row[column])))
    const known = this.#groups.get(key)
    this.#groups.set(key, known ? known.map((value, index) => value + (values[index] ?? 0n)) : [...values])
  }

  get rows(): bigint {
    return [...this.#groups.values()].reduce((total, [count = 0n]) => total + count, 0n)
  }

  /** The first group that differs, as text; `undefined` when all are equal. */
  difference(other: TableSums): string | undefined {
    const keys = new Set([...this.#groups.keys(), ...other.#groups.keys()])
    for (const key of keys) {
      const [mine, theirs] = [this.#groups.get(key) ?? [], other.#groups.get(key) ?? []]
      if (mine.join() !== theirs.join())
        return `${this.#table.name} ${key}: ${mine.join()} and ${theirs.join()}`
    }
    return undefined
  }
}

/** As the new ledger keeps it. */
function named(value: unknown): unknown {
  return typeof value === 'string' ? storable(value) : (value ?? null)
}

function whole(value: unknown): bigint {
  if (value === null || value === undefined) return 0n
  if (typeof value === 'number' || typeof value === 'string' || typeof value === 'bigint')
    return BigInt(value)
  throw new Error('the ledger holds an unreadable amount: restore it from a backup')
}
