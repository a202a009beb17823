/**
 * Reads the outline of a JSON text of any length while it streams through: what an event is, how it ends and what was used.
 * Long texts and lists are not kept, so that memory stays bounded (RFC 8259).
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
} from '../json/json-bytes.ts'
import type { Json } from './stream-json.ts'

/** A place whose scalars are kept, and the containers in it that are places too. */
interface Place {
  readonly members?: ReadonlyMap<string, Place>
  /** For a list: the place of its elements. */
  readonly element?: Place
}

const object = (members: Readonly<Record<string, Place>> = {}): Place => ({
  members: new Map(Object.entries(members)),
})

const USAGE = object({
  prompt_tokens_details: object(),
  completion_tokens_details: object(),
  tokens: object(),
  billed_units: object(),
})
const ERROR = object()
const ROOT = object({
  usage: USAGE,
  x_groq: object({ usage: USAGE }),
  usageMetadata: object(),
  usage_metadata: object(),
  meta: USAGE,
  'amazon-bedrock-invocationMetrics': object(),
  response: object({ usage: USAGE, error: ERROR }),
  message: object({ usage: USAGE }),
  delta: object({ usage: USAGE }),
  item: object(),
  content_block: object(),
  error: ERROR,
  base_resp: object(),
  choices: { element: object({ delta: object(), message: object(), usage: USAGE, error: ERROR }) },
})

/** A longer text or number is represented by {@link LONG}. */
const MAX_TOKEN_BYTES = 256

/** Stands for a long text; not empty, so that it counts as content. */
const LONG = '…'

/** So many scalars are kept of a container, and elements of a list; a hostile text could have millions. */
const MAX_VALUES = 256

interface Level {
  readonly place: Place
  readonly value: Record<string, unknown> | unknown[]
  readonly isArray: boolean
  expectsKey: boolean
  key: string | undefined
  values: number
}

/** One JSON object. Its outline does not depend on how the text was cut into chunks. */
export class EventOutline {
  #root: Json | undefined
  readonly #levels: Level[] = []
  /** Containers open inside the last level of which nothing is kept. */
  #skipped = 0
  #inString = false
  #escaped = false
  /** The bytes of the string, number or literal that is being read. */
  #token: number[] = []
  #tokenIsLong = false

  /** `undefined` when the text is no object, or did not come to its end. */
  get outline(): Json | undefined {
    return this.#levels.length === 0 && this.#skipped === 0 ? this.#root : undefined
  }

  /** The next bytes of the text. */
  push(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length; at++) this.#byte(chunk[at] ?? 0)
  }

  #byte(byte: number): void {
    if (this.#inString) return this.#stringByte(byte)
    if (byte === QUOTE) {
      this.#inString = true
      this.#token = [byte]
      this.#tokenIsLong = false
    } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) this.#open(byte === OPEN_BRACKET)
    else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) this.#close()
    else if (byte === COMMA) this.#comma()
    else if (byte === COLON) this.#colon()
    else if (isBlank(byte)) this.#scalar()
    else this.#keep(byte)
  }

  #stringByte(byte: number): void {
    this.#keep(byte)
    const ends = byte === QUOTE && !this.#escaped
    this.#escaped = byte === BACKSLASH && !this.#escaped
    if (!ends) return
    this.#inString = false
    const level = this.#levels.at(-1)
    if (this.#skipped > 0 || !level) this.#token = []
    else if (level.expectsKey) {
      const key = this.#take()
      level.key = typeof key === 'string' ? key : undefined
    } else this.#scalar()
  }

  #keep(byte: number): void {
    if (this.#token.length < MAX_TOKEN_BYTES) this.#token.push(byte)
    else this.#tokenIsLong = true
  }

  /** The token as a value; a long text is {@link LONG}. */
  #take(): unknown {
    const bytes = this.#token
    const isLong = this.#tokenIsLong
    this.#token = []
    this.#tokenIsLong = false
    if (isLong) return LONG
    try {
      return JSON.parse(Buffer.from(bytes).toString('utf8')) as unknown
    } catch {
      return undefined
    }
  }

  #scalar(): void {
    if (this.#token.length === 0) return
    if (this.#skipped > 0) this.#token = []
    else this.#put(this.#take())
  }

  #put(value: unknown, isPlace = false): void {
    const level = this.#levels.at(-1)
    if (!level || value === undefined || (!isPlace && level.values >= MAX_VALUES)) return
    level.values += 1
    if (Array.isArray(level.value)) level.value.push(value)
    else if (level.key !== undefined) {
      Object.defineProperty(level.value, level.key, {
        value,
        enumerable: true,
        configurable: true,
        writable: true,
      })
    }
  }

  #comma(): void {
    this.#scalar()
    const level = this.#levels.at(-1)
    if (this.#skipped > 0 || !level) return
    level.expectsKey = !level.isArray
    level.key = undefined
  }

  #colon(): void {
    const level = this.#levels.at(-1)
    if (this.#skipped === 0 && level) level.expectsKey = false
  }

  #open(isArray: boolean): void {
    if (this.#skipped > 0) return void (this.#skipped += 1)
    const level = this.#levels.at(-1)
    if (!level && (isArray || this.#root)) return void (this.#skipped += 1)
    const place = level ? placeIn(level) : ROOT
    const isFull = level?.isArray === true && level.values >= MAX_VALUES
    if (!place || isFull || isArray !== (place.element !== undefined)) {
      // What is not kept still counts as content.
      this.#put(isArray ? [LONG] : { more: LONG })
      this.#skipped += 1
      return
    }
    const value: Record<string, unknown> | unknown[] = isArray ? [] : {}
    if (level) this.#put(value, true)
    else if (!Array.isArray(value)) this.#root = value
    this.#levels.push({ place, value, isArray, expectsKey: !isArray, key: undefined, values: 0 })
  }

  #close(): void {
    this.#scalar()
    if (this.#skipped > 0) this.#skipped -= 1
    else this.#levels.pop()
  }
}

function placeIn({ place, isArray, key }: Level): Place | undefined {
  if (isArray) return place.element
  return key === undefined ? undefined : place.members?.get(key)
}
