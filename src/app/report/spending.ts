/** Spending, grouped by any dimension: exact sums in smallest units and micro-USD. */
import { TAG_NAME } from '../../core/budget/tag-name.ts'
import { tagValue } from '../../core/budget/tag-value.ts'
import type { Charge, ChargeState } from '../../core/charge/charge.ts'
import type { Usage } from '../../core/stream/usage.ts'
import { namesOf, sumsOf, type SpendNames, type SpendSums } from '../../io/store/rules/rollup-rules.ts'
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

/** Charges that have everything in common that they are reported by. */
export interface ReportedPart extends SpendNames {
  /** An instant of the period that they belong to, milliseconds since the epoch. */
  readonly at: number
  readonly state: ChargeState
  readonly sums: SpendSums
  /** The value of the tag of this name. */
  readonly tagValue: (name: string) => string
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
  return await addUpParts(partsOf(charges), by, timezone)
}

/** Likewise, of sums that the ledger keeps. Parts may take away from others. */
export async function addUpParts(
  parts: AsyncIterable<ReportedPart>,
  by: readonly Dimension[],
  timezone: string,
): Promise<SpendingRow[]> {
  const rows = new Map<string, SpendingRow>()
  for await (const part of parts) {
    const keys = by.map((dimension) => valueOf(dimension, part, timezone))
    const key = JSON.stringify([...keys, part.symbol, part.decimals])
    rows.set(key, plus(rows.get(key) ?? empty(keys, part), part))
  }
  return [...rows.values()].filter(({ charges, released }) => charges + released > 0).toSorted(inOrder)
}

async function* partsOf(charges: AsyncIterable<ReportedCharge>): AsyncGenerator<ReportedPart> {
  for await (const charge of charges) {
    yield {
      ...namesOf(charge),
      at: charge.reservedAt,
      state: charge.state,
      sums: sumsOf(charge, charge.usage),
      tagValue: (name) => tagValue(charge.tags, name),
    }
  }
}

function empty(keys: readonly string[], { symbol, decimals }: SpendNames): SpendingRow {
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

function plus(row: SpendingRow, { state, sums }: ReportedPart): SpendingRow {
  if (state === 'released') return { ...row, released: row.released + sums.charges }
  const counted = {
    ...row,
    charges: row.charges + sums.charges,
    inputTokens: row.inputTokens + Number(sums.inputTokens),
    outputTokens: row.outputTokens + Number(sums.outputTokens),
  }
  if (state !== 'settled') {
    return {
      ...counted,
      open: row.open + sums.signed,
      openMicroUsd: row.openMicroUsd + sums.signedMicroUsd,
    }
  }
  return {
    ...counted,
    spent: row.spent + sums.taken,
    spentMicroUsd: row.spentMicroUsd + sums.takenMicroUsd,
    signed: row.signed + sums.signed,
    signedMicroUsd: row.signedMicroUsd + sums.signedMicroUsd,
  }
}

function valueOf(dimension: Dimension, part: ReportedPart, timezone: string): string {
  if (isTime(dimension)) return bucketOf(dimension, part.at, timezone)
  if (dimension === 'remote_model') return part.remoteModel
  return isTag(dimension) ? part.tagValue(dimension.slice('tag.'.length)) : part[dimension]
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
