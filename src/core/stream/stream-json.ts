/** Shared by the conversions between JSON responses and event streams. */
import { isWrittenIn } from '../json/json-write.ts'

/** A parsed JSON object. */
export type Json = Readonly<Record<string, unknown>>

/** One server-sent event. */
export interface StreamEvent {
  /** The `event:` field; OpenAI's chat and text completions have none. */
  readonly event?: string | undefined
  readonly data: Json | '[DONE]'
}

/** Reassembles a response from its events. */
export interface AnswerCollector {
  /** Adds the parsed data of one event. Unknown events are ignored. */
  add(event: Json): void
  /** Whether the events held more than is gathered: the response is cut there. */
  readonly isFull: boolean
  /**
   * The response so far; `undefined` when nothing of one arrived.
   * @param truncated whether the stream broke off: open parts are then closed as if the length limit was reached
   */
  answer(truncated: boolean): Json | undefined
  /** The same in steps, with turns for everything else in between, where it takes long. */
  answerInSteps?(truncated: boolean): Generator<void, Json | undefined, undefined>
}

/** The protocols whose responses Tollway can convert and whose streams it can end. */
export type AnswerKind = 'chat' | 'text' | 'responses' | 'anthropic'

/** The protocol of an endpoint, e.g. `/chat/completions`; `undefined` for those without one. */
export function answerKind(endpoint: string): AnswerKind | undefined {
  return ENDPOINTS.get(endpoint)
}

/** Types of the events behind which nothing of an answer follows (Responses, Anthropic). */
export const LAST_EVENTS: ReadonlySet<unknown> = new Set([
  'response.completed',
  'response.incomplete',
  'response.failed',
  'message_stop',
])

const ENDPOINTS: ReadonlyMap<string, AnswerKind> = new Map([
  ['/chat/completions', 'chat'],
  ['/completions', 'text'],
  ['/responses', 'responses'],
  ['/messages', 'anthropic'],
])

/** The wire form of an event. */
export function eventText({ event, data }: StreamEvent): string {
  const text = data === '[DONE]' ? data : JSON.stringify(data)
  return `${startOfEvent(event)}${text}${END_OF_EVENT}`
}

/** What stands before the data of an event. */
export function startOfEvent(event: string | undefined): string {
  return `${event === undefined ? '' : `event: ${event}\n`}data: `
}

export const END_OF_EVENT = '\n\n'

/** Whether a parsed value is an object and not an array. */
export function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A member of an object; `undefined` of anything else. */
export function member(value: unknown, name: string): unknown {
  return isJson(value) && Object.hasOwn(value, name) ? value[name] : undefined
}

/** The objects of a list; empty for anything else. */
export function objects(value: unknown): Json[] {
  return Array.isArray(value) ? value.filter(isJson) : []
}

/** An integer from 0 to 9999, else the fallback: no protocol has larger indexes, and arrays must not become sparse. */
export function indexOr(value: unknown, otherwise: number): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value < 10_000
    ? value
    : otherwise
}

/** The members of an object except the named ones. */
export function without(value: Json, ...names: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).filter(([name]) => !names.includes(name)))
}

/** Members of a chunk that clients read by name. */
const SMALL_MEMBERS = ['id', 'created', 'model', 'system_fingerprint'] as const
const MAX_SMALL_LENGTH = 256
/** Most characters that the members other than the choices may take in all chunks together. */
const MAX_SHARED_LENGTH = 1_048_576

/**
 * The chunks, each with the members of the answer other than its choices. Where that would multiply a large answer, they are
 * in the first alone, and what clients read by name in the others.
 */
export function withShared(chunks: readonly Json[], answer: Json, object: string): StreamEvent[] {
  const shared = without(answer, 'choices', 'usage')
  const fits = isWrittenIn(shared, Math.floor(MAX_SHARED_LENGTH / Math.max(1, chunks.length)))
  const small = Object.fromEntries(
    SMALL_MEMBERS.map((name) => [name, shared[name]] as const).filter(
      ([, value]) => value !== undefined && isWrittenIn(value, MAX_SMALL_LENGTH),
    ),
  )
  return chunks.map((chunk, at) => ({ data: { ...(at === 0 || fits ? shared : small), object, ...chunk } }))
}

/** Parses a text; `undefined` when it is not a JSON object. */
export function parseJson(text: string): Json | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isJson(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** Values in the order of their keys. */
export function inOrder<T>(values: ReadonlyMap<number, T>): [number, T][] {
  return [...values].toSorted(([a], [b]) => a - b)
}
