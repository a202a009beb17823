/** Writes an open audit file: each record at once, with one fdatasync for all records of a turn, and rotates it between two syncs. */
import { basename, dirname } from 'node:path'
import type { Clock } from '../../core/clock.ts'
import { TollwayError } from '../../core/errors.ts'
import type { AuditFileOptions } from './audit-options.ts'
import { CHECKPOINT, DROPPED, markFields } from './audit-marks.ts'
import { composeRecord, type AuditHead } from './audit-record.ts'
import { continueAtPath, whatBecameOf } from './audit-path.ts'
import { dayOf, dropArchives, startNextFile, type NextFile } from './audit-rotate.ts'
import { reasonOf, sync, unavailable, writeAll, type AuditFs, type Tail } from './audit-tail.ts'
import type { FileLock } from '../files/file-lock.ts'
import { syncDirectory } from '../files/sync-directory.ts'

const CHECKPOINT_EVERY = 1000

/** Number of unsynced bytes that start a sync, even when no record has to be durable. */
const SYNC_AFTER_BYTES = 262_144
/** Number of unsynced bytes, while the disk fails to sync, from which records are refused. */
const MAX_UNSYNCED_BYTES = 8_388_608

/** What {@link AuditFile} works with. */
export interface AuditFileContext {
  readonly options: AuditFileOptions
  readonly fs: AuditFs
  readonly fd: number
  readonly lock: FileLock
  readonly tail: Tail
  /** The day on which the file was opened or started (UTC). A daily rotation is due on the next day. */
  readonly day: string
}

interface Waiter {
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** An audit file that is open for writing. Created by `openAuditFile`. */
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
  /** The size at which the next rotation is tried. */
  #rotateFrom: number
  /** Where the next record goes. */
  #end: number
  /** Up to where the file is durable, and the lines after that, which a failed sync may have lost. */
  #syncedEnd: number
  #unsynced: Buffer[] = []
  #waiting: Waiter[] = []
  #syncing = false
  #scheduled = false
  /** Part of a line may follow the end. */
  #torn = false
  /** A sync failed: the system may have dropped what it could not write, and the next sync would still succeed. */
  #doubtful = false
  /** The new file names of a rotation may not be durable yet. */
  #namesDoubtful = false
  #closed = false
  /** How many files the chain was continued in. A sync of an earlier one says nothing about the present one. */
  #files = 0
  /** Files that the chain left while a sync used them. */
  #left: number[] = []

  constructor(context: AuditFileContext) {
    this.#options = context.options
    this.#fs = context.fs
    this.#fd = context.fd
    this.#clock = context.options.clock
    this.#lock = context.lock
    this.#day = context.day
    this.#rotateFrom = context.options.rotateBytes ?? Infinity
    this.#head = context.tail.head
    this.#durableHead = context.tail.head
    this.#end = context.tail.end
    this.#syncedEnd = context.tail.end
    // The first record is signed at once: anyone could have composed a chain without a signature.
    this.#sinceCheckpoint = (context.options.checkpointEvery ?? CHECKPOINT_EVERY) - 1
  }

