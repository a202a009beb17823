/** Caps of purchases under any order of orders, refills, claims and price moves, on every way they can meet. */
import {
  assert,
  asyncProperty,
  boolean,
  constantFrom,
  array,
  integer,
  oneof,
  record,
  constant,
} from 'fast-check'
import { expect, test } from 'vitest'
import { memoryStore } from '../../src/io/store/memory/store.ts'
import type { Store } from '../../src/io/store/store.ts'
import { NOW } from '../store/samples.ts'
import { LIMITS, pool, voucher } from '../store/voucher-samples.ts'

const DAY = 86_400_000
const step = oneof(
  // Somebody asks for room, signs, and adds later: others come in between.
  record({
    do: constant('sign' as const),
    count: integer({ min: 1, max: 30 }),
    ordered: boolean(),
    stale: boolean(),
  }),
  record({ do: constant('order' as const), count: integer({ min: 1, max: 20 }) }),
  record({ do: constant('price' as const), amount: constantFrom(900n, 1000n, 1100n) }),
  record({ do: constant('later' as const), ms: constantFrom(1, DAY / 2, DAY) }),
  record({ do: constant('drop' as const), count: integer({ min: 1, max: 5 }) }),
)

type Step =
  | { readonly do: 'sign'; readonly count: number; readonly ordered: boolean; readonly stale: boolean }
  | { readonly do: 'order'; readonly count: number }
  | { readonly do: 'drop'; readonly count: number }
  | { readonly do: 'price'; readonly amount: bigint }
  | { readonly do: 'later'; readonly ms: number }

interface Caps {
  readonly maxCount: number
  readonly maxTotal: number
  readonly maxPerDay: bigint
}

test('no order of orders, refills and price moves gets past a cap, and no order is delivered twice', async () => {
  await assert(
    asyncProperty(
      record({
        maxCount: integer({ min: 1, max: 60 }),
        maxTotal: integer({ min: 1, max: 80 }),
        maxPerDay: integer({ min: 900, max: 60_000 }).map(BigInt),
      }),
      array(step, { maxLength: 25 }),
      async (caps, steps) => {
        const store = memoryStore()
        try {
          await follow(store, caps, steps)
        } finally {
          await store.close()
        }
      },
    ),
    { numRuns: 150 },
  )
})

async function follow(store: Store, caps: Caps, steps: readonly Step[]): Promise<void> {
  const refill = {
    threshold: 5,
    count: 10,
    maxTotal: caps.maxTotal,
    maxPerDay: caps.maxPerDay,
    maxPrice: undefined,
  }
  const limits = { ...LIMITS, maxCount: caps.maxCount, maxMicroUsd: undefined }
  let [at, amount, next, ordered, signedEver] = [NOW, 1000n, 1, 0, 0]
  const perDay = new Map<number, bigint>()
  await store.vouchers.define(pool({ refill, amount }), at)
  const save = (): Promise<void> =>
    store.purchases.save({
      payer: pool().payer,
      name: 'qwen',
      endpoint: 'https://seller.example.com/v1/chat/completions',
      model: 'qwen',
      signedBy: 'base',
      lifeSeconds: 3600,
      maxPrice: undefined,
      ordered,
      createdAt: at,
    })
  for (const one of steps) {
    if (one.do === 'later') at += one.ms
    else if (one.do === 'price') {
      amount = one.amount
      await store.vouchers.define(pool({ refill, amount }), at)
    } else if (one.do === 'order') {
      ordered += one.count
      await save()
    } else if (one.do === 'drop') {
      const free = await store.vouchers.list({ states: ['ready'], limit: one.count, at })
      await store.vouchers.drop(free.map(({ id }) => id))
    } else if (one.do === 'sign') {
      // Two sign for the same room at once, as a command and a gateway may.
      const runs = await Promise.all(
        [0, 1].map(async () => {
          const options = { limits, at, signed: true, ordered: one.ordered }
          const room = await store.vouchers.room(pool().payer, 'qwen', one.count, {
            ...options,
            microUsd: 1n,
          })
          const size = one.stale ? one.count : room
          const list = Array.from({ length: size }, () =>
            voucher(next++, { amount, validBefore: Math.floor(at / 1000) + 90 * 86_400 }),
          )
          return await store.vouchers.add(list, options)
        }),
      )
      for (const { added } of runs) {
        signedEver += added
        const day = Math.floor(at / DAY)
        perDay.set(day, (perDay.get(day) ?? 0n) + BigInt(added) * amount)
      }
    }
    const [status] = await store.vouchers.pools({ at })
    expect((status?.counts.ready ?? 0) + (status?.counts.held ?? 0)).toBeLessThanOrEqual(caps.maxCount)
    expect(signedEver).toBeLessThanOrEqual(caps.maxTotal)
    for (const spent of perDay.values()) expect(spent).toBeLessThanOrEqual(caps.maxPerDay)
    const [purchase] = await store.purchases.list()
    expect(purchase?.delivered ?? 0).toBeLessThanOrEqual(purchase?.ordered ?? 0)
  }
}
