/** Keeps audit records that the disk would not take, so that none is lost and none is out of order. */
import { TollwayError } from '../core/errors.ts'

/** The part of an audit file the ledger needs. */
export interface AuditSink {
  /** Appends a record; with `durable` it resolves only when the record survives a power loss. */
  append(
    type: string,
    fields: Readonly<Record<string, unknown>>,
    options?: { readonly durable?: boolean | undefined },
  ): Promise<unknown>
  close(): Promise<void>
}

/** See the file's head. */
export class AuditQueue {
  readonly #sink: AuditSink
  readonly #onFailure: () => void
  readonly #waiting: { readonly type: string; readonly fields: Readonly<Record<string, unknown>> }[] = []

  constructor(sink: AuditSink, onFailure: () => void) {
    this.#sink = sink
    this.#onFailure = onFailure
  }

  /** Writes a record now or rejects; for what must be on record before it happens. */
  async write(type: string, fields: Readonly<Record<string, unknown>>, durable: boolean): Promise<void> {
    await this.flush()
    await this.#append(type, fields, durable)
  }

  /** Writes a record of what has happened already: when the disk refuses, it waits and paid routes stop. */
  async keep(type: string, fields: Readonly<Record<string, unknown>>): Promise<void> {
    this.#waiting.push({ type, fields })
    await this.flush().catch(() => undefined)
  }

  /** Writes what waits. @throws TollwayError `audit_unavailable` while the disk refuses */
  async flush(): Promise<void> {
    for (let next = this.#waiting[0]; next; next = this.#waiting[0]) {
      // Taken before the write, so that a flush running at the same time does not write it twice.
      this.#waiting.shift()
      try {
        await this.#append(next.type, next.fields, false)
      } catch (error) {
        this.#waiting.unshift(next)
        throw error
      }
    }
  }

  async #append(type: string, fields: Readonly<Record<string, unknown>>, durable: boolean): Promise<void> {
    try {
      await this.#sink.append(type, fields, { durable })
    } catch (cause) {
      this.#onFailure()
      if (cause instanceof TollwayError) throw cause
      const message = 'The audit file cannot be written, so paid routes are closed; nothing was paid.'
      throw new TollwayError({ code: 'audit_unavailable', message, cause })
    }
  }
}