  /**
   * Appends a record. The record is written before the call returns its promise, so records keep the order of the calls.
   * @param fields plain data, money as bigint or string; see `composeRecord`
   * @param options `durable`: resolves only when the record survives a power loss
   * @returns the record's number and hash
   * @throws TollwayError `audit_unavailable`; without a durable record nothing may be sent. Later calls try again.
   * @throws TypeError for fields that must not be recorded
   */
  async append(
    type: string,
    fields: Readonly<Record<string, unknown>>,
    options: { readonly durable?: boolean | undefined } = {},
  ): Promise<AuditHead> {
    if (this.#closed) throw unavailable('it is closed')
    this.#prepare()
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

  /** Takes the lock again if its files were deleted; called on a timer. @throws Error when another process took it */
  tend(): void {
    if (!this.#closed) this.#lock.tend()
  }

  /** Signs the head if there is a key and a new record. If the disk refuses, the next record tries again. */
  checkpoint(): void {
    const { signer } = this.#options
    if (!signer || this.#closed || this.#sinceCheckpoint === 0) return
    const now = this.#clock.now()
    try {
      this.#prepare()
      const fields = markFields(this.#head, new Date(now).toISOString(), signer)
      const { line, head } = composeRecord(this.#head, now, CHECKPOINT, fields)
      this.#write(line)
      this.#head = head
    } catch (error) {
      if (error instanceof TollwayError) return
      throw error
    }
    this.#sinceCheckpoint = 0
  }

  /**
   * Resolves when a record could be written durably now: the file is still the one that was opened, and the disk has synced it,
   * including what a failed sync may have lost.
   * @throws TollwayError `audit_unavailable`
   */
  async check(): Promise<void> {
    if (this.#closed) throw unavailable('it is closed')
    try {
      this.#lock.tend()
      this.#cut()
      this.#followPath()
    } catch (error) {
      throw unavailable(reasonOf(error), error)
    }
    await this.#durable()
  }

  /** Makes everything durable and closes the file. @throws TollwayError `audit_unavailable` when the last sync fails */
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

  /** Makes the next record follow the last complete one, at the file's path. Called before a record is composed. */
  #prepare(): void {
    try {
      this.#cut()
      this.#followPath()
      this.#refuseBacklog()
    } catch (error) {
      this.#tryCut()
      throw unavailable(reasonOf(error), error)
    }
  }

  #write(line: Buffer): void {
    try {
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

  /** Bounds the memory of unsynced records while the disk hangs or fails. */
  #refuseBacklog(): void {
    if (this.#end - this.#syncedEnd <= MAX_UNSYNCED_BYTES) return
    this.#schedule()
    if (this.#doubtful || this.#syncing) throw new Error('the disk has not synced earlier records')
  }

  /** Removes what a failed write left, so that the next record follows the last complete one. */
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

  /** Continues the chain at the path when the file there is no longer the one that was written. */
  #followPath(): void {
    const { path, signer, onReplaced } = this.#options
    const why = whatBecameOf(this.#fs, this.#fd, path, this.#end)
    if (why === undefined) return
    const [fs, fd, head, now] = [this.#fs, this.#fd, this.#head, this.#clock.now()]
    const next = continueAtPath({ fs, fd, path, head, now, signer }, why)
    this.#startAt(next)
    this.#day = dayOf(now)
    onReplaced?.(why)
  }

  /** Continues in another file. The old one is closed once no sync uses it. */
  #startAt({ fd, head, end }: NextFile): void {
    const old = this.#fd
    if (old !== fd && this.#syncing) this.#left.push(old)
    else if (old !== fd) this.#fs.closeSync(old)
    this.#fd = fd
    this.#files += 1
    this.#head = head
    this.#durableHead = head
    this.#end = end
    this.#syncedEnd = end
    this.#unsynced = []
    this.#doubtful = false
    this.#torn = false
    this.#rotateFrom = this.#options.rotateBytes ?? Infinity
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
    const [end, lines, head, file] = [this.#end, this.#unsynced.length, this.#head, this.#files]
    this.#waiting = []
    try {
      if (this.#doubtful) this.#rewrite()
      await sync(this.#fs, this.#fd)
      if (this.#namesDoubtful) syncDirectory(dirname(this.#options.path), this.#fs)
      this.#namesDoubtful = false
    } catch (error) {
      this.#doubtful ||= file === this.#files
      for (const waiter of waiting) waiter.reject(unavailable(reasonOf(error), error))
      return
    } finally {
      for (const left of this.#left.splice(0)) this.#fs.closeSync(left)
    }
    if (file !== this.#files) {
      // The chain went on elsewhere meanwhile; what it left behind was synced there.
      for (const waiter of waiting) waiter.resolve()
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

  /** Called between two syncs, while nothing is being written. A failed rotation is tried again later. */
  #rotate(): void {
    const { path, signer, rotateBytes, retain } = this.#options
    const now = this.#clock.now()
    this.checkpoint()
    try {
      this.#cut()
      this.#followPath()
      this.#fs.fsyncSync(this.#fd)
      const next = startNextFile(this.#fs, path, this.#head, now, signer)
      this.#startAt(next)
      this.#namesDoubtful = next.doubt !== undefined
    } catch {
      // The old file continues. Not tried with every record, because each attempt costs a sync.
      this.#rotateFrom = this.#end + Math.max(1, Math.floor((rotateBytes ?? 0) / 8))
      return
    } finally {
      this.#day = dayOf(now)
    }
    if (retain !== undefined) this.#retain(retain)
  }

  /** Deletes old files and records it in the chain. The first record of the next file still proves what they contained. */
  #retain(keep: number): void {
    let dropped: readonly { readonly path: string; readonly lastSeq: number }[] = []
    try {
      dropped = dropArchives(this.#options.path, keep)
    } catch {
      // Files that could not be deleted are tried again after the next rotation.
    }
    for (const { path, lastSeq } of dropped) {
      void this.append(DROPPED, { file: basename(path), last_seq: lastSeq }).catch(() => undefined)
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
