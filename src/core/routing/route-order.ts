/** The order in which the candidates of one request are tried. Pure: chance, prices and health are given. */
import type { Candidate } from './route.ts'

/** How candidates of one rank are put in order. `order`: as configured · `weighted`: by chance · `cheapest`: by known price. */
export const STRATEGIES = ['order', 'weighted', 'cheapest'] as const

/** One of {@link STRATEGIES}. */
export type Strategy = (typeof STRATEGIES)[number]

/** What is known when a request is routed. */
export interface OrderFacts {
  readonly strategy: Strategy
  /** 0 up to, not including, 1. */
  random(): number
  /** Micro-USD of one request; `undefined` while unknown. */
  price(candidate: Candidate): bigint | undefined
  /** Whether an unknown price should be learnt now by asking this candidate first. */
  learns(candidate: Candidate): boolean
  /** Whether a candidate has failed too often of late. */
  cools(candidate: Candidate): boolean
  /** Whether this session's last answer came from it. */
  stays(candidate: Candidate): boolean
}

/**
 * Puts the candidates in order: by rank, inside a rank by the strategy, the session's own one before the others of its rank.
 * What cools down goes to the end and stays a candidate: a request is not refused for want of health alone.
 * @returns all of them, each once
 */
export function arrange(candidates: readonly Candidate[], facts: OrderFacts): Candidate[] {
  const ranks = [...new Set(candidates.map(rankOf))].toSorted((a, b) => a - b)
  const ordered = ranks.flatMap((rank) => {
    const group = candidates.filter((candidate) => rankOf(candidate) === rank)
    const sorted = group.length < 2 ? group : byStrategy(group, facts)
    return [...sorted.filter((one) => facts.stays(one)), ...sorted.filter((one) => !facts.stays(one))]
  })
  const cooling = new Set(ordered.filter((candidate) => facts.cools(candidate)))
  return [...ordered.filter((candidate) => !cooling.has(candidate)), ...cooling]
}

function rankOf(candidate: Candidate): number {
  return candidate.rank ?? 0
}

function byStrategy(group: readonly Candidate[], facts: OrderFacts): Candidate[] {
  switch (facts.strategy) {
    case 'order':
      return [...group]
    case 'weighted':
      return byWeight(group, facts)
    case 'cheapest':
      return byPrice(group, facts)
    default:
      return facts.strategy satisfies never
  }
}

/** Drawn one after the other without putting back, so that also the second try follows the weights. */
function byWeight(group: readonly Candidate[], facts: OrderFacts): Candidate[] {
  const left = [...group]
  const drawn: Candidate[] = []
  for (;;) {
    const total = left.reduce((sum, candidate) => sum + weightOf(candidate), 0)
    // What weighs nothing is there for when nothing else is.
    if (total <= 0) return [...drawn, ...left]
    let at = facts.random() * total
    const index = left.findIndex((candidate) => {
      at -= weightOf(candidate)
      return at < 0
    })
    const found = left.splice(index < 0 ? left.findLastIndex((one) => weightOf(one) > 0) : index, 1)
    drawn.push(...found)
  }
}

function weightOf({ route }: Candidate): number {
  return route.weight ?? 1
}

/** Prices to learn first, then known ones from the lowest, then the rest as configured. */
function byPrice(group: readonly Candidate[], facts: OrderFacts): Candidate[] {
  const priced = group.map((candidate) => {
    const price = facts.price(candidate)
    return { candidate, price, learns: price === undefined && facts.learns(candidate) }
  })
  return priced
    .toSorted((a, b) => {
      if (a.learns !== b.learns) return a.learns ? -1 : 1
      if (a.price === undefined || b.price === undefined) {
        return Number(a.price === undefined) - Number(b.price === undefined)
      }
      return a.price < b.price ? -1 : Number(a.price > b.price)
    })
    .map(({ candidate }) => candidate)
}
