/** What the conversions between JSON answers and event streams share. */

/** A JSON object as it was parsed. */
export type Json = Readonly<Record<string, unknown>>

/** One server-sent event. */
export interface StreamEvent {
  /** The `event:` field; protocols of OpenAI before Responses have none. */
  readonly event?: string | undefined
  readonly data: Json | '[DONE]'
}

/** Puts an answer together again from its events. */
export interface AnswerCollector {
  /** One event's data, parsed. Events that are not understood are passed over. */
  add(event: Json): void
  /**
   * The answer so far; `undefined` when nothing of one came.
   * @param truncated the stream broke off: what is open is closed as an answer that met its length limit
   */
  answer(truncated: boolean): Json | undefined
}

/** The protocols whose answers Tollway can convert and whose streams it can end. */
export type AnswerKind = 'chat' | 'text' | 'responses' | 'anthropic'

/** The protocol of an endpoint, e.g. `/chat/completions`; `undefined` for those without one. */
export function answerKind(endpoint: string): AnswerKind | undefined {
  return ENDPOINTS.get(endpoint)
}

const ENDPOINTS: ReadonlyMap<string, AnswerKind> = new Map([
  ['/chat/completions', 'chat'],
  ['/completions', 'text'],
  ['/responses', 'responses'],
  ['/messages', 'anthropic'],
])

/** An event in its bytes, as text. */
export function eventText({ event, data }: StreamEvent): string {
  const text = data === '[DONE]' ? data : JSON.stringify(data)
  return `${event === undefined ? '' : `event: ${event}\n`}data: ${text}\n\n`
}

/** Whether a parsed value is an object (no list). */
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

/** A whole number from 0 to 9999, else the fallback: no protocol has larger indexes, and a list must not become sparse. */
export function indexOr(value: unknown, otherwise: number): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value < 10_000
    ? value
    : otherwise
}

/** The members of an object but those named. */
export function without(value: Json, ...names: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).filter(([name]) => !names.includes(name)))
}

/** Parses a text; `undefined` when it is no JSON object. */
export function parseJson(text: string): Json | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isJson(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** So many different members of one object are kept: more come only from a seller who is after our time or memory. */
const MAX_MEMBERS = 256

/**
 * The members of one object, gathered from many events. Each event costs what is in it, not what came before: a copy for
 * every event would let a small stream hold the whole process up.
 */
export class Gathered {
  readonly #members = new Map<string, unknown>()

  constructor(first: Json = {}) {
    this.put(first)
  }

  /** Later values replace earlier ones. */
  put(from: Json, ...except: readonly string[]): void {
    for (const [name, value] of Object.entries(from)) if (!except.includes(name)) this.set(name, value)
  }

  set(name: string, value: unknown): void {
    if (this.#members.has(name) || this.#members.size < MAX_MEMBERS) this.#members.set(name, value)
  }

  get(name: string): unknown {
    return this.#members.get(name)
  }

  /** Texts, lists and objects go on where they were; anything else is replaced, but not by nothing. */
  join(name: string, value: unknown): void {
    const before = this.#members.get(name)
    if (typeof before === 'string' && typeof value === 'string') this.set(name, before + value)
    else if (before instanceof Listed && Array.isArray(value)) before.add(value)
    else if (before instanceof Gathered && isJson(value)) before.joinAll(value)
    else if (Array.isArray(value)) this.set(name, new Listed(value))
    else if (value !== null && value !== undefined) this.set(name, value)
    else if (before === undefined) this.set(name, value)
  }

  /** {@link Gathered.join} for every member. */
  joinAll(from: Json): void {
    for (const [name, value] of Object.entries(from)) this.join(name, value)
  }

  toJson(): Json {
    return Object.fromEntries(
      [...this.#members].map(([name, value]): [string, unknown] => [
        name,
        value instanceof Gathered ? value.toJson() : value instanceof Listed ? value.items : value,
      ]),
    )
  }
}

/** A list that grows in place. */
class Listed {
  readonly items: unknown[] = []

  constructor(first: readonly unknown[]) {
    this.add(first)
  }

  add(more: readonly unknown[]): void {
    for (const item of more) this.items.push(item)
  }
}

/** Values in the order of their keys. */
export function inOrder<T>(values: ReadonlyMap<number, T>): [number, T][] {
  return [...values].toSorted(([a], [b]) => a - b)
}
