/** The order in which the candidates of one request are tried. Pure: random numbers, prices and health are passed in. */
import type { Candidate } from './route.ts'

/** How candidates of one rank are ordered. `order`: as configured. `weighted`: at random, by weight. `cheapest`: by known price. */
export const STRATEGIES = ['order', 'weighted', 'cheapest'] as const

/** One of {@link STRATEGIES}. */
export type Strategy = (typeof STRATEGIES)[number]

/** What is known when a request is routed. */
export interface OrderFacts {
  readonly strategy: Strategy
  /** From 0 up to, but not including, 1. */
  random(): number
  /** Micro-USD per request; `undefined` while unknown. */
  price(candidate: Candidate): bigint | undefined
  /** Whether this candidate should be tried first to learn its price. */
  learns(candidate: Candidate): boolean
  /** Whether the candidate is cooling down. */
  cools(candidate: Candidate): boolean
  /** Whether the candidate gave this session's last answer. */
  stays(candidate: Candidate): boolean
}

/**
 * Orders the candidates by rank, and within a rank by the strategy; the one that answered the session before goes first within
 * its rank. Candidates that are cooling down go last but remain candidates: no request is refused for bad health alone.
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

/** Draws without replacement, so that the second choice follows the weights too. */
function byWeight(group: readonly Candidate[], facts: OrderFacts): Candidate[] {
  const left = [...group]
  const drawn: Candidate[] = []
  for (;;) {
    const total = left.reduce((sum, candidate) => sum + weightOf(candidate), 0)
    // Candidates of weight 0 come last.
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

/** Candidates whose price should be learnt come first, then known prices from the lowest up, then the rest as configured. */
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
