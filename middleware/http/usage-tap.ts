/** Reads the usage of an answer that is relayed untouched. */
import { finished } from 'node:stream/promises'
import { pipeline, type Transform } from 'node:stream'
import type { Reply } from '../../src/core/request/exchange.ts'
import { isUndecided, typeByBytes } from '../../src/core/stream/answer-check.ts'
import { JsonUsage } from '../../src/core/stream/json-usage.ts'
import type { Usage } from '../../src/core/stream/usage.ts'
import { contentCoding, decodersFor } from '../../src/io/transport/content-coding.ts'
import { mediaType } from '../../src/core/request/header-policy.ts'
import { SseRelay } from '../../src/core/relay/sse-relay.ts'

/** Inspects a copy of the bytes of one answer. */
export interface UsageTap {
  /** Waits only if a compressed answer arrives faster than it can be decoded, so that it never piles up. */
  push(chunk: Uint8Array): Promise<void> | undefined
  /** Await this after the last byte has passed. */
  end(): Promise<void>
  readonly usage: Usage | undefined
  /** What was read of the answer, decoded, bytes. */
  readonly receivedBytes: number
  /** Whether the protocol's last event has arrived: nothing of the answer follows. */
  readonly ended: boolean
  /** Whether a stream is whole: every choice has its finish, or the protocol's last event came. Other answers always are. */
  readonly complete: boolean
}

interface Reader {
  push(chunk: Uint8Array): unknown
  readonly usage: Usage | undefined
  readonly ended?: boolean
  readonly complete?: boolean
}

/** Decoded size at which the usage of a compressed answer is given up, bytes: no answer of a model is that large. */
const MAX_DECODED_BYTES = 256 * 1024 * 1024

/** Chooses the reader by the first bytes, because the content type may be wrong. */
class ReaderByBytes implements Reader {
  readonly #type: string
  #first: Uint8Array = new Uint8Array()
  #reader: Reader | undefined
  receivedBytes = 0

  constructor(type: string) {
    this.#type = type
  }

  get usage(): Usage | undefined {
    return this.#reader?.usage
  }

  get ended(): boolean {
    return this.#reader?.ended ?? false
  }

  get complete(): boolean {
    return this.#reader?.complete ?? true
  }

  push(chunk: Uint8Array): void {
    this.receivedBytes += chunk.length
    if (this.#reader) return void this.#reader.push(chunk)
    this.#first = this.#first.length === 0 ? chunk : Buffer.concat([this.#first, chunk])
    if (isUndecided(this.#first) && this.#first.length < MAX_UNDECIDED_BYTES) return
    const isEvents = typeByBytes('chat', this.#type, this.#first) === 'text/event-stream'
    this.#reader = isEvents
      ? new SseRelay({ splicer: undefined, shape: 'other', onTruncated: 'length' })
      : new JsonUsage()
    this.#reader.push(this.#first)
  }
}

/** Most white space before an answer, bytes. */
const MAX_UNDECIDED_BYTES = 65_536

/** The tap for an answer with these headers: a stream or anything that may be JSON, compressed or not. */
export function usageTap(headers: Reply['headers']): UsageTap {
  const reader = new ReaderByBytes(mediaType(headers))
  const coding = contentCoding(headers)
  const decoders = coding === '' ? undefined : decodersFor(coding)
  const [first, ...rest] = decoders ?? []
  if (first) return new DecodingTap(reader, first, rest)
  return {
    push(chunk) {
      // The usage of an unknown coding cannot be read.
      if (coding === '') reader.push(chunk)
      return undefined
    },
    async end() {},
    get usage() {
      return reader.usage
    },
    get receivedBytes() {
      return reader.receivedBytes
    },
    get ended() {
      return reader.ended
    },
    get complete() {
      return reader.complete
    },
  }
}

class DecodingTap implements UsageTap {
  readonly #reader: ReaderByBytes
  readonly #decoder: Transform
  readonly #done: Promise<void>
  #left = MAX_DECODED_BYTES

  constructor(reader: ReaderByBytes, decoder: Transform, more: readonly Transform[]) {
    this.#reader = reader
    this.#decoder = decoder
    const last = more.at(-1) ?? decoder
    if (more.length > 0) pipeline([decoder, ...more], () => {})
    // A body that does not decode is left to the client, which gets the bytes unchanged.
    this.#done = finished(last).catch(() => {})
    last.on('data', (bytes: Uint8Array) => {
      this.#left -= bytes.length
      if (this.#left < 0) decoder.destroy()
      else reader.push(bytes)
    })
  }

  get usage(): Usage | undefined {
    return this.#reader.usage
  }

  get receivedBytes(): number {
    return this.#reader.receivedBytes
  }

  get ended(): boolean {
    return this.#reader.ended
  }

  get complete(): boolean {
    return this.#reader.complete
  }

  push(chunk: Uint8Array): Promise<void> | undefined {
    if (this.#decoder.destroyed || this.#decoder.write(chunk)) return undefined
    return new Promise<void>((resolve) => {
      const proceed = (): void => {
        this.#decoder.off('drain', proceed)
        this.#decoder.off('close', proceed)
        resolve()
      }
      this.#decoder.on('drain', proceed)
      this.#decoder.on('close', proceed)
    })
  }

  async end(): Promise<void> {
    if (!this.#decoder.destroyed) this.#decoder.end()
    await this.#done
  }
}
