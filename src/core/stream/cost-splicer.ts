/**
 * Sets `usage.cost` in a JSON text while it streams through. Nothing is held back, whatever the size of the text or the number of
 * its members, and every other byte is unchanged (RFC 8259).
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
import { ByteSink } from './byte-sink.ts'

/** A position in the text whose members matter. */
interface Place {
  /** For a `usage` object: what happens to its `cost`. `set` adds one if there is none. */
  readonly cost?: 'set' | 'overwrite'
  readonly members?: ReadonlyMap<string, Place>
  /** For an array: the position of the element at an index. */
  readonly element?: (index: number) => Place
}

/** A container on the path to a position. */
interface Level {
  readonly place: Place
  readonly isArray: boolean
  index: number
  isEmpty: boolean
  hasCost: boolean
  /** Whether a string that starts here is a key. */
  expectsKey: boolean
  /** The key whose value comes next; upper case. */
  key: string | undefined
}

const object = (members: Readonly<Record<string, Place>>): Place => ({
  members: new Map(Object.entries(members)),
})

const SET: Place = { cost: 'set' }
const OVERWRITE: Place = { cost: 'overwrite' }
const FIRST_CHOICE = object({ USAGE: SET })
const LATER_CHOICE = object({ USAGE: OVERWRITE })

/**
 * Where clients look for a cost. Added where a protocol has its usage: chat and text completions and Anthropic at the
 * top, Responses in `response`, and some sellers in their first choice. Anthropic's first event has `message.usage`,
 * whose count goes on, so a cost there is only overwritten. Keys are compared without regard to case (upper case, which
 * also folds U+017F): Go's `encoding/json` reads `Cost` as `cost`.
 */
const ROOT = object({
  USAGE: SET,
  RESPONSE: object({ USAGE: SET }),
  MESSAGE: object({ USAGE: OVERWRITE }),
  CHOICES: { element: (index) => (index === 0 ? FIRST_CHOICE : LATER_CHOICE) },
})

/** The longest spelling of a key that matters: `response` with every letter as `\uXXXX`. */
const MAX_KEY_BYTES = 48

/** One JSON text, or several after one another. Its output does not depend on how the input was cut into chunks. */
export class CostSplicer {
  readonly #text: Buffer
  readonly #adds: boolean
  readonly #levels: Level[] = []
  /** Open containers within the last level that lead to no position. */
  #depth = 0
  #inString = false
  #escaped = false
  /** The bytes of the key being read; `undefined` outside a key. */
  #key: number[] | undefined
  /** Whether the next value is a cost. */
  #costNext = false
  /** Whether the current value is a cost that is being replaced. */
  #dropping = false

  /**
   * @param costText a JSON number, e.g. `0.001`; `undefined` when what was paid has no value in USD: a cost that is
   * there becomes `null`, and none is added
   */
  constructor(costText: string | undefined) {
    this.#text = Buffer.from(costText ?? 'null')
    this.#adds = costText !== undefined
  }

