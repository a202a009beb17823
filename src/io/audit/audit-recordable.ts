/** Removes the parts of an audit record that must not be recorded. */
import { composeRecord, EMPTY_HEAD } from './audit-record.ts'

/** The longest text that is kept, in characters: enough for every id, name and reason that Tollway creates. */
const MAX_TEXT = 1000

/**
 * The fields of a record, with `(not recorded)` in place of every value that must not be recorded.
 * @param fields fields that `composeRecord` refused
 */
export function recordable(
  type: string,
  fields: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(fields).flatMap(([name, value]) => {
      const cut = typeof value === 'string' ? value.slice(0, MAX_TEXT) : value
      // If the name itself must not be recorded, the whole field is left out.
      const kept = [cut, '(not recorded)'].find((candidate) => !refuses(type, name, candidate))
      return kept === undefined ? [] : [[name, kept]]
    }),
  )
}

function refuses(type: string, name: string, value: unknown): boolean {
  try {
    return composeRecord(EMPTY_HEAD, 0, type, { [name]: value }).line.length > MAX_TEXT * 6
  } catch {
    return true
  }
}
