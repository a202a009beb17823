/** Replaces the seller's message in error events of Responses and Anthropic streams with our own. */
import { replaceMember, scanTopLevel, type Member } from '../json/json-scan.ts'
import { errorIn, likelyErrorIn, messageIn } from '../stream/error-signs.ts'
import { parseJson } from '../stream/stream-json.ts'
import { brokenOff } from '../stream/truncation.ts'

/** An error event with its message replaced. */
export interface ReplacedErrorEvent {
  readonly bytes: Buffer
  /** The seller's error for the audit record: JSON, truncated. */
  readonly original: string
}

const MAX_WORDS = 256

/**
 * Replaces the seller's message in the data of an error event: Anthropic's `error`, Responses' `type: "error"` with its
 * `message` and `code`, and `response.error` of `response.failed`.
 * @param isNamedError whether the event's name is `error`: then it is one, whatever is in it
 * @returns `undefined` when the event is not an error
 */
export function replaceErrorEvent(value: Buffer, isNamedError = false): ReplacedErrorEvent | undefined {
  if (!isNamedError && !MARKS.some((mark) => value.includes(mark))) return undefined
  const text = value.toString('utf8')
  const event = parseJson(text)
  const reported = event && (typeof event['type'] === 'string' ? errorIn(event) : likelyErrorIn(event))
  const message = isNamedError ? (reported ?? messageIn(event ?? text) ?? 'error') : reported
  if (message === undefined) return undefined
  const members = scanTopLevel(value) ?? []
  const isError = members.some(({ key, ...at }) => key === 'type' && textOf(value, at) === '"error"')
  const original: string[] = []
  let bytes = value
  // From the end, so that earlier offsets stay valid.
  for (const member of members.toReversed()) {
    const theirs = textOf(value, member)
    const ours = replacement(member.key, theirs, isError)
    if (ours === undefined) continue
    bytes = replaceMember(bytes, member, ours.text)
    original.unshift(ours.original)
  }
  if (original.length > 0) return { bytes, original: original.join(' ').slice(0, MAX_WORDS) }
  return { bytes: Buffer.from(JSON.stringify(brokenOff().toBody())), original: message }
}

/** Every spelling of an error has one of these: a key that reports it, or an escape inside a key or value. */
const MARKS = [
  '"error',
  '"base_resp"',
  '"code"',
  '"detail"',
  '"success"',
  '"ok"',
  '"status',
  '"x402V',
  '\\u',
].map((mark) => Buffer.from(mark))

function replacement(
  key: string,
  theirs: string,
  isError: boolean,
): { readonly text: string; readonly original: string } | undefined {
  const { error } = brokenOff().toBody()
  if (key === 'error') return { text: JSON.stringify(error), original: theirs }
  if (isError && (key === 'message' || key === 'code')) {
    return { text: JSON.stringify(error[key]), original: theirs }
  }
  if (key !== 'response') return undefined
  const response = Buffer.from(theirs)
  const inner = scanTopLevel(response)?.findLast((member) => member.key === 'error')
  if (!inner) return undefined
  const original = textOf(response, inner)
  if (original === 'null') return undefined
  const { code, message } = error
  return { text: replaceMember(response, inner, JSON.stringify({ code, message })).toString(), original }
}

function textOf(value: Buffer, { valueStart, valueEnd }: Pick<Member, 'valueStart' | 'valueEnd'>): string {
  return value.toString('utf8', valueStart, valueEnd)
}
