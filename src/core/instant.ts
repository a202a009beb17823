/** Points in time as people write them. */
import { DateTime } from 'luxon'

const DATE = /^\d{4}-\d{2}-\d{2}$/
const TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?(?:Z|[+-]\d{2}:\d{2})$/

/** Reads a date (its start in UTC) or a time with a zone as milliseconds since the epoch; `undefined` for anything else. */
export function parseInstant(text: string): number | undefined {
  if (!DATE.test(text) && !TIME.test(text)) return undefined
  const parsed = DateTime.fromISO(text, { zone: 'utc' })
  return parsed.isValid ? parsed.toMillis() : undefined
}
