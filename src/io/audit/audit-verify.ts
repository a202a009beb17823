/** Proves audit files: every record is what was written, and none is missing, added or moved. */
import { CONTINUED, headBefore, readMark } from './audit-marks.ts'
import { LineCutter, readFile } from './audit-lines.ts'
import { EMPTY_HEAD, MAX_RECORD_BYTES, readRecord, type AuditHead, type AuditRecord } from './audit-record.ts'

/** What an audit file proves, or several that follow each other. */
export type AuditVerdict = WholeAudit | BrokenAudit

/** Every record is as it was written. */
export interface WholeAudit {
  readonly ok: true
  readonly records: number
  /** To be compared with a copy kept elsewhere: a file cut at a line end is whole in itself. */
  readonly head: AuditHead
  /** Charges that were authorized and never booked, in that order: a payment may have been sent. */
  readonly openIntents: string[]
  /** The file ends in the middle of a line: a crash while writing, or a record being written now. */
  readonly torn: boolean
  /** What the first record follows; other than number 0 where older files were put away. */
  readonly from: AuditHead & { readonly signed: boolean }
  readonly checkpoints: {
    readonly count: number
    /** The last head that is signed: what lies before it, only the holder of the key could have made. */
    readonly last: AuditHead | undefined
    /** Records behind it, which no signature vouches for yet. */
    readonly unsigned: number
    /** Public keys they are signed with. */
    readonly keys: readonly string[]
  }
}

/** Something is not as it was written. */
export interface BrokenAudit {
  readonly ok: false
  /** The file, as it was named. */
  readonly file: string
  /** The first bad line of that file, from 1. */
  readonly line: number
  /** The sequence number that belongs there. */
  readonly seq: number
  /**
   * `tampered`: a record is not what was written. `truncated`: records that were there are missing. `unsigned`: a key was
   * given, and nothing here is signed with it: anybody could have composed it anew.
   */
  readonly kind: 'tampered' | 'truncated' | 'unsigned'
  readonly why: string
}

/** What a verification may know from elsewhere. */
export interface VerifyOptions {
  /** The key that must have signed every checkpoint, 32 bytes in lower-case hex. */
  readonly publicKey?: string | undefined
  /** Heads that were noted elsewhere, e.g. by the ledger: the chain must have passed through them. */
  readonly heads?: readonly AuditHead[] | undefined
}

/** What a gateway writes when its ledger remembers records that its audit file has not got. */
export const RECORDS_MISSING = 'audit.records_missing'

const CLOSING: ReadonlySet<string> = new Set(['charge.settled', 'charge.uncertain', 'charge.released'])

/**
 * Verifies an audit file of any size in constant memory, or several as one chain.
 * @param paths in the order they were written
 * @throws ConfigError when there is no such file; Error as `node:fs` does when it cannot be read
 */
export async function verifyAudit(
  paths: string | readonly string[],
  options: VerifyOptions = {},
): Promise<AuditVerdict> {
  const files = typeof paths === 'string' ? [paths] : paths
  const chain = new ChainReader(options)
  for (const [index, path] of files.entries()) {
    const fault = await chain.read(path, index === files.length - 1)
    if (fault) return fault
  }
  return chain.verdict(files.at(-1) ?? '')
}

class ChainReader {
  readonly #options: VerifyOptions
  readonly #open = new Set<string>()
  readonly #keys = new Set<string>()
  /** Noted heads that were not reached yet, the next one last. */
  readonly #awaited: AuditHead[]
  #from: WholeAudit['from'] | undefined
  #head: AuditHead = EMPTY_HEAD
  #records = 0
  #line = 0
  #checkpoints = 0
  #signed: AuditHead | undefined
  /** Where a gateway wrote down at its start that records were gone. */
  #missed: BrokenAudit | undefined
  #torn = false

  constructor(options: VerifyOptions) {
    this.#options = options
    this.#awaited = (options.heads ?? []).filter(({ seq }) => seq > 0).toSorted((a, b) => b.seq - a.seq)
  }

