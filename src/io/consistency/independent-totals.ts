/**
 * The same money, added up three times by code that shares nothing: from the rows of the ledger, from the records that
 * went into the audit file, and from the counters of the metrics. Each sum is of the charges this process owns, since it
 * started, in micro-USD.
 */
import { chargedShare, takenOf, type Charge } from '../../core/charge/charge.ts'
import type { Observer, TollwayEvent } from '../../core/telemetry/events.ts'
import { parseAtomic, parseUsd } from '../../core/money/money.ts'
import type { AuditSink } from '../audit/audit-queue.ts'
import type { Store } from '../store/store.ts'

/** What was signed and recorded, and what of it is booked as spent; micro-USD. */
export interface Totals {
  readonly authorized: bigint
  readonly settled: bigint
}

const NOTHING: Totals = { authorized: 0n, settled: 0n }
const PAGE = 500
/** Sellers without receipts leave open every charge that no node proves: the newest are kept. */
const MAX_OPEN = 100_000
/** A clock that was set back must not hide the first charges. */
const MARGIN_MS = 86_400_000

/** Adds up the rows of the ledger, page by page, so that requests go on in between. */
export async function ledgerTotals(
  store: Pick<Store, 'history'>,
  instance: string,
  startedAt: number,
  breathe: () => Promise<void>,
): Promise<Totals> {
  let { authorized, settled } = NOTHING
  let after: Charge | undefined
  for (;;) {
    const page = await store.history({
      since: startedAt - MARGIN_MS,
      until: Number.MAX_SAFE_INTEGER,
      instance,
      after,
      limit: PAGE,
    })
    for (const charge of page) {
      if (charge.authorization) authorized += charge.microUsd ?? 0n
      if (charge.state === 'settled') settled += takenOf(charge).microUsd ?? 0n
    }
    after = page.at(-1)
    if (!after) return { authorized, settled }
    await breathe()
  }
}

/** Adds up what is appended to an audit file. */
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

  /** The same file; what it takes is counted. */
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
    // Told for a dead process, or of a move that another process made: not money this one moved.
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
 * What is needed to compare the counters: they count moves of other processes' charges too. Also knows which own charges
 * another process may still move.
 */
export class MoveWatch {
  readonly #instance: string
  /** What own charges whose spending may still change count here, by id, micro-USD. */
  readonly #open = new Map<string, { readonly counted: bigint }>()
  #ofOthers = 0n
  #foreign = 0n

  constructor(instance: string) {
    this.#instance = instance
  }

  /** Told everything the metrics are told. */
  readonly observe: Observer = (event) => {
    if (event.type === 'charge') this.#follow(event)
  }

  /** What the counters, less their corrections, rightly hold of other processes' charges, micro-USD; may be negative. */
  get ofOthers(): bigint {
    return this.#ofOthers
  }

  /** What other processes (`tollway reconcile`) booked of the own charges since, micro-USD; may be negative. */
  get foreign(): bigint {
    return this.#foreign
  }

  /** Looks for moves that other processes made. Asked for only when sums differ: it reads each open charge. */
  async lookForForeign(store: Pick<Store, 'charge'>): Promise<void> {
    const open = [...this.#open]
    for (const [id, known] of open) {
      const charge = await store.charge(id)
      // Moved by this process meanwhile: its own event told it.
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

/** Whether nobody books it differently any more: of an `upto` payment the chain may prove less after the receipt, too. */
function isFinal({ state, proof, authorization }: Charge): boolean {
  if (state !== 'settled') return state === 'released'
  return proof === 'chain' || (proof === 'receipt' && authorization?.scheme !== 'upto')
}

function countedOf(charge: Charge): bigint {
  return charge.state === 'settled' ? (takenOf(charge).microUsd ?? 0n) : 0n
}
