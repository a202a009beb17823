/**
 * The same money, added up three times by independent code: from the rows of the ledger, from the records of the audit file,
 * and from the counters of the metrics. Each total covers the charges of this process since it started, in micro-USD.
 */
import { chargedShare, takenOf, type Charge } from '../../core/charge/charge.ts'
import type { Observer, TollwayEvent } from '../../core/telemetry/events.ts'
import { parseAtomic, parseUsd } from '../../core/money/money.ts'
import type { AuditSink } from '../audit/audit-queue.ts'
import type { ChargeStore } from '../store/contracts/charges.ts'
import { isFinal } from './ledger-totals.ts'
import type { Totals } from './totals.ts'

/** The most open charges that are remembered, newest first. Without receipts and nodes, every charge stays open. */
const MAX_OPEN = 100_000

/** Adds up the records that are appended to an audit file. */
export class AuditTotals {
  readonly #instance: string
  #authorized = 0n
  #settled = 0n

  constructor(instance: string) {
    this.#instance = instance
  }

  get sums(): Totals {
    return { authorized: this.#authorized, settled: this.#settled }
  }

  /** Wraps an audit file and counts the records that it accepts. */
  watch(sink: AuditSink): AuditSink {
    return {
      append: async (type, fields, options) => {
        const done = await sink.append(type, fields, options)
        this.#count(type, fields)
        return done
      },
      check: async () => sink.check?.(),
      close: () => sink.close(),
    }
  }

  #count(type: string, fields: Readonly<Record<string, unknown>>): void {
    // Recorded for a dead process, or for a move by another process: not money that this process moved.
    if (fields['instance'] !== this.#instance || fields['told_for'] !== undefined) return
    if (fields['overtaken'] !== undefined) return
    const full = parseUsd(fields['usd']) ?? 0n
    const was = fields['was']
    if (type === 'charge.authorized') this.#authorized += full
    if (type === 'charge.settled')
      this.#settled += recordedShare(full, fields) - (was === 'settled' ? full : 0n)
    if (type === 'charge.released' && was === 'settled') this.#settled -= full
  }
}

function recordedShare(full: bigint, fields: Readonly<Record<string, unknown>>): bigint {
  const [charged, amount] = [parseAtomic(fields['charged']), parseAtomic(fields['amount'])]
  return charged === undefined || amount === undefined ? full : chargedShare(full, charged, amount)
}

/**
 * Corrects for other processes: the counters of the metrics include moves of their charges, and they can move the open charges
 * of this process.
 */
export class MoveWatch {
  readonly #instance: string
  /** The settled micro-USD of own charges that can still change, by id. */
  readonly #open = new Map<string, { readonly counted: bigint }>()
  #ofOthers = 0n
  #foreign = 0n

  constructor(instance: string) {
    this.#instance = instance
  }

  /** Receives the same events as the metrics. */
  readonly observe: Observer = (event) => {
    if (event.type === 'charge') this.#follow(event)
  }

  /** The part of the counters that belongs to other processes' charges, micro-USD; may be negative. */
  get ofOthers(): bigint {
    return this.#ofOthers
  }

  /** What other processes (`tollway reconcile`) settled of this process's charges, micro-USD; may be negative. */
  get foreign(): bigint {
    return this.#foreign
  }

  /** Looks for moves by other processes. Called only when totals differ, because it reads each open charge. */
  async lookForForeign(store: Pick<ChargeStore, 'charge'>): Promise<void> {
    const open = [...this.#open]
    for (const [id, known] of open) {
      const charge = await store.charge(id)
      // This process moved it meanwhile and observed its own event.
      if (!charge || this.#open.get(id) !== known) continue
      const moved = countedOf(charge) - known.counted
      if (moved === 0n) continue
      this.#foreign += moved
      this.#remember(charge)
    }
  }

  #follow({ charge, from }: Extract<TollwayEvent, { type: 'charge' }>): void {
    if (charge.instance === this.#instance) this.#remember(charge)
    else this.#ofOthers += countedOf(charge) - (from === 'settled' ? (charge.microUsd ?? 0n) : 0n)
  }

  #remember(charge: Charge): void {
    this.#open.delete(charge.id)
    if (isFinal(charge) || charge.state === 'held') return
    this.#open.set(charge.id, { counted: countedOf(charge) })
    const [oldest] = this.#open.keys()
    if (this.#open.size > MAX_OPEN && oldest !== undefined) this.#open.delete(oldest)
  }
}

function countedOf(charge: Charge): bigint {
  return charge.state === 'settled' ? (takenOf(charge).microUsd ?? 0n) : 0n
}
