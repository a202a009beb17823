/** Collects a seller's event stream into the equivalent JSON answer. */
import { EventTexts } from '../../src/core/relay/event-texts.ts'
import { TOO_MUCH } from '../../src/core/json/json-parse.ts'
import { STEP_BYTES } from '../../src/core/json/json-scan.ts'
import { collectorOf, jsonInSteps } from '../../src/core/stream/answer-conversion.ts'
import type { AnswerCollector, AnswerKind, Json } from '../../src/core/stream/stream-json.ts'
import type { Usage } from '../../src/core/stream/usage.ts'
import { SseRelay } from '../../src/core/relay/sse-relay.ts'
import type { TruncationFallback } from '../../src/core/stream/truncation.ts'
import { joinInSteps } from './fair-share.ts'

/** The collected answer. */
export interface CollectedResponse {
  /** `undefined` if the stream contained no part of an answer. */
  readonly json: Json | undefined
  readonly truncated: boolean
}

/** What is done in steps, with turns for everything else in between. */
type Steps<T> = Generator<void, T, undefined>

/** Reads the stream as the relay would pass it on, and completes its end if it broke off. */
export class ResponseFromEvents {
  readonly #relay: SseRelay
  readonly #collector: AnswerCollector
  readonly #texts = new EventTexts()
  readonly #maxBytes: number
  #bytes = 0
  /** Whether the events held more than is collected. */
  #isOver = false

  /** @param maxBytes size at which a longer stream is cut off */
  constructor(kind: AnswerKind, maxBytes: number) {
    this.#maxBytes = maxBytes
    this.#relay = new SseRelay({
      splicer: undefined,
      shape: kind,
      tellsUsage: true,
      onTruncated: 'length',
      // A longer event is read as it comes: parsed in one go, a quarter of a megabyte of values takes a long turn.
      maxLineBytes: STEP_BYTES,
    })
    this.#collector = collectorOf(kind)
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

  /** The seller's error message, if it ended the stream with an error, or sent nothing but words. */
  get sellerError(): string | undefined {
    return this.#relay.sellerError ?? this.#relay.failure
  }

  /**
   * @returns whether to stop reading: the protocol's end arrived, the seller sent an error, or the stream holds too
   * much
   */
  *push(chunk: Uint8Array): Steps<boolean> {
    this.#bytes += chunk.length
    if (this.#bytes > this.#maxBytes) return true
    yield* this.#feed(this.#relay.push(chunk))
    return this.#relay.sellerError !== undefined || this.#relay.ended || this.#isOver
  }

  *end(broken: boolean, fallback: TruncationFallback): Steps<CollectedResponse> {
    const isCut = broken || this.#bytes > this.#maxBytes || this.#isOver
    const end = this.#relay.end(isCut, fallback)
    yield* this.#feed(end.bytes)
    // A last event without its blank line: the relay has already found it complete.
    yield* this.#feed(EVENT_END)
    // What arrived may be whole, and more than can be given.
    const truncated = end.truncated || this.#isOver
    if (!this.#relay.hasContent) return { json: undefined, truncated }
    const collector = this.#collector
    const json = collector.answerInSteps
      ? yield* collector.answerInSteps(truncated)
      : collector.answer(truncated)
    return { json, truncated }
  }

  *#feed(bytes: Uint8Array): Steps<void> {
    for (const pieces of this.#texts.push(bytes)) {
      if (this.#isOver) return
      const text = yield* joinInSteps(pieces)
      const isLong = text.length > STEP_BYTES
      // The relay has read it too: each of the three has a turn of its own.
      if (isLong) yield
      const event = yield* jsonInSteps(text)
      if (isLong) yield
      if (event !== undefined && event !== TOO_MUCH) this.#collector.add(event)
      // What follows it would have a gap before it.
      this.#isOver ||= event === TOO_MUCH || this.#collector.isFull
    }
  }
}

const EVENT_END = Buffer.from('\n\n')
