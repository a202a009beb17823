/** What is left of an audit record when part of it must not be recorded. */
import { composeRecord, EMPTY_HEAD } from './audit-record.ts'

/** The longest text that is kept then, characters: enough for every id, name and reason of ours. */
const MAX_TEXT = 1000

/**
 * The fields of a record that can be recorded; in place of each other value stands that it is not there.
 * @param fields as in `composeRecord`, which refused them as a whole
 */
export function recordable(
  type: string,
  fields: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(fields).flatMap(([name, value]) => {
      const cut = typeof value === 'string' ? value.slice(0, MAX_TEXT) : value
      // The name itself may be one that must not be recorded: then nothing stands there.
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
