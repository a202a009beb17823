/** Collects a seller's event stream into the equivalent JSON answer. */
import { createParser, type EventSourceParser } from 'eventsource-parser'
import { collectorOf } from '../../src/core/stream/answer-conversion.ts'
import {
  parseJson,
  type AnswerCollector,
  type AnswerKind,
  type Json,
} from '../../src/core/stream/stream-json.ts'
import type { Usage } from '../../src/core/stream/usage.ts'
import { SseRelay } from '../../src/core/relay/sse-relay.ts'
import type { TruncationFallback } from '../../src/core/stream/truncation.ts'

/** The collected answer. */
export interface CollectedResponse {
  /** `undefined` if the stream contained no part of an answer. */
  readonly json: Json | undefined
  readonly truncated: boolean
}

/** Reads the stream as the relay would pass it on, and completes its end if it broke off. */
export class ResponseFromEvents {
  readonly #relay: SseRelay
  readonly #collector: AnswerCollector
  readonly #parser: EventSourceParser
  readonly #decoder = new TextDecoder()
  readonly #maxBytes: number
  #bytes = 0

  /** @param maxBytes size at which a longer stream is cut off */
  constructor(kind: AnswerKind, maxBytes: number) {
    this.#maxBytes = maxBytes
    this.#relay = new SseRelay({ splicer: undefined, shape: kind, tellsUsage: true, onTruncated: 'length' })
    this.#collector = collectorOf(kind)
    this.#parser = createParser({
      onEvent: ({ data }) => {
        const event = parseJson(data)
        if (event) this.#collector.add(event)
      },
    })
  }

  get usage(): Usage | undefined {
    return this.#relay.usage
  }

  /** Whether the protocol's end arrived. */
  get ended(): boolean {
    return this.#relay.ended
  }

  /** Whether no usage came before that end. */
  get awaitsUsage(): boolean {
    return this.#relay.awaitsUsage
  }

  /** The seller's error message, if it ended the stream with an error. */
  get sellerError(): string | undefined {
    return this.#relay.sellerError
  }

  /**
   * @returns whether to stop reading: the protocol's end arrived, the seller sent an error, or the stream is too
   * large
   */
  push(chunk: Uint8Array): boolean {
    this.#bytes += chunk.length
    if (this.#bytes > this.#maxBytes) return true
    this.#feed(this.#relay.push(chunk))
    return this.#relay.sellerError !== undefined || this.#relay.ended
  }

  end(broken: boolean, fallback: TruncationFallback): CollectedResponse {
    const isCut = broken || this.#bytes > this.#maxBytes
    const { bytes, truncated } = this.#relay.end(isCut, fallback)
    this.#feed(bytes)
    // A last event without its blank line: the relay has already found it complete.
    this.#parser.feed('\n\n')
    return { json: !this.#relay.hasContent ? undefined : this.#collector.answer(truncated), truncated }
  }

  #feed(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#parser.feed(this.#decoder.decode(bytes, { stream: true }))
  }
}
