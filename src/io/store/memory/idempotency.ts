/** Tombstones of requests in memory. */
import { randomBytes } from 'node:crypto'
import { REMEMBERED_MS, requestInProgress, type RequestMark } from '../../../core/request/idempotency.ts'
import type { FoundTombstones, IdempotencyStore, Tombstone } from '../contracts/idempotency.ts'
import type { InTransaction } from '../synchronous-store.ts'
import type { ChargeTable } from './charge-table.ts'

interface Entry extends RequestMark {
  readonly charge: string
  readonly at: number
  readonly undeliveredAt: number | undefined
}

/** The tombstones of the memory store. */
export class MemoryIdempotency implements InTransaction<IdempotencyStore> {
  readonly #digestKey: Uint8Array = randomBytes(32)
  /** By charge, oldest first. */
  readonly #entries = new Map<string, Entry>()
  readonly #byName = new Map<string, string>()
  readonly #byBody = new Map<string, string[]>()
  readonly #table: ChargeTable

  constructor(table: ChargeTable) {
    this.#table = table
  }

  digestKey(): Uint8Array {
    return this.#digestKey
  }

  tombstones({ name, body }: RequestMark, since: number): FoundTombstones {
    const named = name === undefined ? undefined : this.#byName.get(name)
    const newest = (this.#byBody.get(body) ?? [])
      .flatMap((charge) => this.#valid(charge, since) ?? [])
      .toSorted((a, b) => a.at - b.at || (a.charge < b.charge ? -1 : 1))
      .at(-1)
    return {
      named: named === undefined ? undefined : this.#tombstone(this.#valid(named, since)),
      newest: this.#tombstone(newest),
    }
  }

  /** Frees a name that no valid tombstone holds. @throws TollwayError `request_in_progress` when one does */
  claim({ name }: RequestMark, at: number): void {
    const holder = name === undefined ? undefined : this.#byName.get(name)
    if (holder === undefined) return
    if (this.#valid(holder, at - REMEMBERED_MS)) throw requestInProgress()
    this.#drop(holder)
  }

  insert(charge: string, { name, body }: RequestMark, at: number): void {
    for (const [id, entry] of this.#entries) {
      if (entry.at >= at - REMEMBERED_MS) break
      this.#drop(id)
    }
    this.#entries.set(charge, { charge, name, body, at, undeliveredAt: undefined })
    if (name !== undefined) this.#byName.set(name, charge)
    this.#byBody.set(body, [...(this.#byBody.get(body) ?? []), charge])
  }

  markUndelivered(charge: string, at: number): void {
    const entry = this.#entries.get(charge)
    if (entry) this.#entries.set(charge, { ...entry, undeliveredAt: at })
  }

  #valid(charge: string, since: number): Entry | undefined {
    const entry = this.#entries.get(charge)
    if (!entry || entry.at < since || this.#table.get(charge)?.state === 'released') return undefined
    return entry
  }

  #tombstone(entry: Entry | undefined): Tombstone | undefined {
    const charge = entry && this.#table.get(entry.charge)
    return entry && charge && { charge, body: entry.body, undeliveredAt: entry.undeliveredAt }
  }

  #drop(charge: string): void {
    const entry = this.#entries.get(charge)
    this.#entries.delete(charge)
    if (!entry) return
    if (entry.name !== undefined && this.#byName.get(entry.name) === charge) this.#byName.delete(entry.name)
    const rest = (this.#byBody.get(entry.body) ?? []).filter((other) => other !== charge)
    if (rest.length > 0) this.#byBody.set(entry.body, rest)
    else this.#byBody.delete(entry.body)
  }
}
