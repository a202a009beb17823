/**
 * The audit file: one record a line, each chained to the one before, in the order of the calls. Lines go to the
 * system at once; all that must be durable in one turn of the event loop waits for one fdatasync together.
 */
import nodeFs, { constants } from 'node:fs'
import { basename, dirname } from 'node:path'
import type { Clock } from '../core/clock.ts'
import { ConfigError, TollwayError } from '../core/errors.ts'
import { CHECKPOINT, markFields } from './audit-marks.ts'
import { composeRecord, type AuditHead } from './audit-record.ts'
import { archivesOf, continuation, dropArchives, startNextFile } from './audit-rotate.ts'
import type { CheckpointSigner } from './audit-signer.ts'
import { cutTornLine, readTail, sync, writeAll, type AuditFs, type Tail } from './audit-tail.ts'
import { takeLock, type FileLock } from './file-lock.ts'

/** How to open an audit file. */
export interface AuditFileOptions {
  /** Its directory must exist; made with mode 0600 when missing. `<path>.lock` is made beside it. */
  readonly path: string
  readonly clock: Clock
  /** Who writes, for whoever finds the file locked. */
  readonly instance: string
  /** The disk; for tests that let it fail. */
  readonly fs?: AuditFs | undefined
  /** Signs checkpoints; without it there are none. */
  readonly signer?: CheckpointSigner | undefined
  /** Records between two checkpoints; default 1000. */
  readonly checkpointEvery?: number | undefined
  /** Size from which a new file is begun, bytes; default never. */
  readonly rotateBytes?: number | undefined
  /** Whether a new file is begun with the first record of a day (UTC). */
  readonly rotateDaily?: boolean | undefined
  /** How many files that were put away are kept; default all. */
  readonly retain?: number | undefined
}

const CHECKPOINT_EVERY = 1000

/** Bytes that may wait for a sync before one is asked for, durable or not. */
const SYNC_AFTER_BYTES = 262_144
/** Bytes that may wait while the disk refuses to sync; beyond it no record is taken. */
const MAX_UNSYNCED_BYTES = 8_388_608

/**
 * Opens an audit file and continues its chain. A line torn by a crash is moved to `<path>.torn-…`, and the
 * chain goes on with a record `audit.repaired`.
 * @throws ConfigError when the last record was changed from outside, or another process writes the file
 * @throws TollwayError `audit_unavailable` when the disk refuses
 */
export async function openAuditFile(options: AuditFileOptions): Promise<AuditFile> {
  const { path, clock, fs = nodeFs } = options
  const lock = lockFor(options)
  let fd: number | undefined
  try {
    fd = fs.openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600)
    let tail = readTail(fs, fd, path)
    if (tail.end === 0) await syncDirectory(fs, dirname(path))
    const side = tail.torn === 0 ? undefined : await cutTornLine(fs, fd, path, tail, clock.now())
    if (tail.end === 0) tail = (await continueArchive(options, fs, fd)) ?? tail
    const file = new AuditFile({ options, fs, fd, lock, tail, day: dayOf(clock.now()) })
    if (side !== undefined) {
      await file.append('audit.repaired', { bytes: tail.torn, moved_to: side }, { durable: true })
    }
    return file
  } catch (error) {
    if (fd !== undefined) fs.closeSync(fd)
    lock.release()
    throw cannotOpen(error, path)
  }
}

/** A crash in the middle of a rotation: the full file was put away, and the next one not begun. */
async function continueArchive(
  options: AuditFileOptions,
  fs: AuditFs,
  fd: number,
): Promise<Tail | undefined> {
  const archive = archivesOf(options.path).at(-1)
  if (!archive) return undefined
  const old = fs.openSync(archive.path, 'r')
  let head: AuditHead
  try {
    head = readTail(fs, old, archive.path).head
  } finally {
    fs.closeSync(old)
  }
  const first = continuation(head, options.clock.now(), archive.path, options.signer)
  writeAll(fs, fd, first.line, 0)
  await sync(fs, fd)
  return { head: first.head, end: first.line.length, torn: 0 }
}

/** The day of an instant, UTC. */
function dayOf(now: number): string {
  return new Date(now).toISOString().slice(0, 10)
}

function lockFor({ path, instance }: AuditFileOptions): FileLock {
  const lockPath = `${path}.lock`
  let lock: ReturnType<typeof takeLock>
  try {
    lock = takeLock(lockPath, instance)
  } catch (error) {
    throw cannotOpen(error, lockPath)
  }
  if (!('heldBy' in lock)) return lock
  const { pid, host, instance: holder } = lock.heldBy
  throw new ConfigError(
    `The audit file ${path} is being written by process ${pid} on ${host} (${holder}). Stop that gateway, or give this one its own audit.path: an audit file has one writer.`,
  )
}

