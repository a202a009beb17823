/**
 * What another policy would have done with the same payments. Each charge of the ledger is requested again, in the order of the
 * reservations, from a store with a gateway's own budget arithmetic, and is released when the original was.
 */
import { ANY_PAYEE } from '../../core/policy/payees.ts'
import { findAsset, type Asset } from '../../core/money/assets.ts'
import { claimsFor, fits, NO_TOTALS, type BudgetRule } from '../../core/budget/budget.ts'
import { takenOf, type Charge, type ChargeTerms } from '../../core/charge/charge.ts'
import { toMicroUsd } from '../../core/money/money.ts'
import { windowAt } from '../../core/budget/window.ts'
import { memoryStore } from '../../io/store/memory/store.ts'
import type { Store } from '../../io/store/store.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'
import type { Period } from './period.ts'

/** The part of a configuration that refuses payments. */
export type ReplayPolicy = Pick<ResolvedConfig, 'budgets' | 'policy' | 'assets' | 'payers'>

/** Why a payment would have been refused, by the codes of docs/errors.md. */
export interface Refusal {
  readonly code:
    | 'asset_not_allowed'
    | 'unpriced_asset'
    | 'price_above_limit'
    | 'network_not_allowed'
    | 'payee_not_allowed'
    | 'budget_exhausted'
  /** The budget that refuses. */
  readonly budget?: string | undefined
}

/** Number and value of payments. */
export interface Worth {
  readonly charges: number
  /** Micro-USD, at the other policy's price of the asset. */
  readonly microUsd: bigint
}

/** What the other policy would have done with the payments of a period. */
export interface ReplayResult {
  /** Actual payments: settled, uncertain, or in flight. */
  readonly paid: Worth
  readonly allowed: Worth
  readonly refused: readonly (Refusal & Worth)[]
  /** The first payments that would have been refused, by id. */
  readonly examples: readonly (Refusal & { readonly charge: string })[]
}

/** The assumptions of a replay, for people. */
export const ASSUMPTIONS: readonly string[] = [
  'Every payment of the ledger is asked for again at the instant it was reserved, at the price it had.',
  'Requests that were refused then are not in the ledger: a looser policy shows no payments that were never made.',
  'A client that is refused does not ask again, nor take another route.',
  'Tags are not kept with payments: budgets per tag count all of them as "other".',
  'Payees are checked against policy.sellers only, not against first-use pins; price changes are not checked.',
]

const MAX_EXAMPLES = 100

/** The start of the charges to read: windows that were open when the period began count earlier charges. */
export function replaySince(rules: readonly BudgetRule[], { since }: Period): number {
  const starts = rules.map(({ window, lengthMs, timezone }) =>
    lengthMs === undefined ? windowAt(window, timezone, since).start : since - lengthMs,
  )
  return Math.max(0, Math.min(since, ...starts))
}

/**
 * @param charges oldest first, from {@link replaySince} on
 * @param period the period to report; charges before it only fill the windows
 */
export async function replay(
  charges: AsyncIterable<Charge>,
  policy: ReplayPolicy,
  period: Period,
): Promise<ReplayResult> {
  const store = memoryStore()
  const back = new Returns()
  let paid = NOTHING
  let allowed = NOTHING
  const refused = new Map<string, Refusal & Worth>()
  const examples: (Refusal & { readonly charge: string })[] = []
  for await (const charge of charges) {
    for (const returned of back.until(charge.reservedAt)) await giveBack(store, returned)
    const terms = termsOf(charge, policy.assets)
    const refusal = refusalBy(policy, terms) ?? (await reserve(store, terms, policy.budgets))
    if (refusal === undefined && (charge.state === 'released' || charge.charged !== undefined)) {
      back.add(charge)
    }
    if (charge.reservedAt < period.since || charge.state === 'released') continue
    const taken = takenOf({ ...terms, charged: charge.charged })
    paid = plus(paid, taken)
    if (refusal === undefined) allowed = plus(allowed, taken)
    else {
      const key = `${refusal.code} ${refusal.budget ?? ''}`
      const sum: Worth = refused.get(key) ?? NOTHING
      refused.set(key, { ...refusal, ...plus(sum, taken) })
      if (examples.length < MAX_EXAMPLES) examples.push({ ...refusal, charge: charge.id })
    }
  }
  const rows = [...refused.values()].toSorted((a, b) => b.charges - a.charges)
  return { paid, allowed, refused: rows, examples }
}

