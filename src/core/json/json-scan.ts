/**
 * Finds and replaces members of a JSON object in its raw bytes, so that changing one field leaves everything else as
 * written: spacing, key order, number spelling, integers beyond 2^53 (RFC 8259).
 */
import {
  BACKSLASH,
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COLON,
  COMMA,
  isBlank,
  OPEN_BRACE,
  OPEN_BRACKET,
  QUOTE,
} from './json-bytes.ts'

/** A member of the top-level object of a JSON text. Offsets are in bytes; ends are exclusive. */
export interface Member {
  /** The decoded key: `"mod\u0065l"` is `model`. */
  readonly key: string
  readonly keyStart: number
  readonly valueStart: number
  readonly valueEnd: number
  /** Whether another member of the same object has the same key: parsers disagree on which one counts. */
  readonly duplicate: boolean
}

const PRIMITIVE = /^(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)$/

/** Characters of the longest number that is one: JSON sets no limit, and no API sends more. */
const MAX_PRIMITIVE_LENGTH = 65_536

/** The most members that {@link scanTopLevel} accepts: no API has this many, and a hostile text could have millions. */
export const MAX_MEMBERS = 1000

/**
 * The members of the top-level object, in order. Nested values are skipped by matching brackets and strings, and not
 * validated further.
 * @returns `undefined` when the bytes are not one JSON object, or one with more than {@link MAX_MEMBERS} members
 */
export function scanTopLevel(bytes: Uint8Array): Member[] | undefined {
  const steps = scanInSteps(bytes)
  for (let step = steps.next(); ; step = steps.next()) if (step.done === true) return step.value
}

/** Bytes that are read between two steps of {@link scanInSteps}. */
export const STEP_BYTES = 65_536

/** {@link scanTopLevel} in steps, so that a long text can be read with turns for everything else in between. */
export function* scanInSteps(bytes: Uint8Array): Generator<void, Member[] | undefined, undefined> {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return yield* scanObject(text, 0, text.length)
}

/** Moves through a text; pauses whenever it has read {@link STEP_BYTES} more. */
type Skip<T> = Generator<void, T, undefined>

/** The bytes with one member's value replaced by a JSON text; everything else is unchanged. */
export function replaceMember(
  bytes: Uint8Array,
  member: Pick<Member, 'valueStart' | 'valueEnd'>,
  jsonText: string,
): Buffer {
  return Buffer.concat([
    bytes.subarray(0, member.valueStart),
    Buffer.from(jsonText, 'utf8'),
    bytes.subarray(member.valueEnd),
  ])
}

/** The bytes of an object without any member of these names; everything else is unchanged. */
export function removeMembers(
  bytes: Uint8Array,
  members: readonly Member[],
  names: ReadonlySet<string>,
): Buffer {
  const first = members[0]
  const last = members.at(-1)
  if (!first || !last || !members.some(({ key }) => names.has(key))) return Buffer.from(bytes)
  const kept = members.filter(({ key }) => !names.has(key))
  const end = kept.at(-1)
  const slices = kept.map((member) => {
    const next = members[members.indexOf(member) + 1]
    // Keeps the comma and whitespace after the member; they fit before any member that follows.
    return bytes.subarray(member.keyStart, member === end || !next ? member.valueEnd : next.keyStart)
  })
  return Buffer.concat([bytes.subarray(0, first.keyStart), ...slices, bytes.subarray(last.valueEnd)])
}

