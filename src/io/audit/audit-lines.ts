/** Reads audit files line by line, holding one record at most. */
import { createReadStream } from 'node:fs'
import { ConfigError } from '../../core/errors.ts'
import { MAX_RECORD_BYTES } from './audit-record.ts'

/**
 * The bytes of a file as they come.
 * @throws ConfigError when there is no such file; Error as `node:fs` does when it cannot be read
 */
export async function* readFile(path: string): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of createReadStream(path)) {
      if (Buffer.isBuffer(chunk)) yield chunk
    }
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
      throw new ConfigError(`There is no audit file ${path}. Name the one under audit.path.`, {
        cause: error,
      })
    }
    throw error
  }
}

/** Cuts a stream of bytes into lines. */
export class LineCutter {
  #parts: Buffer[] = []
  #length = 0

  /** What lies behind the last line end; of more than a record only its length is known. */
  get rest(): { readonly length: number; readonly bytes: Buffer } {
    return { length: this.#length, bytes: Buffer.concat(this.#parts) }
  }

  /** The lines a chunk completes, without their ends; `undefined` for one longer than any record. */
  *cut(chunk: Buffer): Generator<Buffer | undefined> {
    let start = 0
    for (let end = chunk.indexOf(0x0a); end !== -1; end = chunk.indexOf(0x0a, start)) {
      this.#keep(chunk.subarray(start, end))
      yield this.#length < MAX_RECORD_BYTES ? Buffer.concat(this.#parts) : undefined
      this.#parts = []
      this.#length = 0
      start = end + 1
    }
    this.#keep(chunk.subarray(start))
  }

  #keep(part: Buffer): void {
    this.#length += part.length
    if (this.#length < MAX_RECORD_BYTES) this.#parts.push(part)
    else this.#parts = []
  }
}
