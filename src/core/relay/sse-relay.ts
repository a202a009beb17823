/** Turns the bytes of a seller's event stream into the bytes for the client: the same, but for `usage.cost`. */
import { addEvents } from './add-events.ts'
import { ByteSink } from '../stream/byte-sink.ts'
import type { CostSplicer } from '../stream/cost-splicer.ts'
import { dataStart, SseLines, type SsePiece } from './sse-lines.ts'
import { messageIn } from '../stream/error-signs.ts'
import { UnreadEvents } from './unread-events.ts'
import { EventOutline } from '../stream/event-outline.ts'
import { parseJson, type StreamEvent } from '../stream/stream-json.ts'
import type { Usage } from '../stream/usage.ts'
import { progressOf } from './progress-of.ts'
import { replaceErrorEvent } from './replace-error-event.ts'
import { EventBuffer } from './event-buffer.ts'
import { EventNames, typeAtStart } from './event-names.ts'
import { LateUsage } from './late-usage.ts'
import type { ReadEvent, StreamProgress } from '../stream/stream-progress.ts'
import { MAX_LINE_BYTES, type SseRelayOptions } from './sse-relay-options.ts'
import { TRUNCATED_COMMENT, type SseEnd, type TruncationFallback } from '../stream/truncation.ts'

export { MAX_LINE_BYTES, type SseRelayOptions }

/** One stream. Its output does not depend on how the input was cut into chunks. */
export class SseRelay {
  readonly #options: SseRelayOptions
  readonly #lines: SseLines
  readonly #progress: StreamProgress
  #isFirstLine = true
  /** We wrote a comment before the seller's first byte, so its byte order mark would end up in the middle. */
  #spokeFirst = false
  readonly #unread = new UnreadEvents()
  /** The event that is passing is named `error`. */
  #isNamedError = false
  readonly #event: EventBuffer
  readonly #late = new LateUsage()
  readonly #names: EventNames | undefined
  #sellerError: string | undefined
  #failure: string | undefined
  /** Goes through the data lines of one event that are not JSON each by itself. */
  #eventSplicer: CostSplicer | undefined
  /** What is known of an event that is relayed without being held: its text is too long, or came in several lines. */
  #outline: EventOutline | undefined
  /** An error went by in such an event: it has ended the stream for the client. */
  #passedError = false
  /** The line over the limit that is passing. */
  #longLine: { readonly isData: boolean } | undefined

  constructor(options: SseRelayOptions) {
    this.#options = options
    const maxLineBytes = options.maxLineBytes ?? MAX_LINE_BYTES
    this.#lines = new SseLines(maxLineBytes)
    this.#event = new EventBuffer(maxLineBytes)
    this.#progress = progressOf(options.shape, options.tellsUsage)
    if (options.shape === 'anthropic') this.#names = new EventNames()
  }

  get usage(): Usage | undefined {
    return this.#progress.usage
  }

  /** Whether there is something to deliver: content, or the proper end of an answer without any. */
  get hasContent(): boolean {
    return this.#progress.hasContent || this.#unread.mayBeAnswer
  }

  /** Whether the answer is whole, so that a client may leave without losing any of it. */
  get complete(): boolean {
    return this.#progress.complete
  }

  /** Whether the protocol's last event was passed on, so that nothing of the answer follows. */
  get ended(): boolean {
    return this.#progress.ended && !this.#event.isOpen && !this.#lines.insideOverlongLine
  }

  /** Whether `[DONE]` is held back because no usage came before it: some sellers send it behind. */
  get awaitsUsage(): boolean {
    return this.ended && this.#late.isWaiting
  }

  /** The seller's message, when it ended the stream with an error event: no more of the stream is relayed. */
  get sellerError(): string | undefined {
    return this.#sellerError
  }

  /** The seller's message in an error event that was replaced by ours, or of a stream of nothing but words. */
  get failure(): string | undefined {
    return this.#failure ?? (this.hasContent ? undefined : this.#unread.words)
  }

