/**
 * Gathers objects and lists from the pieces that the events of a stream bring, by OpenAI's rules for deltas: texts are
 * continued, objects are merged, and elements of lists with the same `index` are one element (`accumulate_delta` of
 * the openai package). Beyond them, what sellers repeat in every event is taken once.
 */
import { isEmptyObject } from './answer-check.ts'
import { isJson, type Json } from './stream-json.ts'

/** The most members kept of one object: only a hostile seller sends more. */
const MAX_MEMBERS = 256

/** Objects and lists are merged so deep; deeper ones are replaced as a whole. */
const MAX_DEPTH = 8

/** So many elements of one index are remembered. */
const MAX_SAME_INDEX = 4

/** Texts that come whole: the newest one counts. */
const ONCE: ReadonlySet<string> = new Set(['type', 'id', 'role', 'format', 'call_id', 'mime_type'])

/** Texts that may come in pieces; a piece that equals all before it is a repetition. */
const REPEATED: ReadonlySet<string> = new Set(['name', 'url', 'signature'])

/** Lists whose elements come whole, and may be repeated. */
const WHOLE: ReadonlySet<string> = new Set(['annotations', 'images'])

/** The members of list elements that hold text in pieces: an element without an index continues the last one if it has one. */
const TEXTS = ['text', 'summary', 'thinking', 'reasoning'] as const

/** Members that tell elements of a list apart; those in the second level are of OpenAI's annotations and images. */
const IDENTITY = ['type', 'id', 'url', 'file_id'] as const
const INNER_IDENTITY = ['url_citation', 'image_url', 'file_citation', 'file_path'] as const

/** Most objects that are gathered of one answer: millions of them would be put together in one go. */
const MAX_GATHERED = 5_000

/** What may still be gathered of one answer. */
export class Room {
  #left = MAX_GATHERED

  /** Whether the answer holds more than is gathered. */
  get isFull(): boolean {
    return this.#left < 0
  }

  /** Takes the room of one object. @returns whether there was any */
  take(): boolean {
    this.#left -= 1
    return this.#left >= 0
  }
}

/**
 * The members of one object, gathered from many events. The cost of an event depends only on its own size: copying the object for
 * every event would let a small stream block the process.
 */
export class Gathered {
  readonly #members = new Map<string, unknown>()
  readonly #room: Room

  constructor(room: Room, first: Json = {}) {
    this.#room = room
    this.put(first)
  }

  /** Later values replace earlier ones. */
  put(from: Json, ...except: readonly string[]): void {
    for (const [name, value] of Object.entries(from)) if (!except.includes(name)) this.set(name, value)
  }

  /** Later values replace earlier ones, except by nothing: some sellers send a member once and empty ones later. */
  keep(from: Json, ...except: readonly string[]): void {
    for (const [name, value] of Object.entries(from)) {
      if (except.includes(name)) continue
      const before = this.#members.get(name)
      if (before === undefined || isEmpty(before) || !isEmpty(value)) this.set(name, value)
    }
  }

