/** Spending over time: one exact sum for each interval, group and state. */
import { calendarWindow } from '../../core/budget/calendar.ts'
import { isTimezone } from '../../core/budget/window.ts'
import type { ChargeState } from '../../core/charge/charge.ts'
import { formatUnits, formatUsd } from '../../core/money/money.ts'
import type { SpendRow } from '../../io/store/contracts/spending.ts'
import { invalidQuery, type SpendOverTime } from './query.ts'
import type { SpendTurns } from './spend-turns.ts'

/** More intervals than this cannot be distinguished on a screen, and each costs a query. */
const MAX_BUCKETS = 400

const MINUTE_MS = 60_000

/** Everything that counts against a budget: a payment that was sent counts as spent until it is proven unspent. */
const COUNTED: ReadonlySet<ChargeState> = new Set(['settled', 'uncertain', 'authorized', 'held'])

/**
 * Sums the spending of each interval. Each interval, or part of one, is queried separately, so that a long history
 * does not delay paid calls. A charge that changes meanwhile may be counted in either state.
 * @param now milliseconds since the epoch; the end if the query names none
 * @throws TollwayError `invalid_query` for an unknown time zone and for too many intervals
 */
export async function spendOverTime(
  turns: Pick<SpendTurns, 'between'>,
  query: SpendOverTime,
  now: number,
): Promise<Record<string, unknown>> {
  const { filter, by } = query
  const edges = bucketEdges(query, filter.to ?? now)
  const buckets: SpendRow[][] = []
  for (const [at, edge] of edges.entries()) {
    const next = edges[at + 1]
    if (next === undefined) break
    const from = Math.max(edge, filter.from)
    const to = Math.min(next, filter.to ?? next)
    buckets.push(await turns.between({ ...filter, from, to, by }))
  }
  const total = sumOf(buckets.flat())
  return {
    from: new Date(filter.from).toISOString(),
    to: new Date(filter.to ?? now).toISOString(),
    bucket: query.bucket,
    timezone: query.timezone,
    by: by ?? null,
    starts: edges.slice(0, -1).map((edge) => new Date(edge).toISOString()),
    series: seriesOf(buckets),
    states: statesOf(buckets.flat()),
    total_usd: formatUsd(total),
    usd_per_1k_tokens: per1000(buckets.flat()),
  }
}

/**
 * What was spent for each thousand tokens that answers told, USD; `null` where none told any. Answers without their tokens
 * make it higher. For display: rounded to 10^-9.
 */
function per1000(rows: readonly SpendRow[]): string | null {
  const settled = rows.filter(({ state }) => state === 'settled')
  const tokens = settled.reduce((sum, row) => sum + (row.tokens ?? 0n), 0n)
  if (tokens === 0n) return null
  return formatUnits((sumOf(settled) * 1_000_000n + tokens / 2n) / tokens, 9)
}

/** The starts of the intervals and the end of the last one, milliseconds since the epoch. */
function bucketEdges({ filter, bucket, timezone }: SpendOverTime, to: number): number[] {
  if (!isTimezone(timezone)) throw invalidQuery('timezone', 'is not a time zone such as Europe/Berlin')
  const windowOf = (at: number): { start: number; end: number } => {
    if (bucket !== 'minute') return calendarWindow(bucket, timezone, at)
    const start = Math.floor(at / MINUTE_MS) * MINUTE_MS
    return { start, end: start + MINUTE_MS }
  }
  const edges: number[] = [windowOf(filter.from).start]
  for (let at = filter.from; edges.length === 1 || at < to;) {
    at = windowOf(at).end
    edges.push(at)
    if (edges.length > MAX_BUCKETS + 1) {
      throw invalidQuery('bucket', `makes over ${MAX_BUCKETS} buckets of that range: choose a larger one`)
    }
  }
  return edges
}

/** One series for each group, the largest first, with the sum of every interval as a string. */
function seriesOf(buckets: readonly (readonly SpendRow[])[]): Record<string, unknown>[] {
  const groups = [...new Set(buckets.flatMap((rows) => rows.map(({ group }) => group)))]
  return groups
    .map((group) => {
      const own = buckets.map((rows) => rows.filter((row) => row.group === group))
      const counted = own.flat().filter(({ state }) => COUNTED.has(state))
      return {
        group,
        own,
        total: sumOf(counted),
        charges: counted.reduce((sum, { charges }) => sum + charges, 0),
      }
    })
    .toSorted((a, b) => (a.total === b.total ? 0 : a.total < b.total ? 1 : -1))
    .map(({ group, own, total, charges }) => ({
      group,
      total_usd: formatUsd(total),
      charges,
      usd_per_1k_tokens: per1000(own.flat()),
      usd: own.map((rows) => formatUsd(sumOf(rows))),
    }))
}

function statesOf(rows: readonly SpendRow[]): Record<string, unknown>[] {
  return [...new Set(rows.map(({ state }) => state))].map((state) => {
    const own = rows.filter((row) => row.state === state)
    return {
      state,
      charges: own.reduce((sum, { charges }) => sum + charges, 0),
      unpriced: own.reduce((sum, { unpriced }) => sum + unpriced, 0),
      usd: formatUsd(own.reduce((sum, { microUsd }) => sum + microUsd, 0n)),
    }
  })
}

/** The sum of what was or may have been spent; released charges do not count. */
function sumOf(rows: readonly SpendRow[]): bigint {
  return rows.reduce((sum, { state, microUsd }) => (COUNTED.has(state) ? sum + microUsd : sum), 0n)
}
