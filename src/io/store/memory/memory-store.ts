/** The store that keeps nothing: for trying things out and for tests. All rules hold, until the process ends. */
import type { Claim, Totals } from '../../../core/budget/budget.ts'
import {
  takenOf,
  type AuthorizationRecord,
  type Charge,
  type ChargeState,
  type ChargeTerms,
} from '../../../core/charge/charge.ts'
import type { RequestMark } from '../../../core/request/idempotency.ts'
import {
  CHARGE_FLAGS,
  isReconcilable,
  type ChargeFlag,
  type ChainFinding,
} from '../../../core/charge/reconcile.ts'
import type { Usage } from '../../../core/stream/usage.ts'
import { mayTakeOver } from '../../../core/vouchers/voucher.ts'
import type { SpendQuery, SpendRow } from '../charge-filter.ts'
import { listCharges, sumCharges } from './memory-charges.ts'
import { MemorySellers } from './memory-sellers.ts'
import { spentBy } from './memory-spent.ts'
import { MemoryTotals } from './memory-sums.ts'
import { MemoryTombstones } from './memory-tombstones.ts'
import { MemoryPurchases } from './memory-purchases.ts'
import { MemoryVouchers } from './memory-vouchers.ts'
import {
  authorizedCharge,
  duplicateCharge,
  heldCharge,
  isLongValid,
  movedCharge,
  payeeDiffers,
  queryLimit,
  refuseAuthorize,
  retiredCharge,
  sharesAfter,
  sharesOf,
  storeClosed,
  takeClaims,
  takenOverCharge,
  unknownCharge,
  unknownInstance,
  type Share,
} from '../rules/charge-rules.ts'
import type {
  AuthorizeRefusal,
  BudgetWindow,
  ChargeQuery,
  Consumption,
  ConsumptionQuery,
  AuditHeadNote,
  Flagged,
  HistoryQuery,
  Instance,
  KnownPrice,
  Move,
  Pin,
  PriceKey,
  Reservation,
  SellerFilter,
  SpentBy,
  Store,
  SubjectTotals,
  TakenOver,
  Tombstone,
  UnprovenQuery,
} from '../store.ts'

/** An empty store in memory. */
export function memoryStore(): Store {
  return new MemoryStore()
}

interface Entry {
  readonly charge: Charge
  readonly shares: readonly Share[]
}