  /** The bytes a chunk brings; at most one unfinished line, or event, is held back. */
  push(chunk: Uint8Array): Buffer {
    const out = new ByteSink(chunk.length + ROOM_FOR_COSTS)
    for (const piece of this.#lines.push(chunk)) {
      if (this.#sellerError !== undefined) break
      this.#relay(piece, out)
    }
    // The client did not ask for usage: it is put in order if it has arrived, and not waited for.
    if (this.#options.stripUsage !== true && this.#options.tellsUsage !== true) this.#late.release(out)
    return out.take()
  }

  /** A comment, if one is allowed now: between two events. */
  comment(text: string): Buffer | undefined {
    if (this.#event.isOpen || this.#lines.insideOverlongLine || this.#lines.afterCr) return undefined
    this.#spokeFirst ||= this.#isFirstLine
    return Buffer.from(`: ${text}\n\n`)
  }

  /**
   * Ends the stream.
   * @param broken the seller's stream did not end by itself
   */
  end(broken: boolean, fallback: TruncationFallback): SseEnd {
    const { shape } = this.#options
    const out = new ByteSink(0)
    const tail = this.#sellerError === undefined ? this.#lines.flush() : undefined
    if (shape === 'other') {
      if (tail && !broken) this.#relay(tail, out)
      this.#readWhole()
      if (!broken) this.#event.release(out)
      const truncated = broken || this.#failure !== undefined
      return { bytes: out.take(), truncated, cut: broken }
    }
    if (this.#options.passesErrors === true) return this.#endAsItCame(tail, broken, out)
    // A last line without its line end counts when it is whole: the answer may be complete with it.
    const tailIsWhole = tail !== undefined && this.#relay(tail, out) === 'whole'
    this.#readWhole()
    const failed = broken || this.#sellerError !== undefined
    if (this.#passedError) return { bytes: out.take(), truncated: true, cut: false }
    if (this.#progress.mayBeComplete && !failed) {
      this.#event.release(this.#late.sink(out))
      this.#releaseDone(out)
      // Anthropic's clients wait for the last event; no client waits for `[DONE]` once every choice has its finish reason.
      if (shape === 'anthropic') this.#add(this.#progress.closing(), out)
      return { bytes: out.take(), truncated: false, cut: false }
    }
    if (!tailIsWhole) out.clear()
    this.#event.forget()
    if (this.#progress.complete) {
      this.#releaseDone(out)
      this.#add(this.#progress.closing(), out)
      return { bytes: out.take(), truncated: false, cut: false }
    }
    if (this.#options.onTruncated === 'error') this.#add(this.#progress.errorEnd(), out)
    else this.#add(this.#progress.truncatedEnd(fallback), out, TRUNCATED_COMMENT)
    return { bytes: out.take(), truncated: true, cut: false }
  }

  /** The rest of what came, and nothing of ours. */
  #endAsItCame(tail: SsePiece | undefined, broken: boolean, out: ByteSink): SseEnd {
    if (tail) this.#relay(tail, out)
    this.#readWhole()
    this.#event.release(this.#late.sink(out))
    this.#releaseDone(out)
    return { bytes: out.take(), truncated: broken || this.#passedError, cut: broken }
  }

  #releaseDone(out: ByteSink): void {
    // The event before it may have no end.
    if (this.#late.isPassing) out.add(Buffer.from('\n\n'))
    this.#late.release(out)
  }

  /** Adds events of ours, their costs set. */
  #add(events: readonly StreamEvent[], out: ByteSink, comment = ''): void {
    const open = this.#event.isOpen || this.#lines.insideOverlongLine || out.length > 0
    // Two line ends: the first may merge with a CR sent before.
    out.add(Buffer.from(`${open ? '\n\n' : ''}${comment}`))
    addEvents(events, out, this.#options.splicer)
  }

  /** @returns `whole` for a data line that was understood */
  #relay(piece: SsePiece, main: ByteSink): 'whole' | 'other' {
    let out = this.#late.sink(main)
    if (piece.kind === 'raw') {
      // The LF after a CR is part of a line end seen before; anything else is part of a line.
      if (piece.bytes.length === 1 && piece.bytes[0] === LF) {
        if (this.#names?.keepLineFeed() === true) return 'other'
        if (!this.#event.isDropped || this.#event.isOpen) this.#event.put(piece.bytes, out)
      } else {
        // Its outline has them already.
        this.#event.takePending()
        this.#event.release(out)
        this.#relayLong(piece, out)
      }
      return 'other'
    }
    const { bytes, end } = piece
    if (bytes.length === 0) {
      this.#endEvent(end, main)
      return 'other'
    }
    const isFirst = this.#isFirstLine
    this.#isFirstLine = false
    const start = dataStart(bytes, isFirst)
    const from = isFirst && this.#spokeFirst && bytes[0] === 0xef ? BOM_BYTES : 0
    if (this.#event.isDropped) return 'other'
    if (start === undefined || start === bytes.length) {
      const isComment = bytes[0] === COLON
      if (this.#names?.keep(bytes.subarray(from), end) === true) {
        this.#isNamedError ||= NAMED_ERROR.test(bytes.toString('latin1', from, from + 16))
        return 'other'
      }
      // What names an event must not go before what it holds is known: some clients look at the name of an error alone.
      if (!isComment && !this.#event.isOpen && piece.kind === 'line' && this.#options.shape !== 'other') {
        this.#event.hold(out)
      }
      if (!isComment) this.#isNamedError ||= NAMED_ERROR.test(bytes.toString('latin1', from, from + 16))
      this.#event.put(bytes.subarray(from), out)
      this.#event.put(end, out)
      if (piece.kind === 'line' && !isComment) this.#event.lineDone()
      return 'other'
    }
    const value = bytes.subarray(start)
    const read = this.#read(value)
    if (typeof read === 'object' && this.#options.shape !== 'other') {
      if (this.#options.passesErrors !== true) {
        this.#sellerError = read.error
        this.#event.forget()
        return 'other'
      }
      this.#notePassedError(read.error)
    }
    this.#noteDone()
    out = this.#late.sink(main)
    if (read === 'usage' && this.#options.stripUsage === true) {
      this.#event.drop()
      return 'whole'
    }
    const isPart = read === 'partial'
    if (isPart && this.#options.shape !== 'other' && !this.#event.isOpen) {
      this.#event.hold(out)
      this.#event.addPart(value)
    } else this.#event.release(out)
    if (isPart) this.#outlineOfEvent().push(bytes.subarray(start))
    const splicer = isPart ? this.#splicerOfEvent() : this.#options.splicer?.(true)
    const replaces = splicer && this.#options.shape === 'other' && this.#options.passesErrors !== true
    const own = replaces ? replaceErrorEvent(value, this.#isNamedError) : undefined
    this.#failure ??= own?.original
    this.#putName(isPart ? undefined : this.#progress.eventName, out)
    this.#event.put(bytes.subarray(from, start), out)
    this.#event.put(splicer ? splicer.push(own?.bytes ?? value) : value, out)
    this.#event.put(end, out)
    if (piece.kind === 'line') this.#event.lineDone()
    return isPart ? 'other' : 'whole'
  }

  /** Reads the data of an event; one that is named `error` is one, whatever is in it. */
  #read(value: Buffer): ReadEvent {
    if (!this.#isNamedError) return this.#progress.read(value)
    const text = value.toString('utf8')
    return { error: messageIn(parseJson(text) ?? text) ?? 'error' }
  }

  #endEvent(end: Buffer, main: ByteSink): void {
    this.#isFirstLine = false
    this.#isNamedError = false
    this.#eventSplicer = undefined
    const isReadLate = this.#event.isPending || this.#outline !== undefined
    this.#readWhole()
    if (this.#sellerError !== undefined) return
    this.#noteDone()
    const out = this.#late.sink(main)
    this.#putName(isReadLate ? this.#progress.eventName : undefined, out)
    this.#names?.reset()
    if (this.#event.ended(out)) out.add(end)
    this.#late.eventEnded(main)
  }

  #putName(type: string | undefined, out: ByteSink): void {
    if (this.#names) this.#event.put(this.#names.take(type), out)
  }

  #noteDone(): void {
    const { shape } = this.#options
    if (shape !== 'chat' && shape !== 'text') return
    this.#late.note(this.#progress.ended, this.#progress.usage !== undefined)
  }

  /** Reads an event of several lines, or over the limit, at its end. */
  #readWhole(): void {
    if (this.#event.isPending) this.#readPending()
    else if (this.#outline) this.#readOutline(this.#outline)
    this.#outline = undefined
  }

  /** An event that was passed on already cannot be held back for what it was. */
  #readOutline({ outline }: EventOutline): void {
    if (!outline) this.#unread.note(undefined)
    const read = outline && this.#progress.read(Buffer.from(JSON.stringify(outline)))
    if (typeof read !== 'object' || this.#options.shape === 'other') return
    this.#notePassedError(read.error)
  }

  #notePassedError(message: string): void {
    this.#failure ??= message
    this.#passedError = true
  }

  #outlineOfEvent(): EventOutline {
    this.#outline ??= new EventOutline()
    return this.#outline
  }

  /** Reads an event whose data came in several lines. */
  #readPending(): void {
    const data = this.#event.takePending()
    const read = this.#progress.read(data)
    if (typeof read === 'object' && this.#options.passesErrors === true) this.#notePassedError(read.error)
    else if (typeof read === 'object') {
      this.#sellerError = read.error
      this.#event.forget()
    } else if (read === 'partial') this.#unread.note(data)
    else if (read === 'usage' && this.#options.stripUsage === true) this.#event.drop()
  }

  /** A line that is too long to be read keeps no cost of the seller's either. */
  #relayLong({ bytes, end }: SsePiece, out: ByteSink): void {
    this.#event.open()
    let at = 0
    if (!this.#longLine) {
      const start = dataStart(bytes, this.#isFirstLine)
      this.#isFirstLine = false
      this.#longLine = { isData: start !== undefined }
      at = start ?? 0
      if (this.#names && start !== undefined) out.add(this.#names.take(typeAtStart(bytes.subarray(start))))
    }
    const { isData } = this.#longLine
    const splicer = isData ? this.#splicerOfEvent() : undefined
    const rest = bytes.subarray(at)
    if (isData) this.#outlineOfEvent().push(rest)
    out.add(bytes.subarray(0, at))
    out.add(splicer ? splicer.push(rest) : rest)
    out.add(end)
    if (end.length > 0) this.#longLine = undefined
  }

  #splicerOfEvent(): CostSplicer | undefined {
    this.#eventSplicer ??= this.#options.splicer?.(false)
    return this.#eventSplicer
  }
}

/** Every client that looks at names takes this one for an error. */
const NAMED_ERROR = /^event: ?error\s*$/

const [LF, COLON, BOM_BYTES] = [0x0a, 0x3a, 3]

/** A chunk that has its cost set grows by less, so that it is seldom copied. */
const ROOM_FOR_COSTS = 256
