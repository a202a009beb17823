/** Decodes by what the first bytes are, because sellers mean several formats by one name, or name a coding and send plain text. */
/* oxlint-disable no-underscore-dangle -- Node's names of what a stream is made of */
import { PassThrough, Transform, type TransformCallback } from 'node:stream'

/** Bytes that tell the formats apart. */
const SNIFFED_BYTES = 4

/** A stream that opens its decoder when the first bytes are there. */
export class SniffingDecoder extends Transform {
  readonly #open: (first: Uint8Array) => Transform | undefined
  #decoder: Transform | undefined
  #first = Buffer.alloc(0)

  /** @param open the decoder for a body that begins like this; `undefined` where it is not encoded */
  constructor(open: (first: Uint8Array) => Transform | undefined) {
    super()
    this.#open = open
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    if (this.#decoder) return this.#write(this.#decoder, chunk, done)
    this.#first = Buffer.concat([this.#first, chunk])
    if (this.#first.length < SNIFFED_BYTES) return done()
    this.#write(this.#start(), this.#first, done)
  }

  override _flush(done: TransformCallback): void {
    const isShort = this.#decoder === undefined
    const decoder = this.#start()
    decoder.once('end', () => done())
    decoder.end(isShort ? this.#first : undefined)
  }

  override _read(size: number): void {
    this.#decoder?.resume()
    super._read(size)
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#decoder?.destroy()
    done(error)
  }

  #write(decoder: Transform, chunk: Buffer, done: TransformCallback): void {
    decoder.write(chunk, (error) => done(error))
  }

  #start(): Transform {
    if (this.#decoder) return this.#decoder
    const decoder = this.#open(this.#first) ?? new PassThrough()
    decoder.on('error', (error) => this.destroy(error))
    decoder.on('data', (bytes: Uint8Array) => {
      if (!this.push(bytes)) decoder.pause()
    })
    this.#decoder = decoder
    return decoder
  }
}