function* scanObject(text: Buffer, from: number, to: number): Skip<Member[] | undefined> {
  const found: Omit<Member, 'duplicate'>[] = []
  let at = yield* skipBlank(text, from, to)
  if (at >= to || text[at] !== OPEN_BRACE) return undefined
  at = yield* skipBlank(text, at + 1, to)
  if (text[at] === CLOSE_BRACE && at < to) return (yield* skipBlank(text, at + 1, to)) === to ? [] : undefined
  for (;;) {
    const keyStart = at
    if (at >= to || text[at] !== QUOTE) return undefined
    const keyEnd = yield* skipNested(text, at, to)
    const key = keyEnd === undefined ? undefined : decodeString(text.subarray(keyStart, keyEnd))
    if (keyEnd === undefined || key === undefined) return undefined
    at = yield* skipBlank(text, keyEnd, to)
    if (at >= to || text[at] !== COLON) return undefined
    if (found.length >= MAX_MEMBERS) return undefined
    const valueStart = yield* skipBlank(text, at + 1, to)
    const valueEnd = yield* skipValue(text, valueStart, to)
    if (valueEnd === undefined) return undefined
    found.push({ key, keyStart, valueStart, valueEnd })
    at = yield* skipBlank(text, valueEnd, to)
    if (at >= to) return undefined
    if (text[at] === CLOSE_BRACE) {
      return (yield* skipBlank(text, at + 1, to)) === to ? markDuplicates(found) : undefined
    }
    if (text[at] !== COMMA) return undefined
    at = yield* skipBlank(text, at + 1, to)
  }
}

function markDuplicates(found: readonly Omit<Member, 'duplicate'>[]): Member[] {
  const seen = new Map<string, number>()
  for (const { key } of found) seen.set(key, (seen.get(key) ?? 0) + 1)
  return found.map((member) => ({ ...member, duplicate: (seen.get(member.key) ?? 0) > 1 }))
}

function* skipBlank(text: Buffer, from: number, to: number): Skip<number> {
  for (let at = from; ;) {
    const limit = Math.min(to, at + STEP_BYTES)
    while (at < limit && isBlank(text[at])) at++
    if (at < limit || at >= to) return at
    yield
  }
}

function decodeString(quoted: Buffer): string | undefined {
  try {
    const value: unknown = JSON.parse(quoted.toString('utf8'))
    return typeof value === 'string' ? value : undefined
  } catch {
    return undefined
  }
}

/** @returns the offset after the value */
function* skipValue(text: Buffer, from: number, to: number): Skip<number | undefined> {
  const first = from < to ? text[from] : undefined
  if (first === QUOTE || first === OPEN_BRACE || first === OPEN_BRACKET)
    return yield* skipNested(text, from, to)
  let at = from
  while (at < to && !isBlank(text[at]) && text[at] !== COMMA && text[at] !== CLOSE_BRACE) {
    if (at - from > MAX_PRIMITIVE_LENGTH) return undefined
    at++
  }
  return PRIMITIVE.test(text.toString('latin1', from, at)) ? at : undefined
}

/** @returns the offset after the string, list or object that begins here */
function* skipNested(text: Buffer, from: number, to: number): Skip<number | undefined> {
  const walk: Walk = { at: from, open: [], isString: false }
  for (;;) {
    const end = walkTo(text, walk, Math.min(to, walk.at + STEP_BYTES))
    if (end !== 'more') return end
    if (walk.at >= to) return undefined
    yield
  }
}

/** Where the reading of a value is. Brackets are matched by kind without recursion: a deeply nested body must not exhaust the stack. */
interface Walk {
  at: number
  readonly open: number[]
  isString: boolean
}

/** No generator: this loop reads every byte of every request. @returns the offset after the value, or `undefined` where it is none */
function walkTo(text: Buffer, walk: Walk, limit: number): number | undefined | 'more' {
  const { open } = walk
  let { at, isString } = walk
  for (; at < limit; at++) {
    if (isString) {
      at = stringStop(text, at, limit)
      if (at >= limit) break
      if (text[at] === BACKSLASH) at++
      else if (text[at] !== QUOTE) return undefined
      else if (open.length === 0) return at + 1
      else isString = false
      continue
    }
    const byte = text[at]
    if (byte === QUOTE) {
      isString = true
    } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      open.push(byte)
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
      // The closing bracket of either kind is two above the opening one in ASCII.
      if (open.pop() !== byte - 2) return undefined
      if (open.length === 0) return at + 1
    }
  }
  walk.at = at
  walk.isString = isString
  return 'more'
}

/** The next byte of a string that is no text of it. */
function stringStop(text: Buffer, from: number, limit: number): number {
  for (let at = from; at < limit; at++) {
    const byte = text[at] ?? 0
    if (byte === QUOTE || byte === BACKSLASH || byte < 0x20) return at
  }
  return limit
}