/** A new file is on the disk only when its directory is. */
async function syncDirectory(fs: AuditFs, path: string): Promise<void> {
  const fd = fs.openSync(path, 'r')
  try {
    await sync(fs, fd)
  } finally {
    fs.closeSync(fd)
  }
}

function cannotOpen(error: unknown, path: string): unknown {
  if (error instanceof ConfigError || error instanceof TollwayError) return error
  return new TollwayError({
    code: 'audit_unavailable',
    message: `The audit file ${path} cannot be opened (${reasonOf(error)}).`,
    advice: ['Create its directory and let Tollway write there, or change audit.path.'],
    cause: error,
  })
}

function unavailable(why: string, cause?: unknown): TollwayError {
  return new TollwayError({
    code: 'audit_unavailable',
    message: `The audit file cannot be written: ${why}.`,
    cause,
  })
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown error'
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message
}

interface Parts {
  readonly options: AuditFileOptions
  readonly fs: AuditFs
  readonly fd: number
  readonly lock: FileLock
  readonly tail: Tail
  /** The day the file was opened, or begun: with the next one a daily rotation is due. */
  readonly day: string
}

interface Waiter {
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** An audit file that is open for writing. Made by {@link openAuditFile}. */
export class AuditFile {
  readonly #options: AuditFileOptions
  readonly #fs: AuditFs
  #fd: number
  readonly #clock: Clock
  readonly #lock: FileLock
  #head: AuditHead
  #durableHead: AuditHead
  #day: string
  #sinceCheckpoint = 0
  /** The size from which the next rotation is tried. */
  #rotateFrom: number
  /** Where the next record goes. */
  #end: number
  /** Up to where the file is durable, and the lines behind that: a failed sync may have lost them. */
  #syncedEnd: number
  #unsynced: Buffer[] = []
  #waiting: Waiter[] = []
  #syncing = false
  #scheduled = false
  /** Part of a line may lie behind the end. */
  #torn = false
  /** A sync failed: the system may have dropped what it could not write, and would call the next sync a success. */
  #doubtful = false
  #closed = false

  constructor(parts: Parts) {
    this.#options = parts.options
    this.#fs = parts.fs
    this.#fd = parts.fd
    this.#clock = parts.options.clock
    this.#lock = parts.lock
    this.#day = parts.day
    this.#rotateFrom = parts.options.rotateBytes ?? Infinity
    this.#head = parts.tail.head
    this.#durableHead = parts.tail.head
    this.#end = parts.tail.end
    this.#syncedEnd = parts.tail.end
  }