const NOTHING: Worth = { charges: 0, microUsd: 0n }

function plus(sum: Worth, { microUsd = 0n }: Pick<ChargeTerms, 'microUsd'>): Worth {
  return { charges: sum.charges + 1, microUsd: sum.microUsd + microUsd }
}

/** The terms again, at the other configuration's price of the asset. */
function termsOf(charge: Charge, assets: readonly Asset[]): ChargeTerms {
  const {
    state: _s,
    proof: _p,
    charged: _c,
    authorization: _a,
    transaction: _t,
    reason: _r,
    updatedAt: _u,
    ...terms
  } = charge
  const asset = findAsset(assets, charge.network, charge.asset)
  const microUsd = asset?.usd && toMicroUsd(charge.amount, asset.decimals, asset.usd)
  return { ...terms, microUsd: asset ? microUsd : charge.microUsd }
}

function refusalBy({ policy, assets, payers }: ReplayPolicy, terms: ChargeTerms): Refusal | undefined {
  const { network, asset, payTo, payer, seller, microUsd } = terms
  if (!findAsset(assets, network, asset)) return { code: 'asset_not_allowed' }
  const networks = payers.get(payer)?.networks
  if (networks && !networks.includes(network)) return { code: 'network_not_allowed' }
  const payees = policy.payTo.get(seller)
  if (payees && payees !== ANY_PAYEE && !payees.includes(payTo)) return { code: 'payee_not_allowed' }
  if (policy.maxMicroUsd === 'none') return undefined
  if (microUsd === undefined) return { code: 'unpriced_asset' }
  return microUsd > policy.maxMicroUsd ? { code: 'price_above_limit' } : undefined
}

async function reserve(
  store: Store,
  terms: ChargeTerms,
  rules: readonly BudgetRule[],
): Promise<Refusal | undefined> {
  const claims = claimsFor(rules, { ...terms, tags: [] }, terms.reservedAt)
  const over = claims.find(
    (claim) => claim.window === 'request' && claim.enforce !== false && !fits(NO_TOTALS, claim),
  )
  if (over) return { code: 'budget_exhausted', budget: over.budget }
  const lasting = claims.filter(({ window }) => window !== 'request')
  const result = await store.reserve(terms, lasting, false)
  return result.ok ? undefined : { code: 'budget_exhausted', budget: result.claim.budget }
}

/** Releases what was released then: all of it, or the part that an `upto` seller did not take. */
async function giveBack(store: Store, charge: Charge): Promise<void> {
  const { id, updatedAt: at, charged, authorization, reservedAt } = charge
  if (charged === undefined || !authorization) {
    await store.move(id, { to: 'released', at, reason: 'replayed' })
    return
  }
  await store.authorize(id, authorization, reservedAt)
  await store.move(id, { to: 'settled', at, reason: 'replayed', proof: 'chain', charged })
}

/** Reservations that were fully or partly released, sorted by time; most were within seconds. */
class Returns {
  readonly #waiting: Charge[] = []

  add(charge: Charge): void {
    const place = this.#waiting.findLastIndex((other) => other.updatedAt <= charge.updatedAt) + 1
    this.#waiting.splice(place, 0, charge)
  }

  /** Removes those released at or before a time. */
  until(at: number): Charge[] {
    const end = this.#waiting.findIndex((other) => other.updatedAt > at)
    return this.#waiting.splice(0, end === -1 ? this.#waiting.length : end)
  }
}
