/** One body for several readers: each gets it from the beginning and at its own pace, and none ends it for the others. */
import { Readable } from 'node:stream'
import type { Reply } from '../../src/core/request/exchange.ts'

/** A reader came too late: the beginning is kept no more. */
export class BodyGoneError extends Error {
  override readonly name = 'BodyGoneError'
}

/** What a {@link SharedBody} works with. */
export interface SharedBodyOptions {
  /** Told how many bytes the record grew (or shrank) by. */
  readonly onSize: (change: number) => void
  /** Bytes after which the record is dropped; the readers go on. */
  readonly maxBytes: number
  /** Whether somebody is about to read: the source is not let go meanwhile. */
  readonly isWanted?: (() => boolean) | undefined
}

/** See the file's head. The source is read only as fast as the fastest reader asks. */
export class SharedBody {
  /** Let go with the end: it may hold the request that it answers. */
  #source: Reply['body'] | undefined
  #iterator: AsyncIterator<Uint8Array> | undefined
  readonly #options: SharedBodyOptions
  readonly #readers = new Set<Reader>()
  #chunks: Uint8Array[] = []
  /** How many chunks were dropped from the beginning. */
  #dropped = 0
  #size = 0
  #recording = true
  #keeping = false
  #pulling: Promise<void> | undefined
  #end: { readonly error: unknown } | 'whole' | 'let go' | undefined

  constructor(source: Reply['body'], options: SharedBodyOptions) {
    // Destroying a body early makes it emit an error that nobody waits for any more.
    if (source instanceof Readable) source.on('error', () => {})
    this.#source = source
    this.#iterator = source[Symbol.asyncIterator]()
    this.#options = options
  }

  /** Whether a new reader would get everything there is, from the beginning. */
  get isReadable(): boolean {
    return this.#recording && this.#dropped === 0 && this.#end !== 'let go'
  }

  /** A reader, from the beginning; `undefined` when that is gone. */
  read(): Reply['body'] | undefined {
    if (!this.isReadable) return undefined
    const reader = new Reader(this)
    this.#readers.add(reader)
    return reader
  }

  /** Reads on to the end, into the record, though nobody may be reading. */
  keep(): void {
    if (this.#keeping) return
    this.#keeping = true
    void this.#drain()
  }

  /** Drops the record: those who read go on, nobody can begin any more. */
  forget(): void {
    this.#recording = false
    this.#prune()
    this.release()
  }

  /** Lets the source go if nobody reads or wants it, and its bytes are not kept. */
  release(): void {
    if (this.#readers.size > 0 || (this.#keeping && this.#recording)) return
    if (this.#recording && this.#options.isWanted?.() === true) return
    this.#letGo()
  }

  /** The chunk at a reader's position; `undefined` at the end. @throws what the source broke with, BodyGoneError */
  async chunkAt(position: number): Promise<Uint8Array | undefined> {
    for (;;) {
      if (position < this.#dropped) throw new BodyGoneError('the reader was too slow')
      const chunk = this.#chunks[position - this.#dropped]
      if (chunk) return chunk
      if (this.#end === 'whole' || this.#end === 'let go') return undefined
      if (this.#end) throw this.#end.error
      await this.#pull()
    }
  }

  /** A reader moved on: what nobody needs any more is dropped. */
  moved(): void {
    if (!this.#recording) this.#prune()
  }

  /** A reader leaves; with the last one the source is let go, unless its bytes are kept. */
  leave(reader: Reader): void {
    if (!this.#readers.delete(reader)) return
    this.moved()
    this.release()
  }

  #pull(): Promise<void> {
    this.#pulling ??= this.#next().finally(() => (this.#pulling = undefined))
    return this.#pulling
  }

  async #next(): Promise<void> {
    try {
      const step = await this.#iterator?.next()
      if (this.#end) return
      if (!step || step.done === true) this.#finish('whole')
      else this.#add(step.value)
    } catch (error) {
      this.#finish({ error })
    }
  }

  #add(chunk: Uint8Array): void {
    if (chunk.length === 0) return
    this.#chunks.push(chunk)
    this.#grow(chunk.length)
    if (this.#size <= this.#options.maxBytes) return
    // Readers that lag this far behind are given up, or a stalled one would hold everything.
    if (!this.#recording) this.#drop(this.#chunks.length - 1)
    else this.forget()
  }

  #prune(): void {
    const slowest = Math.min(...[...this.#readers].map(({ position }) => position))
    if (slowest === Infinity) this.#drop(this.#chunks.length)
    else this.#drop(Math.min(this.#chunks.length, slowest - this.#dropped))
  }

  #drop(count: number): void {
    if (count <= 0) return
    const bytes = this.#chunks.splice(0, count).reduce((sum, chunk) => sum + chunk.length, 0)
    this.#dropped += count
    this.#grow(-bytes)
  }

  #grow(change: number): void {
    this.#size += change
    this.#options.onSize(change)
  }

  #finish(end: { readonly error: unknown } | 'whole' | 'let go'): void {
    this.#end ??= end
    this.#source = undefined
    this.#iterator = undefined
  }

  #letGo(): void {
    if (this.#end === undefined) {
      const source = this.#source
      this.#finish('let go')
      source?.destroy()
    }
    if (!this.#recording || this.#end === 'let go') this.#drop(this.#chunks.length)
  }

  async #drain(): Promise<void> {
    while (this.#end === undefined && this.#recording) await this.#pull()
  }
}

/** One reader's place in a {@link SharedBody}. */
class Reader implements AsyncIterable<Uint8Array> {
  readonly #body: SharedBody
  position = 0
  #left = false

  constructor(body: SharedBody) {
    this.#body = body
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    while (!this.#left) {
      const chunk = await this.#body.chunkAt(this.position)
      if (!chunk || this.#left) return
      this.position += 1
      this.#body.moved()
      yield chunk
    }
  }

  destroy(): void {
    this.#left = true
    this.#body.leave(this)
  }
}