  async read(path: string, last: boolean): Promise<BrokenAudit | undefined> {
    this.#line = 0
    const lines = new LineCutter()
    for await (const chunk of readFile(path)) {
      for (const line of lines.cut(chunk)) {
        const fault = line ? this.#take(line, path) : `it is over ${MAX_RECORD_BYTES} bytes`
        if (fault !== undefined) return this.#broken(path, 'tampered', fault)
        this.#line += 1
      }
    }
    const { length, bytes } = lines.rest
    if (length === 0) return undefined
    // No crash leaves a whole record and one wrong byte behind it.
    if (length < MAX_RECORD_BYTES && typeof readRecord(bytes.subarray(0, -1), this.#head) !== 'string') {
      return this.#broken(path, 'tampered', 'its line end was changed')
    }
    if (!last) return this.#broken(path, 'tampered', 'it is torn, and other files follow')
    this.#torn = true
    return undefined
  }

  verdict(path: string): AuditVerdict {
    const missing = this.#awaited[0]
    if (missing) {
      const known = `a record ${missing.seq} was noted, and the file ends with ${this.#head.seq}`
      return this.#broken(path, 'truncated', known)
    }
    if (this.#missed) return this.#missed
    if (this.#options.publicKey !== undefined && this.#checkpoints === 0) {
      return this.#broken(path, 'unsigned', 'nothing in it is signed')
    }
    return {
      ok: true,
      records: this.#records,
      head: this.#head,
      openIntents: [...this.#open],
      torn: this.#torn,
      from: this.#from ?? { ...EMPTY_HEAD, signed: false },
      checkpoints: {
        count: this.#checkpoints,
        last: this.#signed,
        unsigned: this.#unsigned(),
        keys: [...this.#keys],
      },
    }
  }

  /** The checkpoint itself stands behind what it signs. */
  #unsigned(): number {
    const { seq } = this.#signed ?? this.#from ?? EMPTY_HEAD
    return this.#head.seq - seq - (this.#signed ? 1 : 0)
  }

  /** @returns what is wrong with the line */
  #take(line: Buffer, path: string): string | undefined {
    const first = this.#from === undefined
    const record = readRecord(line, first ? undefined : this.#head)
    if (typeof record === 'string') return record
    if (first) {
      const fault = this.#begin(record, line)
      if (fault !== undefined) return fault
    }
    const mark = readMark(record, this.#options.publicKey)
    if (mark && 'fault' in mark) return mark.fault
    if (first && mark && mark.signedBy === undefined && this.#options.publicKey !== undefined) {
      return 'it stands for files that are not here, and is not signed'
    }
    if (record.type === RECORDS_MISSING) {
      this.#missed ??= this.#broken(
        path,
        'truncated',
        'a gateway found at its start that records before it were gone',
      )
    }
    if (mark?.signedBy !== undefined) {
      this.#checkpoints += 1
      this.#signed = headBefore(record)
      this.#keys.add(mark.signedBy)
      if (first && this.#from) this.#from = { ...this.#from, signed: true }
    }
    while (this.#awaited.at(-1)?.seq === record.seq) {
      if (this.#awaited.pop()?.hash !== record.hash) return NOTED_OTHERWISE
    }
    this.#head = { seq: record.seq, hash: record.hash }
    this.#records += 1
    follow(this.#open, record)
    return undefined
  }

  /** Only the first record of a file that follows another may follow what is not here. */
  #begin(record: AuditRecord, line: Buffer): string | undefined {
    if (record.type !== CONTINUED) {
      const fault = readRecord(line, EMPTY_HEAD)
      if (typeof fault === 'string') return fault
    }
    this.#head = headBefore(record)
    this.#from = { ...this.#head, signed: false }
    while ((this.#awaited.at(-1)?.seq ?? Infinity) < record.seq - 1) this.#awaited.pop()
    if (this.#awaited.at(-1)?.seq !== record.seq - 1) return undefined
    return this.#awaited.pop()?.hash === this.#from.hash ? undefined : NOTED_OTHERWISE
  }

  #broken(file: string, kind: BrokenAudit['kind'], why: string): BrokenAudit {
    return { ok: false, file, line: this.#line + 1, seq: this.#head.seq + 1, kind, why }
  }
}

const NOTED_OTHERWISE = 'another record with this number was noted before'

function follow(open: Set<string>, record: AuditRecord): void {
  const charge = record.fields['charge']
  if (typeof charge !== 'string') return
  if (record.type === 'charge.authorized') open.add(charge)
  else if (CLOSING.has(record.type)) open.delete(charge)
}
