/** Error events of the streams that Tollway cannot end itself (Responses, Anthropic): the seller's words give way to ours. */
import { replaceMember, scanTopLevel, type Member } from '../json/json-scan.ts'
import { brokenOff } from './truncation.ts'

/** An error event with its words exchanged. */
export interface ReplacedErrorEvent {
  readonly bytes: Buffer
  /** What the seller said, for the record: JSON, cut short. */
  readonly words: string
}

const MAX_WORDS = 256

/**
 * Exchanges the seller's words in the data of an error event: Anthropic's `error`, Responses' `type: "error"` with its
 * `message` and `code`, and `response.error` of `response.failed`.
 * @returns `undefined` when the event is no error
 */
export function replaceErrorEvent(value: Buffer): ReplacedErrorEvent | undefined {
  if (!MARKS.some((mark) => value.includes(mark))) return undefined
  const members = scanTopLevel(value)
  if (!members) return undefined
  const isError = members.some(({ key, ...at }) => key === 'type' && textOf(value, at) === '"error"')
  const words: string[] = []
  let bytes = value
  // From the back, so that the offsets of those before stay right.
  for (const member of members.toReversed()) {
    const theirs = textOf(value, member)
    const ours = replacement(member.key, theirs, isError)
    if (ours === undefined) continue
    bytes = replaceMember(bytes, member, ours.text)
    words.unshift(ours.words)
  }
  return words.length === 0 ? undefined : { bytes, words: words.join(' ').slice(0, MAX_WORDS) }
}

/** Every spelling of an error has one of these: the key, or an escape inside a key or value. */
const MARKS = [Buffer.from('"error"'), Buffer.from('\\u')]

function replacement(
  key: string,
  theirs: string,
  isError: boolean,
): { readonly text: string; readonly words: string } | undefined {
  const { error } = brokenOff().toBody()
  if (key === 'error' && theirs !== 'null') return { text: JSON.stringify(error), words: theirs }
  if (isError && (key === 'message' || key === 'code')) {
    return { text: JSON.stringify(error[key]), words: theirs }
  }
  if (key !== 'response') return undefined
  const response = Buffer.from(theirs)
  const inner = scanTopLevel(response)?.findLast((member) => member.key === 'error')
  if (!inner) return undefined
  const words = textOf(response, inner)
  if (words === 'null') return undefined
  const { code, message } = error
  return { text: replaceMember(response, inner, JSON.stringify({ code, message })).toString(), words }
}

function textOf(value: Buffer, { valueStart, valueEnd }: Pick<Member, 'valueStart' | 'valueEnd'>): string {
  return value.toString('utf8', valueStart, valueEnd)
}
