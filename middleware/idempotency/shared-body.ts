/** One body for several readers. Each reads it from the beginning at its own pace, and none ends it for the others. */
import { Readable } from 'node:stream'
import type { Reply } from '../../src/core/request/exchange.ts'

/** The reader came too late: the beginning is no longer kept. */
export class BodyGoneError extends Error {
  override readonly name = 'BodyGoneError'
}

/** What a {@link SharedBody} works with. */
export interface SharedBodyOptions {
  /** Called with the number of bytes by which the record grew or shrank. */
  readonly onSize: (change: number) => void
  /** Bytes after which the record is dropped; current readers continue. */
  readonly maxBytes: number
  /** Whether another reader is about to start: the source is kept open until then. */
  readonly isWanted?: (() => boolean) | undefined
}

/** A body with several readers. The source is read only as fast as the fastest reader asks. */
export class SharedBody {
  /** Dropped at the end: it may hold the request that it answers. */
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
    // Destroying a body early makes it emit an error; without a listener that would end the process.
    if (source instanceof Readable) source.on('error', () => {})
    this.#source = source
    this.#iterator = source[Symbol.asyncIterator]()
    this.#options = options
  }

  /** Whether a new reader would get the whole body from the beginning. */
  get isReadable(): boolean {
    return this.#recording && this.#dropped === 0 && this.#end !== 'let go'
  }

  /** A new reader at the beginning; `undefined` if the beginning is gone. */
  read(): Reply['body'] | undefined {
    if (!this.isReadable) return undefined
    const reader = new Reader(this)
    this.#readers.add(reader)
    return reader
  }

  /** Reads to the end into the record, even without readers. */
  keep(): void {
    if (this.#keeping) return
    this.#keeping = true
    void this.#drain()
  }

  /** Drops the record: current readers continue, new ones cannot start. */
  forget(): void {
    this.#recording = false
    this.#prune()
    this.release()
  }

  /** Closes the source if it has no readers, none is expected, and its bytes are not kept. */
  release(): void {
    if (this.#readers.size > 0 || (this.#keeping && this.#recording)) return
    if (this.#recording && this.#options.isWanted?.() === true) return
    this.#letGo()
  }

  /** The chunk at a reader's position; `undefined` at the end. @throws the error of the source, BodyGoneError */
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

  /** A reader advanced: chunks that no reader needs any more are dropped. */
  moved(): void {
    if (!this.#recording) this.#prune()
  }

  /** Removes a reader; after the last one the source is closed, unless its bytes are kept. */
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
    // Readers that lag this far behind are dropped, or one stalled reader would keep everything in memory.
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

/** One reader's position in a {@link SharedBody}. */
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