  /** The output for a chunk. */
  push(chunk: Uint8Array): Buffer {
    const input = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    let out: ByteSink | undefined
    /** Where the bytes begin that are not in `out` yet. */
    let from = 0
    let added: Buffer | undefined
    const keep = (to: number): ByteSink => {
      out ??= new ByteSink(input.length + this.#text.length)
      if (to > from) out.add(input.subarray(from, to))
      from = to
      return out
    }
    const resume = (at: number): void => {
      this.#dropping = false
      from = at
    }
    for (let at = 0; at < input.length; at++) {
      if (this.#inString) {
        at = this.#string(input, at)
        if (!this.#inString && this.#dropping && this.#depth === 0) resume(at + 1)
        continue
      }
      const byte = input[at] ?? 0
      if (isBlank(byte)) {
        if (this.#dropping && this.#depth === 0) resume(at)
        continue
      }
      if (this.#costNext) {
        this.#costNext = false
        if (byte !== COMMA && byte !== CLOSE_BRACE) {
          keep(at).add(this.#text)
          this.#dropping = true
        }
      }
      const inside = this.#depth > 0
      switch (byte) {
        case QUOTE:
          this.#openString()
          break
        case OPEN_BRACE:
        case OPEN_BRACKET:
          this.#open(byte === OPEN_BRACKET)
          break
        case CLOSE_BRACE:
        case CLOSE_BRACKET:
          if (inside) {
            this.#depth -= 1
            if (this.#depth === 0 && this.#dropping) resume(at + 1)
            break
          }
          if (this.#dropping) resume(at)
          added = this.#close()
          if (added) keep(at).add(added)
          break
        case COMMA:
          if (inside) break
          if (this.#dropping) resume(at)
          this.#comma()
          break
        case COLON:
          if (!inside) this.#colon()
          break
        default:
      }
    }
    if (this.#dropping) from = input.length
    return out ? keep(input.length).take() : input.subarray(from)
  }

  /** Goes through a string. @returns the offset of its closing quote, or of the last byte of the input */
  #string(input: Buffer, from: number): number {
    for (let at = from; at < input.length; at++) {
      const byte = input[at] ?? 0
      const ends = byte === QUOTE && !this.#escaped
      this.#escaped = byte === BACKSLASH && !this.#escaped
      if (ends) {
        this.#inString = false
        this.#closeKey()
        return at
      }
      if (this.#key && this.#key.length <= MAX_KEY_BYTES) this.#key.push(byte)
    }
    return input.length - 1
  }

  #openString(): void {
    this.#inString = true
    this.#escaped = false
    const level = this.#levels.at(-1)
    if (this.#depth > 0 || level?.expectsKey !== true) return
    level.isEmpty = false
    this.#key = []
  }

  #closeKey(): void {
    const level = this.#levels.at(-1)
    if (!this.#key || !level) return
    level.key = this.#key.length > MAX_KEY_BYTES ? undefined : decodeKey(Buffer.from(this.#key))
    this.#key = undefined
  }

  #colon(): void {
    const level = this.#levels.at(-1)
    if (!level?.expectsKey) return
    level.expectsKey = false
    if (level.place.cost === undefined || level.key?.toUpperCase() !== 'COST') return
    if (level.key === 'cost') level.hasCost = true
    this.#costNext = true
  }

  #comma(): void {
    const level = this.#levels.at(-1)
    if (!level) return
    level.index += 1
    level.expectsKey = !level.isArray
    level.key = undefined
  }

  #open(isArray: boolean): void {
    const place = this.#depth === 0 && !this.#dropping ? this.#placeHere() : undefined
    // An array where an object belongs, or vice versa, is ignored.
    if (!place || isArray !== (place.element !== undefined)) {
      this.#depth += 1
      return
    }
    this.#levels.push({
      place,
      isArray,
      index: 0,
      isEmpty: true,
      hasCost: false,
      expectsKey: !isArray,
      key: undefined,
    })
  }

  #placeHere(): Place | undefined {
    const level = this.#levels.at(-1)
    if (!level) return ROOT
    if (level.isArray) return level.place.element?.(level.index)
    return level.expectsKey || level.key === undefined
      ? undefined
      : level.place.members?.get(level.key.toUpperCase())
  }

  /** Leaves a container. @returns the cost to add to it */
  #close(): Buffer | undefined {
    const level = this.#levels.pop()
    if (level?.place.cost !== 'set' || level.hasCost || !this.#adds) return undefined
    return Buffer.from(`${level.isEmpty ? '' : ','}"cost":${this.#text.toString('latin1')}`)
  }
}

function decodeKey(raw: Buffer): string | undefined {
  if (!raw.includes(BACKSLASH)) return raw.toString('utf8')
  try {
    const key: unknown = JSON.parse(`"${raw.toString('utf8')}"`)
    return typeof key === 'string' ? key : undefined
  } catch {
    return undefined
  }
}
