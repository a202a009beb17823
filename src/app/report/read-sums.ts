/** Reads what was spent in a period from the sums that the ledger keeps: no charge is read, however many there are. */
import { calendarWindow } from '../../core/budget/calendar.ts'
import type { LedgerReader } from '../../io/store/ledger-reader.ts'
import type { Period, PeriodUnit } from './period.ts'
import { readWithUsage } from './read-charges.ts'
import { addUp, addUpParts, type Dimension, type ReportedPart, type SpendingRow } from './spending.ts'

/**
 * What was spent in a period.
 * @param by two tags and more are read from the charges: a sum is kept for one tag at a time
 * @param timezone IANA name; where days, weeks and months begin
 */
export async function spendingIn(
  ledger: Pick<LedgerReader, 'history' | 'usages' | 'sums' | 'range'>,
  period: Period,
  by: readonly Dimension[],
  timezone: string,
): Promise<SpendingRow[]> {
  const tags = new Set(by.filter((dimension) => dimension.startsWith('tag.')))
  if (tags.size > 1) return await addUp(readWithUsage(ledger, period), by, timezone)
  const [tag] = tags
  return await addUpParts(
    readSums(ledger, period, { by, tag: tag?.slice('tag.'.length), timezone }),
    by,
    timezone,
  )
}

interface Wanted {
  readonly by: readonly Dimension[]
  readonly tag: string | undefined
  readonly timezone: string
}

async function* readSums(
  ledger: Pick<LedgerReader, 'sums' | 'range'>,
  { since, until }: Period,
  { by, tag, timezone }: Wanted,
): AsyncGenerator<ReportedPart> {
  const range = await ledger.range()
  if (!range) return
  const unit = finestUnit(by)
  const end = Math.min(until, range.last + 1)
  for (let from = Math.max(since, range.first); from < end;) {
    const next = unit === undefined ? end : calendarWindow(unit, timezone, from).end
    const to = Math.min(end, next)
    for (const part of await ledger.sums({ from, to, tag })) {
      yield { ...part, at: from, tagValue: () => part.tag }
    }
    from = to
  }
}

/** The unit of which each lies in one of every unit that is reported. */
function finestUnit(by: readonly Dimension[]): PeriodUnit | undefined {
  const units = (['day', 'week', 'month'] as const).filter((unit) => by.includes(unit))
  // A week may lie in two months.
  return units.length > 1 ? 'day' : units[0]
}
