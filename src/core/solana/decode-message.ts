/** Decodes messages. The bytes are untrusted: anything inconsistent gives `undefined`. */
import { addressOf, ADDRESS_BYTES } from './address.ts'
import { decodeCompactU16 } from './compact-u16.ts'

/** A decoded message. */
export interface DecodedMessage {
  readonly version: 'legacy' | 0
  readonly signers: number
  readonly readonlySigners: number
  readonly readonlyOthers: number
  /** The accounts that the message itself lists, in its order. */
  readonly accounts: readonly string[]
  readonly blockhash: string
  readonly instructions: readonly DecodedInstruction[]
  /** The number of lookup tables that add further accounts. */
  readonly lookupTables: number
}

/** An instruction of a {@link DecodedMessage}. */
export interface DecodedInstruction {
  readonly program: string
  /** `undefined` for an account from a lookup table. */
  readonly accounts: readonly (string | undefined)[]
  readonly data: Uint8Array
}

/** Thrown within this file only: the bytes end too early. */
class Malformed extends Error {}

class Cursor {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get done(): boolean {
    return this.#at === this.#bytes.length
  }

  peek(): number {
    return this.#bytes[this.#at] ?? malformed()
  }

  byte(): number {
    const value = this.peek()
    this.#at += 1
    return value
  }

  length(): number {
    const length = decodeCompactU16(this.#bytes, this.#at) ?? malformed()
    this.#at = length.end
    return length.value
  }

  take(count: number): Uint8Array {
    const end = this.#at + count
    if (end > this.#bytes.length) malformed()
    const taken = this.#bytes.slice(this.#at, end)
    this.#at = end
    return taken
  }

  list<T>(entry: () => T): T[] {
    // Every entry takes at least one byte, so reading an excessive length fails at the end of the bytes.
    return Array.from({ length: this.length() }, () => entry())
  }
}

function malformed(): never {
  throw new Malformed()
}

/** The parts of a message; `undefined` for malformed bytes or an unknown version. */
export function decodeMessage(bytes: Uint8Array): DecodedMessage | undefined {
  try {
    return read(new Cursor(bytes))
  } catch (error) {
    if (error instanceof Malformed) return undefined
    throw error
  }
}

function read(cursor: Cursor): DecodedMessage | undefined {
  const prefix = cursor.peek()
  const versioned = (prefix & 0x80) !== 0
  if (versioned && cursor.byte() !== 0x80) return undefined
  const [signers, readonlySigners, readonlyOthers] = [cursor.byte(), cursor.byte(), cursor.byte()]
  const accounts = cursor.list(() => addressOf(cursor.take(ADDRESS_BYTES)))
  const blockhash = addressOf(cursor.take(ADDRESS_BYTES))
  const instructions = cursor.list(() => ({
    program: accounts[cursor.byte()],
    accounts: cursor.list(() => accounts[cursor.byte()]),
    data: cursor.take(cursor.length()),
  }))
  const tables = versioned ? cursor.list(() => lookupTable(cursor)) : []
  if (!cursor.done) return undefined
  const called = instructions.flatMap(({ program, ...rest }) =>
    program === undefined ? [] : [{ program, ...rest }],
  )
  // A program cannot come from a lookup table.
  if (called.length !== instructions.length) return undefined
  return {
    version: versioned ? 0 : 'legacy',
    signers,
    readonlySigners,
    readonlyOthers,
    accounts,
    blockhash,
    instructions: called,
    lookupTables: tables.length,
  }
}

function lookupTable(cursor: Cursor): void {
  cursor.take(ADDRESS_BYTES)
  cursor.list(() => cursor.byte())
  cursor.list(() => cursor.byte())
}
