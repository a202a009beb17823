/** A ledger over a store and an audit file that can be made to fail. */
import type { BudgetRule } from '../../src/core/budget/budget.ts'
import { TollwayError } from '../../src/core/errors.ts'
import type { TollwayEvent } from '../../src/core/telemetry/events.ts'
import type { AuditSink } from '../../src/io/audit/audit-queue.ts'
import { composeRecord, EMPTY_HEAD, type AuditHead } from '../../src/io/audit/audit-record.ts'
import { Ledger } from '../../src/io/ledger/ledger.ts'
import type { ReserveTerms } from '../../src/io/ledger/ledger-context.ts'
import { memoryStore } from '../../src/io/store/memory/store.ts'
import type { Store } from '../../src/io/store/store.ts'
import { instance, NOW, terms } from '../store/samples.ts'

/** A record as it was written. */
export interface Written {
  readonly type: string
  readonly fields: Readonly<Record<string, unknown>>
}

/** What a disk answers that does not take a record. */
export const noSpace = (): TollwayError =>
  new TollwayError({ code: 'audit_unavailable', message: 'The audit file cannot be written: ENOSPC.' })

/** What a store answers that cannot write. */
export const diskFull = (): TollwayError =>
  new TollwayError({ code: 'store_unavailable', message: 'The ledger cannot be used: the disk is full.' })

/** An audit file in memory that refuses what the real one refuses, and the next records when told to. */
export class FragileAudit implements AuditSink {
  readonly written: Written[] = []
  /** What the next appends answer, in order; `undefined` lets one through. */
  readonly next: (Error | undefined)[] = []
  /** Refuses everything while it is set. */
  outage: Error | undefined
  closed = false
  #head: AuditHead = EMPTY_HEAD

  async append(type: string, fields: Readonly<Record<string, unknown>>): Promise<AuditHead> {
    const failure = this.next.shift() ?? this.outage
    if (failure) throw failure
    this.#head = composeRecord(this.#head, NOW, type, fields).head
    this.written.push({ type, fields })
    return this.#head
  }

  async check(): Promise<void> {
    if (this.outage) throw this.outage
  }

  async close(): Promise<void> {
    this.closed = true
  }

  /** The types of the records of one charge, or of all. */
  types(charge?: string): string[] {
    return this.written
      .filter(({ fields }) => charge === undefined || fields['charge'] === charge)
      .map(({ type }) => type)
  }
}

/** A store whose methods can be replaced while a test runs. */
export function fragileStore(): {
  store: Store
  real: Store
  replaced: Partial<Store>
  counts: Map<string, number>
} {
  const real = memoryStore()
  const replaced: Partial<Store> = {}
  const counts = new Map<string, number>()
  const store = new Proxy(real, {
    get(target, name) {
      const own = Reflect.get(replaced, name) as unknown
      const value = own ?? (Reflect.get(target, name) as unknown)
      if (typeof value !== 'function') return value
      return (...args: unknown[]): unknown => {
        counts.set(String(name), (counts.get(String(name)) ?? 0) + 1)
        return Reflect.apply(value, target, args)
      }
    },
  })
  return { store, real, replaced, counts }
}

/** Five cents a day. */
export const RULES = [
  { name: 'all', limit: 50_000n, window: 'lifetime', timezone: 'UTC' },
] as const satisfies readonly Partial<BudgetRule>[]

/** What a reservation of one tenth of a cent says. */
export function wanted(changes: Partial<ReserveTerms> = {}): ReserveTerms {
  const { id: _id, instance: _instance, reservedAt: _at, leaseUntil: _until, ...rest } = terms(1)
  return { ...rest, amount: 1000n, microUsd: 1000n, ...changes }
}

/** Opens a ledger over parts that can fail. */
export async function openFragile() {
  const audit = new FragileAudit()
  const fragile = fragileStore()
  const events: TollwayEvent[] = []
  let serial = 0
  const ledger = await Ledger.open({
    store: fragile.store,
    audit,
    clock: { now: () => NOW },
    random: (count) => Uint8Array.from({ length: count }, () => (serial++ * 7) % 32),
    instance: instance('ins_one', { host: 'elsewhere' }),
    observers: [(event) => events.push(event)],
  })
  return { ledger, audit, ...fragile, events }
}
