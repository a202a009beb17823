/** The tombstones of the memory store. */
import { randomBytes } from 'node:crypto'
import type { Charge } from '../../../core/charge/charge.ts'
import { REMEMBERED_MS, requestInProgress, type RequestMark } from '../../../core/request/idempotency.ts'
import type { Tombstone } from '../store.ts'

interface Entry extends RequestMark {
  readonly charge: string
  readonly at: number
  readonly undeliveredAt: number | undefined
}

/** See the file's head. */
export class MemoryTombstones {
  readonly digestKey: Uint8Array = randomBytes(32)
  /** By charge, oldest first. */
  readonly #entries = new Map<string, Entry>()
  readonly #byName = new Map<string, string>()
  readonly #byBody = new Map<string, string[]>()
  readonly #charge: (id: string) => Charge | undefined

  /** @param charge reads a charge of the store */
  constructor(charge: (id: string) => Charge | undefined) {
    this.#charge = charge
  }

  find(
    { name, body }: RequestMark,
    since: number,
  ): { readonly named: Tombstone | undefined; readonly newest: Tombstone | undefined } {
    const named = name === undefined ? undefined : this.#byName.get(name)
    const newest = (this.#byBody.get(body) ?? [])
      .flatMap((charge) => this.#standing(charge, since) ?? [])
      .toSorted((a, b) => a.at - b.at || (a.charge < b.charge ? -1 : 1))
      .at(-1)
    return {
      named: named === undefined ? undefined : this.#tombstone(this.#standing(named, since)),
      newest: this.#tombstone(newest),
    }
  }

  /** Frees a name that nothing holds any more. @throws TollwayError `request_in_progress` */
  claim({ name }: RequestMark, at: number): void {
    const holder = name === undefined ? undefined : this.#byName.get(name)
    if (holder === undefined) return
    if (this.#standing(holder, at - REMEMBERED_MS)) throw requestInProgress()
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

  #standing(charge: string, since: number): Entry | undefined {
    const entry = this.#entries.get(charge)
    if (!entry || entry.at < since || this.#charge(charge)?.state === 'released') return undefined
    return entry
  }

  #tombstone(entry: Entry | undefined): Tombstone | undefined {
    const charge = entry && this.#charge(entry.charge)
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