  /**
   * Appends a record. Calls are written in their order, before they return their promise.
   * @param fields plain data, money as bigint or string; see `composeRecord`
   * @param options `durable`: resolves only when the record survives a power loss
   * @returns the record's number and hash
   * @throws TollwayError `audit_unavailable`; without a durable record nothing may be sent, and a later append tries anew
   * @throws TypeError for fields that must not be recorded
   */
  async append(
    type: string,
    fields: Readonly<Record<string, unknown>>,
    options: { readonly durable?: boolean | undefined } = {},
  ): Promise<AuditHead> {
    if (this.#closed) throw unavailable('it is closed')
    const { line, head } = composeRecord(this.#head, this.#clock.now(), type, fields)
    this.#write(line)
    this.#head = head
    this.#sinceCheckpoint += 1
    if (this.#sinceCheckpoint >= (this.#options.checkpointEvery ?? CHECKPOINT_EVERY)) this.checkpoint()
    if (options.durable === true) await this.#durable()
    return head
  }

  /** The last record's number and hash. */
  head(): AuditHead {
    return this.#head
  }

  /** The last record that is known to survive a power loss. */
  durableHead(): AuditHead {
    return this.#durableHead
  }

  /** Signs the head, when there is a key and something new to sign. A disk that refuses is asked again at the next record. */
  checkpoint(): void {
    const { signer } = this.#options
    if (!signer || this.#closed || this.#sinceCheckpoint === 0) return
    const now = this.#clock.now()
    const fields = markFields(this.#head, new Date(now).toISOString(), signer)
    const { line, head } = composeRecord(this.#head, now, CHECKPOINT, fields)
    try {
      this.#write(line)
    } catch (error) {
      if (error instanceof TollwayError) return
      throw error
    }
    this.#head = head
    this.#sinceCheckpoint = 0
  }

  /**
   * Resolves when the next record would be taken and made durable: the file is still the one that was opened, and
   * the disk syncs it now, also what a failed sync may have lost.
   * @throws TollwayError `audit_unavailable`
   */
  async check(): Promise<void> {
    if (this.#closed) throw unavailable('it is closed')
    try {
      this.#cut()
      this.#refuseForeignChanges()
    } catch (error) {
      throw unavailable(reasonOf(error), error)
    }
    await this.#durable()
  }

  /** Makes everything durable and lets the file go. @throws TollwayError `audit_unavailable` when the last sync fails */
  async close(): Promise<void> {
    if (this.#closed) return
    this.checkpoint()
    this.#closed = true
    try {
      await this.#durable()
    } finally {
      this.#fs.closeSync(this.#fd)
      this.#lock.release()
    }
  }

  #write(line: Buffer): void {
    try {
      this.#cut()
      this.#refuseForeignChanges()
      this.#refuseBacklog()
      this.#torn = true
      writeAll(this.#fs, this.#fd, line, this.#end)
      this.#torn = false
    } catch (error) {
      this.#tryCut()
      throw unavailable(reasonOf(error), error)
    }
    this.#end += line.length
    this.#unsynced.push(line)
    if (this.#doubtful || this.#end - this.#syncedEnd > SYNC_AFTER_BYTES || this.#rotationDue())
      this.#schedule()
  }

  /** While the disk hangs or fails, what it has not taken is kept in memory: not without end. */
  #refuseBacklog(): void {
    if (this.#end - this.#syncedEnd <= MAX_UNSYNCED_BYTES) return
    this.#schedule()
    if (this.#doubtful || this.#syncing) throw new Error('the disk does not take what was written before')
  }

  /** Cuts off what a failed write left, so that the next record follows the last whole one. */
  #cut(): void {
    if (!this.#torn) return
    this.#fs.ftruncateSync(this.#fd, this.#end)
    this.#torn = false
  }

  #tryCut(): void {
    try {
      this.#cut()
    } catch {
      // The next append tries again, and is refused until it succeeds.
    }
  }

  #refuseForeignChanges(): void {
    const { size, nlink } = this.#fs.fstatSync(this.#fd)
    if (nlink === 0) throw new Error('it was deleted; restart Tollway to begin a new one')
    if (size !== this.#end) throw new Error('something else changed it; run `tollway audit verify`')
  }

  #durable(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
      this.#schedule()
    })
  }

  #schedule(): void {
    if (this.#scheduled || this.#syncing) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#syncing = true
      void this.#sync().finally(() => {
        this.#syncing = false
        if (this.#waiting.length > 0) this.#schedule()
      })
    })
  }

  async #sync(): Promise<void> {
    const waiting = this.#waiting
    const [end, lines, head] = [this.#end, this.#unsynced.length, this.#head]
    this.#waiting = []
    try {
      if (this.#doubtful) this.#rewrite()
      await sync(this.#fs, this.#fd)
    } catch (error) {
      this.#doubtful = true
      for (const waiter of waiting) waiter.reject(unavailable(reasonOf(error), error))
      return
    }
    this.#doubtful = false
    this.#syncedEnd = end
    this.#durableHead = head
    this.#unsynced = this.#unsynced.slice(lines)
    for (const waiter of waiting) waiter.resolve()
    if (this.#rotationDue()) this.#rotate()
  }

  #rotationDue(): boolean {
    if (this.#closed) return false
    return (
      this.#end >= this.#rotateFrom ||
      (this.#options.rotateDaily === true && this.#day !== dayOf(this.#clock.now()))
    )
  }

  /** Called between two syncs: nothing is on its way to the disk. A rotation that fails is tried again later. */
  #rotate(): void {
    const { path, signer, rotateBytes, retain } = this.#options
    const now = this.#clock.now()
    this.checkpoint()
    try {
      this.#cut()
      this.#refuseForeignChanges()
      this.#fs.fsyncSync(this.#fd)
      const next = startNextFile(this.#fs, path, this.#head, now, signer)
      this.#fs.closeSync(this.#fd)
      this.#fd = next.fd
      this.#head = next.head
      this.#durableHead = next.head
      this.#end = next.end
      this.#syncedEnd = next.end
      this.#unsynced = []
      this.#rotateFrom = rotateBytes ?? Infinity
    } catch {
      // The old file goes on; not tried with every record, as each try costs a sync.
      this.#rotateFrom = this.#end + Math.max(1, Math.floor((rotateBytes ?? 0) / 8))
      return
    } finally {
      this.#day = dayOf(now)
    }
    if (retain !== undefined) this.#retain(retain)
  }

  /** The record that a file went stands in the chain, and the next file's first record stands for what was in it. */
  #retain(keep: number): void {
    let dropped: readonly { readonly path: string; readonly lastSeq: number }[] = []
    try {
      dropped = dropArchives(this.#options.path, keep)
    } catch {
      // What could not be deleted is tried again after the next rotation.
    }
    for (const { path, lastSeq } of dropped) {
      void this.append('audit.dropped', { file: basename(path), last_seq: lastSeq }).catch(() => undefined)
    }
  }

  #rewrite(): void {
    let position = this.#syncedEnd
    for (const line of this.#unsynced) {
      writeAll(this.#fs, this.#fd, line, position)
      position += line.length
    }
  }
}
