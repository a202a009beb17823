/** Spending, grouped by any dimension: exact sums in smallest units and micro-USD. */
import { TAG_NAME } from '../../core/budget/tag-name.ts'
import { tagValue } from '../../core/budget/tag-value.ts'
import { askedModel, takenOf, type Charge } from '../../core/charge/charge.ts'
import type { Usage } from '../../core/stream/usage.ts'
import { bucketOf, type PeriodUnit } from './period.ts'

/** The dimensions of a report, as named on the command line. */
export const DIMENSIONS = [
  'day',
  'week',
  'month',
  'route',
  'payer',
  'seller',
  'caller',
  'model',
  'remote_model',
  'network',
] as const

/** One of {@link DIMENSIONS}, or `tag.<name>`: the value of the request's first tag `<name>:…`. */
export type Dimension = (typeof DIMENSIONS)[number] | `tag.${string}`

/** The dimension of that name; `undefined` when there is none. */
export function dimensionOf(name: string): Dimension | undefined {
  if (name.startsWith('tag.') && TAG_NAME.test(name.slice('tag.'.length)))
    return `tag.${name.slice('tag.'.length)}`
  return DIMENSIONS.find((dimension) => dimension === name)
}

/** One row, for one asset: amounts of different assets only add up in USD. */
export interface SpendingRow {
  /** A value for each dimension, in their order. */
  readonly keys: readonly string[]
  readonly asset: string
  readonly decimals: number
  /** Charges that count: settled, uncertain, or in flight. */
  readonly charges: number
  /** Settled, smallest units; for `upto` payments the amount proven on chain, once it is known. */
  readonly spent: bigint
  /** Likewise, micro-USD; assets without a USD value add nothing. */
  readonly spentMicroUsd: bigint
  /** The signed amount of the settled charges, smallest units; above `spent` if a seller took less. */
  readonly signed: bigint
  readonly signedMicroUsd: bigint
  /** In flight, or with an unknown outcome; smallest units. Counts as spent. */
  readonly open: bigint
  readonly openMicroUsd: bigint
  /** Charges that were released. */
  readonly released: number
  /** Tokens of the responses paid by the other charges, if the response reported them. */
  readonly inputTokens: number
  readonly outputTokens: number
}

/** A charge and the tokens of its response, if known. */
export interface ReportedCharge extends Charge {
  readonly usage?: Usage | undefined
}

/**
 * Adds up charges; memory grows with the rows, not with the charges.
 * @param timezone IANA name; where days, weeks and months begin
 */
export async function addUp(
  charges: AsyncIterable<ReportedCharge>,
  by: readonly Dimension[],
  timezone: string,
): Promise<SpendingRow[]> {
  const rows = new Map<string, SpendingRow>()
  for await (const charge of charges) {
    const keys = by.map((dimension) => valueOf(dimension, charge, timezone))
    const key = JSON.stringify([...keys, charge.symbol, charge.decimals])
    rows.set(key, plus(rows.get(key) ?? empty(keys, charge), charge))
  }
  return [...rows.values()].toSorted(inOrder)
}

function empty(keys: readonly string[], { symbol, decimals }: Charge): SpendingRow {
  return {
    keys,
    asset: symbol,
    decimals,
    charges: 0,
    spent: 0n,
    spentMicroUsd: 0n,
    signed: 0n,
    signedMicroUsd: 0n,
    open: 0n,
    openMicroUsd: 0n,
    released: 0,
    inputTokens: 0,
    outputTokens: 0,
  }
}

function plus(row: SpendingRow, charge: ReportedCharge): SpendingRow {
  if (charge.state === 'released') return { ...row, released: row.released + 1 }
  const { microUsd = 0n, amount, usage } = charge
  const counted = {
    ...row,
    charges: row.charges + 1,
    inputTokens: row.inputTokens + (usage?.inputTokens ?? 0),
    outputTokens: row.outputTokens + (usage?.outputTokens ?? 0),
  }
  if (charge.state !== 'settled') {
    return { ...counted, open: row.open + amount, openMicroUsd: row.openMicroUsd + microUsd }
  }
  const taken = takenOf(charge)
  return {
    ...counted,
    spent: row.spent + taken.amount,
    spentMicroUsd: row.spentMicroUsd + (taken.microUsd ?? 0n),
    signed: row.signed + amount,
    signedMicroUsd: row.signedMicroUsd + microUsd,
  }
}

function valueOf(dimension: Dimension, charge: Charge, timezone: string): string {
  if (isTime(dimension)) return bucketOf(dimension, charge.reservedAt, timezone)
  if (dimension === 'remote_model') return askedModel(charge)
  return isTag(dimension) ? tagValue(charge.tags, dimension.slice('tag.'.length)) : charge[dimension]
}

function isTag(dimension: Dimension): dimension is `tag.${string}` {
  return dimension.startsWith('tag.')
}

function isTime(dimension: Dimension): dimension is PeriodUnit {
  return dimension === 'day' || dimension === 'week' || dimension === 'month'
}

function inOrder(a: SpendingRow, b: SpendingRow): number {
  const [one, other] = [
    [...a.keys, a.asset],
    [...b.keys, b.asset],
  ]
  for (const [index, value] of one.entries()) {
    const against = other[index] ?? ''
    if (value !== against) return value < against ? -1 : 1
  }
  return a.decimals - b.decimals
}