/** Each method decides everything before it changes anything, and never waits in between: so it is a transaction. */
class MemoryStore implements Store {
  readonly kind = 'memory'
  readonly #charges = new Map<string, Entry>()
  readonly #sums = new MemoryTotals((id) => this.#entry(id).charge.state)
  readonly #nonces = new Set<string>()
  readonly #sellers = new MemorySellers()
  readonly purchases = new MemoryPurchases(() => this.#open())
  readonly vouchers = new MemoryVouchers(
    {
      charge: (id) => this.#charges.get(id)?.charge,
      isRecorded: ({ from, network, asset, nonce }) => this.#nonces.has(nonceId(from, network, asset, nonce)),
    },
    () => this.#open(),
    this.purchases,
  )
  readonly #tombstones = new MemoryTombstones((id) => this.#charges.get(id)?.charge)
  /** By charge and flag, in the order they came. */
  readonly #flags = new Map<string, Flagged>()
  readonly #instances = new Map<string, { readonly instance: Instance; readonly retired: boolean }>()
  /** Who is to tell the audit file of a charge's newest move. */
  readonly #untold = new Map<string, string>()
  readonly #usage = new Map<string, Usage>()
  readonly #auditHeads = new Map<string, AuditHeadNote>()
  #closed = false

  async reserve(
    terms: ChargeTerms,
    claims: readonly Claim[],
    pin: boolean,
    mark?: RequestMark,
  ): Promise<Reservation> {
    this.#open()
    if (this.#charges.has(terms.id)) throw duplicateCharge(terms.id)
    if (mark) this.#tombstones.claim(mark, terms.reservedAt)
    const pinned = this.#sellers.pin(terms)
    if (pin && pinned && pinned.payTo !== terms.payTo) throw payeeDiffers(terms)
    const taken = takeClaims(claims, this.#sums)
    if (!taken.ok) return taken
    const charge = heldCharge(terms)
    const shares = sharesOf(claims)
    this.#charges.set(terms.id, { charge, shares })
    this.#sums.take(terms.id, shares, taken.changes)
    if (pin && !pinned) {
      const { apiBase, network, asset, payTo, reservedAt } = terms
      this.#sellers.trustPin({ apiBase, network, asset, payTo, pinnedAt: reservedAt })
    }
    if (mark) this.#tombstones.insert(terms.id, mark, terms.reservedAt)
    const notices = this.#sums.tell(taken.passed)
    return { ok: true, charge, ...(notices.length > 0 ? { notices } : {}) }
  }

  async authorize(id: string, record: AuthorizationRecord, at: number): Promise<Charge | AuthorizeRefusal> {
    const entry = this.#entry(id)
    const refusal = refuseAuthorize(entry.charge, at)
    if (refusal) return refusal
    const charge = authorizedCharge(entry.charge, record, at)
    const { network, asset, authorization } = charge
    const { from, nonce } = authorization ?? record
    const recorded = nonceId(from, network, asset, nonce)
    if (this.#nonces.has(recorded)) return 'nonce_used'
    this.#change(entry, charge)
    this.#nonces.add(recorded)
    return charge
  }

  async takeOver(id: string, record: AuthorizationRecord, at: number): Promise<TakenOver | AuthorizeRefusal> {
    const entry = this.#entry(id)
    const refusal = refuseAuthorize(entry.charge, at)
    if (refusal) return refusal
    const other = [...this.#charges.values()].find((each) => mayTakeOver(each.charge, entry.charge, record))
    const before = other?.charge
    if (!before || !this.vouchers.takeOver(before.id, id)) return 'nonce_used'
    const now = takenOverCharge(before, at)
    const charge = authorizedCharge(entry.charge, record, at)
    this.#change(other, now)
    this.#change(entry, charge)
    this.#untold.set(now.id, charge.instance)
    return { charge, handOver: { now, before } }
  }

  async move(id: string, move: Move): Promise<Charge> {
    const entry = this.#entry(id)
    const charge = movedCharge(entry.charge, move)
    this.#change(entry, charge)
    if (move.by !== undefined) this.#untold.set(id, move.by)
    return charge
  }

  async charge(id: string): Promise<Charge | undefined> {
    this.#open()
    return this.#charges.get(id)?.charge
  }

  async charges(query?: ChargeQuery): Promise<Charge[]> {
    this.#open()
    return listCharges(this.#all(), query)
  }

  async spend(query: SpendQuery): Promise<SpendRow[]> {
    this.#open()
    return sumCharges(this.#all(), query)
  }

  async history(query: HistoryQuery): Promise<Charge[]> {
    this.#open()
    const { since, until, instance, after, longValidAt } = query
    return [...this.#charges.values()]
      .map((entry) => entry.charge)
      .filter(({ reservedAt }) => reservedAt >= since && reservedAt < until)
      .filter((charge) => instance === undefined || charge.instance === instance)
      .filter((charge) => longValidAt === undefined || isLongValid(charge, longValidAt))
      .filter((charge) => after === undefined || byReservation(charge, after) > 0)
      .toSorted(byReservation)
      .slice(0, queryLimit(query))
  }

  async noteAuditHead(head: AuditHeadNote): Promise<void> {
    this.#open()
    this.#auditHeads.set(head.file, head)
  }

  async auditHeads(): Promise<AuditHeadNote[]> {
    this.#open()
    return [...this.#auditHeads.values()].toSorted((a, b) => (a.file < b.file ? -1 : 1))
  }

  async unproven(query: UnprovenQuery): Promise<Charge[]> {
    this.#open()
    const limit = queryLimit(query)
    return [...this.#charges.values()]
      .map((entry) => entry.charge)
      .filter((charge) => isReconcilable(charge) && charge.network === query.network)
      .filter(({ id }) => !this.#flags.has(flagId(id, 'receipt_unproven')) && id > (query.after ?? ''))
      .toSorted((a, b) => compare(a.id, b.id))
      .slice(0, limit)
  }

  async flag(id: string, finding: ChainFinding, at: number): Promise<boolean> {
    this.#entry(id)
    const key = flagId(id, finding.flag)
    if (this.#flags.has(key)) return false
    this.#flags.set(key, { charge: id, flag: finding.flag, detail: finding.detail, at })
    return true
  }

  async unflag(id: string, flags: readonly ChargeFlag[]): Promise<void> {
    this.#open()
    for (const flag of flags) this.#flags.delete(flagId(id, flag))
  }

  async flags(query?: { charge?: string | undefined; limit?: number | undefined }): Promise<Flagged[]> {
    this.#open()
    const limit = queryLimit(query)
    return [...this.#flags.values()]
      .filter(({ charge }) => query?.charge === undefined || charge === query.charge)
      .toSorted((a, b) => b.at - a.at || compare(b.charge, a.charge) || compare(a.flag, b.flag))
      .slice(0, limit)
  }

  async flagCounts(): Promise<{ readonly flag: ChargeFlag; readonly count: number }[]> {
    this.#open()
    return CHARGE_FLAGS.flatMap((flag) => {
      const count = [...this.#flags.values()].filter((entry) => entry.flag === flag).length
      return count === 0 ? [] : [{ flag, count }]
    }).toSorted((a, b) => compare(a.flag, b.flag))
  }

  async sum(state: ChargeState): Promise<{ readonly count: number; readonly microUsd: bigint }> {
    this.#open()
    const charges = [...this.#charges.values()].filter(({ charge }) => charge.state === state)
    return {
      count: charges.length,
      microUsd: charges.reduce((sum, { charge }) => sum + (takenOf(charge).microUsd ?? 0n), 0n),
    }
  }

  async spentBy(since: number, until = Number.MAX_SAFE_INTEGER): Promise<readonly SpentBy[]> {
    this.#open()
    return spentBy(
      [...this.#charges.values()]
        .map(({ charge }) => charge)
        .filter(({ reservedAt }) => reservedAt >= since && reservedAt < until),
    )
  }

  async totals(claims: readonly Claim[]): Promise<Totals[]> {
    this.#open()
    return claims.map((claim) => this.#sums.against(claim))
  }

  async freeAt(claim: Claim): Promise<number | undefined> {
    this.#open()
    return this.#sums.freeAt(claim)
  }

  async subjects(claim: Claim): Promise<SubjectTotals[]> {
    this.#open()
    return this.#sums.subjects(claim)
  }

  async windows(since: number): Promise<BudgetWindow[]> {
    this.#open()
    return this.#sums
      .windows(since)
      .toSorted(
        (a, b) =>
          compare(a.budget, b.budget) ||
          compare(a.subject, b.subject) ||
          compare(a.window, b.window) ||
          a.windowStart - b.windowStart,
      )
  }

  async pins(apiBase?: string): Promise<Pin[]> {
    this.#open()
    return this.#sellers.pins(apiBase)
  }

  async trustPin(pin: Pin): Promise<void> {
    this.#open()
    this.#sellers.trustPin(pin)
  }

  async forgetSeller(apiBase: string): Promise<{ readonly pins: number; readonly prices: number }> {
    this.#open()
    return this.#sellers.forget(apiBase)
  }

  async price(key: PriceKey): Promise<KnownPrice | undefined> {
    this.#open()
    return this.#sellers.price(key)
  }

  async prices(apiBase?: string): Promise<KnownPrice[]> {
    this.#open()
    return this.#sellers.prices(apiBase)
  }

  async notePrice(key: PriceKey, amount: bigint, at: number): Promise<void> {
    this.#open()
    this.#sellers.note(key, amount, at)
  }

  async trustPrice(filter: SellerFilter, amount: bigint, at: number): Promise<KnownPrice[]> {
    this.#open()
    return this.#sellers.trustPrice(filter, amount, at)
  }

  async digestKey(): Promise<Uint8Array> {
    this.#open()
    return this.#tombstones.digestKey
  }

  async tombstones(
    mark: RequestMark,
    since: number,
  ): Promise<{ readonly named: Tombstone | undefined; readonly newest: Tombstone | undefined }> {
    this.#open()
    return this.#tombstones.find(mark, since)
  }

  async markUndelivered(charge: string, at: number): Promise<void> {
    this.#open()
    this.#tombstones.markUndelivered(charge, at)
  }

  async noteUsage(charge: string, usage: Usage): Promise<void> {
    this.#open()
    if (this.#charges.has(charge) && !this.#usage.has(charge)) this.#usage.set(charge, { ...usage })
  }

  async usages(charges: readonly string[]): Promise<ReadonlyMap<string, Usage>> {
    this.#open()
    return new Map(
      charges.flatMap((id) => {
        const usage = this.#usage.get(id)
        return usage ? [[id, usage] as const] : []
      }),
    )
  }

  async consumption({ caller, since }: ConsumptionQuery): Promise<Consumption> {
    this.#open()
    const bought = [...this.#charges.values()]
      .map((entry) => entry.charge)
      .filter((charge) => charge.state !== 'released' && charge.reservedAt >= since)
      .filter((charge) => caller === undefined || charge.caller === caller)
    const usage = bought.flatMap(({ id }) => this.#usage.get(id) ?? [])
    return {
      charges: bought.length,
      microUsd: bought.reduce((sum, charge) => sum + (takenOf(charge).microUsd ?? 0n), 0n),
      inputTokens: usage.reduce((sum, { inputTokens }) => sum + inputTokens, 0),
      outputTokens: usage.reduce((sum, { outputTokens }) => sum + outputTokens, 0),
    }
  }

  async register(instance: Instance): Promise<void> {
    this.#open()
    this.#instances.set(instance.id, { instance: { ...instance }, retired: false })
  }

  async heartbeat(id: string, at: number): Promise<void> {
    this.#open()
    const known = this.#instances.get(id)
    if (!known) throw unknownInstance(id)
    this.#instances.set(id, { ...known, instance: { ...known.instance, heartbeatAt: at } })
  }

  async instances(): Promise<Instance[]> {
    this.#open()
    return [...this.#instances.values()]
      .filter(
        ({ instance: { id }, retired }) =>
          !retired || this.#openEntries(id).length > 0 || [...this.#untold.values()].includes(id),
      )
      .map(({ instance }) => instance)
      .toSorted((a, b) => a.startedAt - b.startedAt || compare(a.id, b.id))
  }

  async retire(id: string, at: number, reason: string, by?: string): Promise<Charge[]> {
    this.#open()
    const moved: Charge[] = []
    for (const entry of this.#openEntries(id)) {
      const charge = retiredCharge(entry.charge, at, reason)
      if (!charge) continue
      this.#change(entry, charge)
      if (by !== undefined) this.#untold.set(charge.id, by)
      moved.push(charge)
    }
    const known = this.#instances.get(id)
    if (known) this.#instances.set(id, { ...known, retired: true })
    return moved.toSorted((a, b) => a.reservedAt - b.reservedAt || compare(a.id, b.id))
  }

  async told(charges: readonly Pick<Charge, 'id' | 'state' | 'proof'>[]): Promise<void> {
    this.#open()
    for (const { id, state, proof } of charges) {
      const stands = this.#charges.get(id)?.charge
      if (stands?.state === state && stands.proof === proof) this.#untold.delete(id)
    }
  }

  async adoptUntold(from: string, to: string): Promise<Charge[]> {
    this.#open()
    const ids = [...this.#untold].flatMap(([id, instance]) => (instance === from ? [id] : []))
    for (const id of ids) this.#untold.set(id, to)
    return ids.map((id) => this.#entry(id).charge).toSorted((a, b) => compare(a.id, b.id))
  }

  async ping(): Promise<void> {
    this.#open()
  }

  async close(): Promise<void> {
    this.#closed = true
  }

  #all(): Charge[] {
    return [...this.#charges.values()].map(({ charge }) => charge)
  }

  #open(): void {
    if (this.#closed) throw storeClosed()
  }

  #entry(id: string): Entry {
    this.#open()
    const entry = this.#charges.get(id)
    if (!entry) throw unknownCharge(id)
    return entry
  }

  #openEntries(instance: string): Entry[] {
    return [...this.#charges.values()].filter(
      ({ charge }) =>
        charge.instance === instance && (charge.state === 'held' || charge.state === 'authorized'),
    )
  }

  #change(entry: Entry, charge: Charge): void {
    const shares = sharesAfter(entry.shares, entry.charge, charge)
    this.#sums.move(charge.id, entry.shares, entry.charge.state, charge.state, shares)
    this.#charges.set(charge.id, { charge, shares })
    this.vouchers.follow(charge)
  }
}

/** One authorization: recorded once for ever (rule 5). */
function nonceId(from: string, network: string, asset: string, nonce: string): string {
  return JSON.stringify([from, network, asset, nonce])
}

function flagId(charge: string, flag: ChargeFlag): string {
  return `${charge} ${flag}`
}

/** Order by code unit, as SQLite's BINARY does for ASCII: every store lists the same way. */
function compare(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}

function byReservation(a: Pick<Charge, 'reservedAt' | 'id'>, b: Pick<Charge, 'reservedAt' | 'id'>): number {
  return a.reservedAt - b.reservedAt || (a.id < b.id ? -1 : Number(a.id > b.id))
}
