/** Tombstones of requests in memory. */
import { randomBytes } from 'node:crypto'
import { REMEMBERED_MS, type RequestMark } from '../../../core/request/idempotency.ts'
import {
  MAX_OTHERS,
  type FoundTombstones,
  type IdempotencyStore,
  type RepeatClaim,
  type Tombstone,
} from '../contracts/idempotency.ts'
import { refuseRepeat } from '../rules/repeat-rules.ts'
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
  readonly #byCall = new Map<string, string[]>()
  readonly #table: ChargeTable

  constructor(table: ChargeTable) {
    this.#table = table
  }

  digestKey(): Uint8Array {
    return this.#digestKey
  }

  tombstones({ name, body, call }: RequestMark, since: number): FoundTombstones {
    const named = name === undefined ? undefined : this.#byName.get(name)
    // In the order of their reservations. Not all are sorted: one body may come many times.
    const last = this.#byBody.get(body)?.findLast((charge) => this.#valid(charge, since))
    const newest = last === undefined ? undefined : this.#entries.get(last)
    const calls = (call === undefined ? undefined : this.#byCall.get(call)) ?? []
    const unlike = calls.filter((charge) => this.#entries.get(charge)?.body !== body)
    const others = this.#newestFirst(unlike, since).filter((entry) => this.#isUnanswered(entry))
    return {
      named: named === undefined ? undefined : this.#tombstone(this.#valid(named, since)),
      newest: this.#tombstone(newest),
      others: others.slice(0, MAX_OTHERS).flatMap((entry) => this.#tombstone(entry) ?? []),
    }
  }

  #newestFirst(charges: readonly string[] = [], since: number): Entry[] {
    return charges
      .flatMap((charge) => this.#valid(charge, since) ?? [])
      .toSorted((a, b) => b.at - a.at || (a.charge < b.charge ? 1 : -1))
  }

  #isUnanswered({ charge, undeliveredAt }: Entry): boolean {
    return this.#table.get(charge)?.state !== 'settled' || undeliveredAt !== undefined
  }

  /** Frees a name that no valid tombstone holds. @throws TollwayError see {@link refuseRepeat} */
  claim(claim: RepeatClaim): void {
    const { mark, instance, at } = claim
    const { name, body, after, cameAt = at } = mark
    const wasRetried = (): boolean =>
      this.#newestFirst(this.#byBody.get(body), cameAt).some(
        ({ charge, presented }) =>
          presented?.isRetry === true && this.#table.get(charge)?.instance !== instance,
      )
    refuseRepeat(claim, this.tombstones(mark, at - REMEMBERED_MS), wasRetried)
    const holder = name === undefined ? undefined : this.#byName.get(name)
    if (holder !== undefined && holder !== after) this.#drop(holder)
  }

  /** A request's second charge is newer than its first, within one millisecond too. */
  insert(charge: string, { name, body, call, after, presented }: RequestMark, now: number): void {
    const first = after === undefined ? undefined : this.#entries.get(after)
    const at = first ? Math.max(now, first.at + 1) : now
    for (const [id, entry] of this.#entries) {
      if (entry.at >= at - REMEMBERED_MS) break
      this.#drop(id)
    }
    this.#entries.set(charge, { charge, name, body, call, presented, at, undeliveredAt: undefined })
    if (name !== undefined) this.#byName.set(name, charge)
    this.#byBody.set(body, [...(this.#byBody.get(body) ?? []), charge])
    if (call !== undefined) this.#byCall.set(call, [...(this.#byCall.get(call) ?? []), charge])
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
    dropFrom(this.#byBody, entry.body, charge)
    if (entry.call !== undefined) dropFrom(this.#byCall, entry.call, charge)
  }
}

function dropFrom(lists: Map<string, string[]>, key: string, charge: string): void {
  const rest = (lists.get(key) ?? []).filter((other) => other !== charge)
  if (rest.length > 0) lists.set(key, rest)
  else lists.delete(key)
}