  set(name: string, value: unknown): void {
    if (this.#members.has(name) || this.#members.size < MAX_MEMBERS) this.#members.set(name, value)
  }

  get(name: string): unknown {
    return this.#members.get(name)
  }

  /** Texts, lists and objects are continued; any other value is replaced, but never by nothing. */
  join(name: string, value: unknown, depth = 0): void {
    this.set(name, joined(name, this.#members.get(name), value, depth, this.#room))
  }

  /** {@link Gathered.join} for every member. */
  joinAll(from: Json, depth = 0): void {
    for (const [name, value] of Object.entries(from)) this.join(name, value, depth)
  }

  toJson(): Json {
    return Object.fromEntries(
      [...this.#members].map(([name, value]): [string, unknown] => [name, plain(value)]),
    )
  }
}

/** A list that grows in place. */
class Listed {
  readonly #name: string
  readonly #items: unknown[] = []
  /** The newest elements of each index: sellers number those of each type by themselves. */
  readonly #byIndex = new Map<number, Gathered[]>()
  readonly #seen = new Set<string>()
  readonly #room: Room

  constructor(name: string, room: Room) {
    this.#name = name
    this.#room = room
  }

  add(more: readonly unknown[], depth: number): void {
    for (const item of more) {
      // The answer is cut here: what follows in the list, however long, is not looked at.
      if (this.#room.isFull) return
      if (isJson(item) && depth < MAX_DEPTH) this.#addElement(item, depth)
      else this.#items.push(item)
    }
  }

  toJson(): unknown[] {
    const places = this.#items.map((item) => (item instanceof Gathered ? item.get('index') : undefined))
    // An element that begins late may still belong before others.
    const inPlace = places.every((place): place is number => typeof place === 'number')
    const items = inPlace ? this.#items.toSorted((a, b) => placeOf(a) - placeOf(b)) : this.#items
    return items.map(plain)
  }

  #addElement(piece: Json, depth: number): void {
    const isWhole = WHOLE.has(this.#name)
    const { index } = piece
    const hasIndex = typeof index === 'number' && Number.isSafeInteger(index) && index >= 0
    if (isWhole && this.#isRepeated(piece)) return
    const before = hasIndex
      ? this.#byIndex.get(index)?.findLast((element) => continues(element, piece))
      : this.#lastWithText(piece)
    if (before && (hasIndex || !isWhole)) return before.joinAll(piece, depth + 1)
    if (!this.#room.take()) return void this.#items.push(piece)
    const element = new Gathered(this.#room)
    element.joinAll(piece, depth + 1)
    this.#items.push(element)
    if (!hasIndex) return
    this.#byIndex.set(index, [...(this.#byIndex.get(index) ?? []).slice(-MAX_SAME_INDEX + 1), element])
  }

  #lastWithText(piece: Json): Gathered | undefined {
    const last = this.#items.at(-1)
    return last instanceof Gathered && hasText(last, piece) && continues(last, piece) ? last : undefined
  }

  #isRepeated(piece: Json): boolean {
    const text = JSON.stringify(piece)
    if (this.#seen.has(text)) return true
    this.#seen.add(text)
    return false
  }
}

/** The value that a piece makes of the value before it. */
function joined(name: string, before: unknown, value: unknown, depth: number, room: Room): unknown {
  if (value === null || value === undefined) return before === undefined ? value : before
  if (typeof value === 'string') {
    if (before instanceof Listed) {
      if (value !== '') before.add([{ type: 'text', text: value }], depth)
      return before
    }
    return typeof before === 'string' ? joinedText(name, before, value) : value
  }
  if (Array.isArray(value)) {
    const list = before instanceof Listed ? before : new Listed(name, room)
    if (typeof before === 'string' && before !== '') list.add([{ type: 'text', text: before }], depth)
    list.add(value, depth)
    return list
  }
  if (!isJson(value) || depth >= MAX_DEPTH) return value
  if (!(before instanceof Gathered) && !room.take()) return value
  const object = before instanceof Gathered ? before : new Gathered(room)
  object.joinAll(value, depth + 1)
  return object
}

function joinedText(name: string, before: string, value: string): string {
  if (ONCE.has(name)) return value || before
  return REPEATED.has(name) && value === before ? before : before + value
}

/** Whether nothing in the piece says that it is of another element. */
function continues(before: Gathered, piece: Json): boolean {
  if (IDENTITY.some((name) => differ(before.get(name), piece[name]))) return false
  return INNER_IDENTITY.every((name) => {
    const inner = before.get(name)
    const given = piece[name]
    return (
      !(inner instanceof Gathered) ||
      !isJson(given) ||
      !['url', 'file_id'].some((key) => differ(inner.get(key), given[key]))
    )
  })
}

function differ(a: unknown, b: unknown): boolean {
  return typeof a === 'string' && typeof b === 'string' && a !== '' && b !== '' && a !== b
}

function hasText(before: Gathered, piece: Json): boolean {
  return TEXTS.some((name) => piece[name] !== undefined && before.get(name) !== undefined)
}

function placeOf(item: unknown): number {
  return item instanceof Gathered ? Number(item.get('index')) : 0
}

function plain(value: unknown): unknown {
  return value instanceof Gathered || value instanceof Listed ? value.toJson() : value
}

function isEmpty(value: unknown): boolean {
  if (value === null || value === undefined || value === '') return true
  return isEmptyObject(value)
}

/**
 * The log probabilities of a choice: the lists of all its chunks one after another, name by name. Their elements are never
 * merged: in those of text completions the names are tokens.
 */
export class Logprobs {
  readonly #lists = new Map<string, unknown>()
  #came = false

  /** Adds those of one chunk; anything but an object is ignored. */
  add(logprobs: unknown): void {
    if (!isJson(logprobs)) return
    this.#came = true
    for (const [name, value] of Object.entries(logprobs)) {
      const before = this.#lists.get(name)
      if (Array.isArray(before) && Array.isArray(value)) for (const item of value) before.push(item)
      else if (Array.isArray(value)) this.#put(name, [...value])
      else if (before === undefined || value !== null) this.#put(name, value)
    }
  }

  #put(name: string, value: unknown): void {
    if (this.#lists.has(name) || this.#lists.size < MAX_MEMBERS) this.#lists.set(name, value)
  }

  /** `undefined` when no chunk had any. */
  toJson(): Json | undefined {
    return this.#came ? Object.fromEntries(this.#lists) : undefined
  }
}

/**
 * Keeps the members of one chunk's choice that have no rule of their own.
 * @param except members that have one, beyond those of all choices
 */
export function addRest(rest: Gathered, piece: Json, ...except: readonly string[]): void {
  const { token_ids: tokens } = piece
  rest.keep(piece, 'index', 'logprobs', 'finish_reason', 'token_ids', ...except)
  // vLLM gives each chunk the ids of its own tokens.
  if (tokens !== undefined) rest.join('token_ids', tokens)
}
