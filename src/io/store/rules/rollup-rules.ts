/**
 * Sums of charges by what they were spent on. A charge is added once it is closed (settled, uncertain or released); the few that
 * are open are read one by one. Independent of how a store keeps the sums.
 */
import { askedModel, takenOf, type Charge, type ChargeState } from '../../../core/charge/charge.ts'
import type { Usage } from '../../../core/stream/usage.ts'

/** What charges that are added up have in common. */
export interface SpendNames {
  readonly route: string
  /** The model as the client named it. */
  readonly model: string
  /** The model that the seller was asked for; as the client named it where that is not known. */
  readonly remoteModel: string
  readonly payer: string
  /** The seller's origin. */
  readonly seller: string
  readonly caller: string
  /** CAIP-2. */
  readonly network: string
  /** The asset's. */
  readonly symbol: string
  readonly decimals: number
}

/** Sums over charges. Amounts in smallest units, values in micro-USD; charges without a USD value count as 0 there. */
export interface SpendSums {
  readonly charges: number
  /** How many of them have no USD value. */
  readonly unpriced: number
  readonly signed: bigint
  readonly signedMicroUsd: bigint
  /** What the chain proved was taken, where that is less than what was signed. */
  readonly taken: bigint
  readonly takenMicroUsd: bigint
  readonly inputTokens: bigint
  readonly outputTokens: bigint
}

/** No charges. */
export const NO_SUMS: SpendSums = {
  charges: 0,
  unpriced: 0,
  signed: 0n,
  signedMicroUsd: 0n,
  taken: 0n,
  takenMicroUsd: 0n,
  inputTokens: 0n,
  outputTokens: 0n,
}

/** The states whose charges are in the sums. */
export const CLOSED_STATES = ['settled', 'uncertain', 'released'] as const

/** Whether a charge in this state is in the sums. */
export function isClosed(state: ChargeState): state is (typeof CLOSED_STATES)[number] {
  return state !== 'held' && state !== 'authorized'
}

/** What a charge is added up by. */
export function namesOf(charge: Charge): SpendNames {
  const { route, model, payer, seller, caller, network, symbol, decimals } = charge
  return { route, model, remoteModel: askedModel(charge), payer, seller, caller, network, symbol, decimals }
}

/** The tags `name:value` that a charge is added up by: of each name the first. */
export function countedTags({ tags = [] }: Pick<Charge, 'tags'>): string[] {
  const first = new Map<string, string>()
  for (const tag of tags) {
    const colon = tag.indexOf(':')
    const name = tag.slice(0, colon)
    if (colon > 0 && !first.has(name)) first.set(name, tag)
  }
  return [...first.values()]
}

/** The sums of one charge. */
export function sumsOf(charge: Charge, usage: Usage | undefined): SpendSums {
  const taken = takenOf(charge)
  return {
    charges: 1,
    unpriced: charge.microUsd === undefined ? 1 : 0,
    signed: charge.amount,
    signedMicroUsd: charge.microUsd ?? 0n,
    taken: taken.amount,
    takenMicroUsd: taken.microUsd ?? 0n,
    inputTokens: BigInt(usage?.inputTokens ?? 0),
    outputTokens: BigInt(usage?.outputTokens ?? 0),
  }
}

/** Two sums together. */
export function addSums(a: SpendSums, b: SpendSums): SpendSums {
  return {
    charges: a.charges + b.charges,
    unpriced: a.unpriced + b.unpriced,
    signed: a.signed + b.signed,
    signedMicroUsd: a.signedMicroUsd + b.signedMicroUsd,
    taken: a.taken + b.taken,
    takenMicroUsd: a.takenMicroUsd + b.takenMicroUsd,
    inputTokens: a.inputTokens + b.inputTokens,
    outputTokens: a.outputTokens + b.outputTokens,
  }
}

/** Sums to be taken away, for {@link addSums}. */
export function lessSums(sums: SpendSums): SpendSums {
  return {
    charges: -sums.charges,
    unpriced: -sums.unpriced,
    signed: -sums.signed,
    signedMicroUsd: -sums.signedMicroUsd,
    taken: -sums.taken,
    takenMicroUsd: -sums.takenMicroUsd,
    inputTokens: -sums.inputTokens,
    outputTokens: -sums.outputTokens,
  }
}

/** From the first instant until before the second, milliseconds since the epoch. */
export interface Span {
  readonly from: number
  readonly to: number
}

/** Sums are kept by quarter of an hour, because that divides the day of every time zone, and by day (UTC). */
export const QUARTER_MS = 900_000
const DAY_MS = 86_400_000
/** What a date can be; both are multiples of a day. */
const MAX_MS = 8_640_000_000_000_000

/** The parts of a span: whole days, whole quarters of an hour, and what is left at its ends. */
export function partsOf(span: Partial<Span>): {
  readonly days: readonly Span[]
  readonly quarters: readonly Span[]
  readonly ends: readonly Span[]
} {
  const { from, to } = { from: span.from ?? -MAX_MS, to: span.to ?? MAX_MS }
  if (from >= to) return { days: [], quarters: [], ends: [] }
  const quarters = within({ from, to }, QUARTER_MS)
  if (!quarters) return { days: [], quarters: [], ends: [{ from, to }] }
  const days = within(quarters, DAY_MS)
  return {
    days: days ? [days] : [],
    quarters: days ? around(quarters, days) : [quarters],
    ends: around({ from, to }, quarters),
  }
}

/** The starts of the day and of the quarter of an hour that an instant belongs to. */
export function tileStarts(at: number): { readonly day: number; readonly quarter: number } {
  return { day: Math.floor(at / DAY_MS) * DAY_MS, quarter: Math.floor(at / QUARTER_MS) * QUARTER_MS }
}

function within({ from, to }: Span, ms: number): Span | undefined {
  const inner = { from: Math.ceil(from / ms) * ms, to: Math.floor(to / ms) * ms }
  return inner.from < inner.to ? inner : undefined
}

function around(outer: Span, inner: Span): Span[] {
  return [
    { from: outer.from, to: inner.from },
    { from: inner.to, to: outer.to },
  ].filter(({ from, to }) => from < to)
}
