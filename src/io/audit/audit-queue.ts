/** Queues audit records while the disk refuses them, so that none is lost or out of order. */
import { TollwayError } from '../../core/errors.ts'
import { recordable } from './audit-recordable.ts'

/** The part of an audit file that the ledger needs. */
export interface AuditSink {
  /** Appends a record. With `durable`, resolves only when the record survives a power loss. */
  append(
    type: string,
    fields: Readonly<Record<string, unknown>>,
    options?: { readonly durable?: boolean | undefined },
  ): Promise<unknown>
  /** Rejects when a durable record could not be written now, as far as this is known without writing one. */
  check?(): Promise<void>
  close(): Promise<void>
}

interface Waiting {
  readonly type: string
  readonly fields: Readonly<Record<string, unknown>>
  readonly written: () => void
}

/**
 * The queue in front of an audit file. It is bounded by the calls in flight when the disk failed, because new payments are
 * refused then.
 */
export class AuditQueue {
  readonly #sink: AuditSink
  readonly #onFailure: () => void
  readonly #waiting: Waiting[] = []
  /** One flush at a time: two that fail together would put their records back in the wrong order. */
  #flushing: Promise<void> | undefined

  constructor(sink: AuditSink, onFailure: () => void) {
    this.#sink = sink
    this.#onFailure = onFailure
  }

  /** Writes a record now, or rejects: for events that must be recorded before they happen (rule 3). */
  async write(type: string, fields: Readonly<Record<string, unknown>>, durable: boolean): Promise<void> {
    await this.flush()
    await this.#append(type, fields, durable)
  }

  /**
   * Records an event that has already happened. Never rejects: when the disk refuses, the record waits and paid routes refuse.
   * @param written called when the record is in the file
   */
  async keep(
    type: string,
    fields: Readonly<Record<string, unknown>>,
    written: () => void = () => undefined,
  ): Promise<void> {
    this.#waiting.push({ type, fields, written })
    await this.flush().catch(() => undefined)
  }

  /** Writes the waiting records, oldest first. @throws TollwayError `audit_unavailable` while the disk refuses */
  async flush(): Promise<void> {
    if (this.#waiting.length === 0 && !this.#flushing) return
    this.#flushing ??= this.#flushAll()
    await this.#flushing
  }

  /**
   * Writes the waiting records and checks that the file can take more.
   * @throws TollwayError `audit_unavailable` when it cannot
   */
  async check(): Promise<void> {
    await this.flush()
    await this.#reach(async () => this.#sink.check?.())
  }

  async #flushAll(): Promise<void> {
    try {
      for (let next = this.#waiting[0]; next; next = this.#waiting[0]) {
        await this.#append(next.type, next.fields, false)
        this.#waiting.shift()
        next.written()
      }
    } finally {
      // In the same step as the last check of the queue: a record that comes later starts a flush of its own.
      this.#flushing = undefined
    }
  }

  async #append(type: string, fields: Readonly<Record<string, unknown>>, durable: boolean): Promise<void> {
    await this.#reach(async () => {
      try {
        await this.#sink.append(type, fields, { durable })
      } catch (error) {
        if (!(error instanceof TypeError)) throw error
        // A name or text from outside looks like a secret or is too long. It must not block all other records.
        await this.#sink.append(type, recordable(type, fields), { durable })
      }
    })
  }

  async #reach(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (cause) {
      this.#onFailure()
      if (cause instanceof TollwayError) throw cause
      const message = 'The audit file cannot be written, so paid routes refuse. Nothing was paid.'
      throw new TollwayError({ code: 'audit_unavailable', message, cause })
    }
  }
}
