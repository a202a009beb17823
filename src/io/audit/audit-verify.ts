/** Verifies audit files: every record is what was written, and none is missing, added or moved. */
import { CONTINUED, DROPPED, headBefore, readMark } from './audit-marks.ts'
import { LineCutter, readFile } from './audit-lines.ts'
import { EMPTY_HEAD, MAX_RECORD_BYTES, readRecord, type AuditHead, type AuditRecord } from './audit-record.ts'

/** The verdict on an audit file, or on several files of one chain. */
export type AuditVerdict = WholeAudit | BrokenAudit

/** Every record is what was written. */
export interface WholeAudit {
  readonly ok: true
  readonly records: number
  /** The last record. Compare it with a copy kept elsewhere: a file truncated at a line end is valid in itself. */
  readonly head: AuditHead
  /** Charges that were authorized and have no later record, oldest first: a payment may have been sent. */
  readonly openIntents: string[]
  /** Whether the file ends within a line: after a crash, or while a record is being written. */
  readonly torn: boolean
  /** The head that the first record follows. Its number is 0 unless older files are missing. */
  readonly from: AuditHead & { readonly signed: boolean }
  readonly checkpoints: {
    readonly count: number
    /** The last signed head. Only the holder of the key could have composed the records up to it. */
    readonly last: AuditHead | undefined
    /** The number of records after it, which no signature covers yet. */
    readonly unsigned: number
    /** The public keys of the signatures. */
    readonly keys: readonly string[]
  }
}

/** A record is not what was written. */
export interface BrokenAudit {
  readonly ok: false
  /** The path of the file, as given. */
  readonly file: string
  /** The first bad line of that file, from 1. */
  readonly line: number
  /** The sequence number expected there. */
  readonly seq: number
  /**
   * `tampered`: a record is not what was written. `truncated`: records are missing. `unsigned`: a key was given, but nothing is
   * signed with it, so anyone could have composed the file.
   */
  readonly kind: 'tampered' | 'truncated' | 'unsigned'
  readonly why: string
}

/** What a verification may know from other sources. */
export interface VerifyOptions {
  /** The public key that must have signed every checkpoint, 32 bytes in lower-case hex. */
  readonly publicKey?: string | undefined
  /** Heads recorded elsewhere, for example in the ledger. The chain must contain them. */
  readonly heads?: readonly AuditHead[] | undefined
  /** Whether the files must be all there are: older ones may only be missing if a record says that they were deleted. */
  readonly complete?: boolean | undefined
}

/** The type of the record that a gateway writes when its audit file lacks records that its ledger knows of. */
export const RECORDS_MISSING = 'audit.records_missing'

const CLOSING: ReadonlySet<string> = new Set(['charge.settled', 'charge.uncertain', 'charge.released'])

/**
 * Verifies an audit file of any size in constant memory, or several files as one chain.
 * @param paths in the order the files were written
 * @throws ConfigError when a file does not exist
 * @throws Error as `node:fs` does when a file cannot be read
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
  /** Heads recorded elsewhere that were not reached yet, the next one last. */
  readonly #awaited: AuditHead[]
  #from: WholeAudit['from'] | undefined
  #head: AuditHead = EMPTY_HEAD
  #records = 0
  #line = 0
  #checkpoints = 0
  #signed: AuditHead | undefined
  /** Where a gateway recorded at its start that records were missing. */
  #missed: BrokenAudit | undefined
  /** Last records of the files that were deleted as configured. */
  readonly #dropped = new Set<unknown>()
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
    // No crash leaves a complete record followed by one wrong byte.
    if (length < MAX_RECORD_BYTES && typeof readRecord(bytes.subarray(0, -1), this.#head) !== 'string') {
      return this.#broken(path, 'tampered', 'its line end was changed')
    }
    if (!last) return this.#broken(path, 'tampered', 'it is incomplete, but other files follow')
    this.#torn = true
    return undefined
  }

  verdict(path: string): AuditVerdict {
    const missing = this.#awaited[0]
    if (missing) {
      const known = `record ${missing.seq} existed, but the file ends with record ${this.#head.seq}`
      return this.#broken(path, 'truncated', known)
    }
    if (this.#missed) return this.#missed
    const { seq: before } = this.#from ?? EMPTY_HEAD
    if (this.#options.complete === true && before > 0 && !this.#dropped.has(before)) {
      const why = `records 1 to ${before} are in no file, and no record says that their files were deleted (audit.retain)`
      return { ...this.#broken(path, 'truncated', why), line: 1, seq: 1 }
    }
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

  /** The checkpoint itself follows what it signs, and is not counted. */
  #unsigned(): number {
    const { seq } = this.#signed ?? this.#from ?? EMPTY_HEAD
    return this.#head.seq - seq - (this.#signed ? 1 : 0)
  }

  /** @returns what is wrong with the line, if anything */
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
      return 'it continues files that are missing, and is not signed'
    }
    if (record.type === DROPPED) this.#dropped.add(record.fields['last_seq'])
    if (record.type === RECORDS_MISSING) {
      this.#missed ??= this.#broken(
        path,
        'truncated',
        'a gateway found at its start that earlier records were missing',
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

  /** Only a continuation may follow records that are missing. @returns what is wrong with the line, if anything */
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

const NOTED_OTHERWISE = 'the ledger recorded another record with this number'

function follow(open: Set<string>, record: AuditRecord): void {
  const charge = record.fields['charge']
  if (typeof charge !== 'string') return
  if (record.type === 'charge.authorized') open.add(charge)
  else if (CLOSING.has(record.type)) open.delete(charge)
}
