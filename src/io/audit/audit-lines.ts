/** Reads audit files line by line, with at most one record in memory. */
import { createReadStream } from 'node:fs'
import { ConfigError } from '../../core/errors.ts'
import { MAX_RECORD_BYTES } from './audit-record.ts'

/**
 * The bytes of a file, in chunks.
 * @throws ConfigError when the file does not exist
 * @throws Error as `node:fs` does when it cannot be read
 */
export async function* readFile(path: string): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of createReadStream(path)) {
      if (Buffer.isBuffer(chunk)) yield chunk
    }
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
      throw new ConfigError(`There is no audit file ${path}. Give the file that audit.path names.`, {
        cause: error,
      })
    }
    throw error
  }
}

/** Cuts a stream of bytes into lines. */
export class LineCutter {
  #pieces: Buffer[] = []
  #length = 0

  /** The bytes after the last line end. If they are longer than any record, only their length is known. */
  get rest(): { readonly length: number; readonly bytes: Buffer } {
    return { length: this.#length, bytes: Buffer.concat(this.#pieces) }
  }

  /** The lines that a chunk completes, without line ends; `undefined` for a line longer than any record. */
  *cut(chunk: Buffer): Generator<Buffer | undefined> {
    let start = 0
    for (let end = chunk.indexOf(0x0a); end !== -1; end = chunk.indexOf(0x0a, start)) {
      this.#keep(chunk.subarray(start, end))
      yield this.#length < MAX_RECORD_BYTES ? Buffer.concat(this.#pieces) : undefined
      this.#pieces = []
      this.#length = 0
      start = end + 1
    }
    this.#keep(chunk.subarray(start))
  }

  #keep(part: Buffer): void {
    this.#length += part.length
    if (this.#length < MAX_RECORD_BYTES) this.#pieces.push(part)
    else this.#pieces = []
  }
}
