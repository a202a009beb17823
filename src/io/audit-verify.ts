/** Proves an audit file: every record is what was written, and none is missing, added or moved. */
import { createReadStream } from 'node:fs'
import { ConfigError } from '../core/errors.ts'
import { EMPTY_HEAD, MAX_RECORD_BYTES, readRecord, type AuditHead, type AuditRecord } from './audit-record.ts'

/** What an audit file proves. */
export type AuditVerdict =
  | {
      readonly ok: true
      readonly records: number
      /** To be compared with a copy kept elsewhere: a file cut at a line end is whole in itself. */
      readonly head: AuditHead
      /** Charges that were authorized and never booked, in that order: a payment may have been sent. */
      readonly openIntents: string[]
      /** The file ends in the middle of a line: a crash while writing, or a record being written now. */
      readonly torn: boolean
    }
  | {
      readonly ok: false
      /** The first bad line, from 1. */
      readonly line: number
      /** The sequence number that belongs there. */
      readonly seq: number
      readonly why: string
    }

const CLOSING: ReadonlySet<string> = new Set(['charge.settled', 'charge.uncertain', 'charge.released'])

/**
 * Verifies an audit file of any size in constant memory.
 * @throws ConfigError when there is no such file; Error as `node:fs` does when it cannot be read
 */
export async function verifyAudit(path: string): Promise<AuditVerdict> {
  const open = new Set<string>()
  let head = EMPTY_HEAD
  const lines = new LineCutter()
  for await (const chunk of readFile(path)) {
    for (const line of lines.cut(chunk)) {
      const record = line ? readRecord(line, head) : `it is over ${MAX_RECORD_BYTES} bytes`
      if (typeof record === 'string') {
        return { ok: false, line: head.seq + 1, seq: head.seq + 1, why: record }
      }
      head = { seq: record.seq, hash: record.hash }
      follow(open, record)
    }
  }
  return { ok: true, records: head.seq, head, openIntents: [...open], torn: lines.rest > 0 }
}

async function* readFile(path: string): AsyncGenerator<Buffer> {
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

function follow(open: Set<string>, record: AuditRecord): void {
  const charge = record.fields['charge']
  if (typeof charge !== 'string') return
  if (record.type === 'charge.authorized') open.add(charge)
  else if (CLOSING.has(record.type)) open.delete(charge)
}

/** Cuts a stream of bytes into lines, holding one record at most. */
class LineCutter {
  #parts: Buffer[] = []
  #length = 0

  /** Bytes behind the last line end. */
  get rest(): number {
    return this.#length
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
