/** Keeps audit records that the disk would not take, so that none is lost and none is out of order. */
import { TollwayError } from '../../core/errors.ts'
import { recordable } from './audit-recordable.ts'

/** The part of an audit file the ledger needs. */
export interface AuditSink {
  /** Appends a record; with `durable` it resolves only when the record survives a power loss. */
  append(
    type: string,
    fields: Readonly<Record<string, unknown>>,
    options?: { readonly durable?: boolean | undefined },
  ): Promise<unknown>
  /** Rejects when a record could not be written durably now, as far as that can be told without writing one. */
  check?(): Promise<void>
  close(): Promise<void>
}

interface Waiting {
  readonly type: string
  readonly fields: Readonly<Record<string, unknown>>
  readonly written: () => void
}

/**
 * See the file's head. What waits is bounded by what was in flight when the disk began to refuse: new payments
 * are refused before they can add to it.
 */
export class AuditQueue {
  readonly #sink: AuditSink
  readonly #onFailure: () => void
  readonly #waiting: Waiting[] = []
  /** One at a time: two that fail side by side would put their records back in the wrong order. */
  #flushing: Promise<void> | undefined

  constructor(sink: AuditSink, onFailure: () => void) {
    this.#sink = sink
    this.#onFailure = onFailure
  }

  /** Writes a record now or rejects; for what must be on record before it happens. */
  async write(type: string, fields: Readonly<Record<string, unknown>>, durable: boolean): Promise<void> {
    await this.flush()
    await this.#append(type, fields, durable)
  }

  /**
   * Writes a record of what has happened already: when the disk refuses, it waits and paid routes stop.
   * @param written called when it is in the file
   */
  async keep(
    type: string,
    fields: Readonly<Record<string, unknown>>,
    written: () => void = () => undefined,
  ): Promise<void> {
    this.#waiting.push({ type, fields, written })
    await this.flush().catch(() => undefined)
  }

  /** Writes what waits, oldest first. @throws TollwayError `audit_unavailable` while the disk refuses */
  async flush(): Promise<void> {
    if (this.#waiting.length === 0 && !this.#flushing) return
    this.#flushing ??= this.#flushAll()
    await this.#flushing
  }

  /**
   * Writes what waits and asks the file whether it would take more.
   * @throws TollwayError `audit_unavailable` when it would not
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
      // In the same step as the last look at what waits: a record that comes later starts a run of its own.
      this.#flushing = undefined
    }
  }

  async #append(type: string, fields: Readonly<Record<string, unknown>>, durable: boolean): Promise<void> {
    await this.#reach(async () => {
      try {
        await this.#sink.append(type, fields, { durable })
      } catch (error) {
        if (!(error instanceof TypeError)) throw error
        // A name or text from outside looks like a secret, or is too long: it must not keep all others waiting.
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
      const message = 'The audit file cannot be written, so paid routes are closed; nothing was paid.'
      throw new TollwayError({ code: 'audit_unavailable', message, cause })
    }
  }
}
