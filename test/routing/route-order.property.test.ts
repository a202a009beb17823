import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { arrange, STRATEGIES, type OrderFacts } from '../../src/core/routing/route-order.ts'
import type { Candidate } from '../../src/core/routing/route.ts'
import { candidate } from './routes.ts'

const facts = (more: Partial<OrderFacts> = {}): OrderFacts => ({
  strategy: 'order',
  random: () => 0,
  price: () => undefined,
  learns: () => false,
  cools: () => false,
  stays: () => false,
  ...more,
})

const hosts = (candidates: readonly Candidate[]): string[] =>
  candidates.map(({ route }) => new URL(route.apiBase).hostname.replace('.test', ''))

/** Candidates with all that could be said of them. */
const known = fc.array(
  fc.record({
    rank: fc.integer({ min: 0, max: 3 }),
    weight: fc.option(fc.integer({ min: 0, max: 5 }), { nil: undefined }),
    price: fc.option(fc.bigInt({ min: 0n, max: 5n }), { nil: undefined }),
    learns: fc.boolean(),
    cools: fc.boolean(),
    stays: fc.boolean(),
  }),
  { maxLength: 8 },
)

describe('whatever is known of the candidates', () => {
  const arranged = fc.tuple(
    known,
    fc.constantFrom(...STRATEGIES),
    fc.infiniteStream(fc.double({ min: 0, max: 0.999, noNaN: true })),
  )

  it('none is lost or doubled, what cools comes last, and ranks keep their order among the healthy', () => {
    fc.assert(
      fc.property(arranged, ([list, strategy, chance]) => {
        const all = list.map((one, at) => ({
          ...one,
          candidate: candidate(`s${at}`, one.rank, { weight: one.weight }),
        }))
        const of = (wanted: Candidate) => all.find((one) => one.candidate === wanted)
        const result = arrange(
          all.map((one) => one.candidate),
          facts({
            strategy,
            random: () => chance.next().value ?? 0,
            price: (one) => of(one)?.price,
            learns: (one) => of(one)?.learns === true,
            cools: (one) => of(one)?.cools === true,
            stays: (one) => of(one)?.stays === true,
          }),
        )
        expect(new Set(result)).toEqual(new Set(all.map((one) => one.candidate)))
        expect(result).toHaveLength(all.length)
        const cooling = result.map((one) => of(one)?.cools === true)
        expect(cooling).toEqual(cooling.toSorted((a, b) => Number(a) - Number(b)))
        const healthy = result.filter((one) => of(one)?.cools !== true)
        const ranks = healthy.map((one) => one.rank ?? 0)
        expect(ranks).toEqual(ranks.toSorted((a, b) => a - b))
        // The session's own place is the first of its rank.
        for (const [at, one] of healthy.entries()) {
          const before = healthy[at - 1]
          if (of(one)?.stays && before && before.rank === one.rank) expect(of(before)?.stays).toBe(true)
        }
      }),
    )
  })

  it('cheapest never puts a dearer known price before a lower one of its rank', () => {
    fc.assert(
      fc.property(fc.array(fc.bigInt({ min: 0n, max: 100n }), { maxLength: 8 }), (prices) => {
        const all = prices.map((price, at) => ({ price, candidate: candidate(`s${at}`) }))
        const priceOf = (wanted: Candidate): bigint =>
          all.find((one) => one.candidate === wanted)?.price ?? -1n
        const sorted = arrange(
          all.map((one) => one.candidate),
          facts({ strategy: 'cheapest', price: priceOf }),
        ).map(priceOf)
        expect(sorted).toEqual(prices.toSorted((a, b) => (a < b ? -1 : Number(a > b))))
      }),
    )
  })
})

describe('weights', () => {
  it('share the first place in proportion, and the second among the rest', () => {
    const group = [
      candidate('a', 0, { weight: 1 }),
      candidate('b', 0, { weight: 2 }),
      candidate('c', 0, { weight: 1 }),
    ]
    const firsts = Array.from({ length: 400 }, (_, at) => {
      const draws = [(at + 0.5) / 400, 0]
      return hosts(arrange(group, facts({ strategy: 'weighted', random: () => draws.shift() ?? 0 })))[0]
    })
    expect(firsts.filter((name) => name === 'a')).toHaveLength(100)
    expect(firsts.filter((name) => name === 'b')).toHaveLength(200)
    expect(firsts.filter((name) => name === 'c')).toHaveLength(100)
  })

  it('of zero come last', () => {
    const group = [candidate('spare', 0, { weight: 0 }), candidate('a'), candidate('b', 0, { weight: 3 })]
    fc.assert(
      fc.property(fc.double({ min: 0, max: 0.999999, noNaN: true }), (chance) => {
        expect(hosts(arrange(group, facts({ strategy: 'weighted', random: () => chance }))).at(-1)).toBe(
          'spare',
        )
      }),
    )
  })
})

it('cheapest first tries a seller whose price is to be learnt, and puts unknown prices after known ones', () => {
  const group = [candidate('unknown'), candidate('dear'), candidate('cheap'), candidate('new')]
  const prices = new Map([
    ['dear', 9n],
    ['cheap', 1n],
  ])
  const name = (one: Candidate): string => hosts([one])[0] ?? ''
  const result = arrange(
    group,
    facts({
      strategy: 'cheapest',
      price: (one) => prices.get(name(one)),
      learns: (one) => name(one) === 'new',
    }),
  )
  expect(hosts(result)).toEqual(['new', 'cheap', 'dear', 'unknown'])
})
