/** Lives of charges, and questions about them that sums answer. */
import * as fc from 'fast-check'
import type { ChargeState } from '../../src/core/charge/charge.ts'
import type { Store } from '../../src/io/store/store.ts'
import type { ChargeFilter } from '../../src/io/store/contracts/charges.ts'
import { signed, terms } from './samples.ts'

const MINUTE = 60_000
export const DAY = 86_400_000
export const START = Date.parse('2026-10-24T22:00:00Z')

/** The life of a charge: what it is for, when, and what becomes of it. */
const life = fc.record({
  at: fc.oneof(fc.integer({ min: 0, max: 3 * DAY }), fc.constantFrom(0, 15 * MINUTE, DAY - 1, DAY, DAY + 1)),
  amount: fc.oneof(fc.bigInt({ min: 1n, max: 5000n }), fc.bigInt({ min: 10n ** 17n, max: 10n ** 30n })),
  priced: fc.boolean(),
  route: fc.constantFrom('paid/*', 'other'),
  payer: fc.constantFrom('base', 'obol'),
  caller: fc.constantFrom('openclaw', 'ci', ''),
  model: fc.constantFrom(undefined, '', 'llama'),
  tags: fc.constantFrom(
    undefined,
    ['agent:a'],
    ['agent:b', 'agent:a', 'team:x'],
    ['agents:c', 'plain'],
    ['agent:'],
  ),
  moves: fc.constantFrom<readonly string[]>(
    [],
    ['released'],
    ['authorized'],
    ['authorized', 'settled'],
    ['authorized', 'settled', 'proven'],
    ['authorized', 'assumed'],
    ['authorized', 'assumed', 'released'],
    ['authorized', 'assumed', 'part'],
    ['authorized', 'uncertain'],
    ['authorized', 'uncertain', 'settled'],
    ['authorized', 'uncertain', 'part'],
    ['authorized', 'uncertain', 'released'],
    ['authorized', 'retired'],
    ['retired'],
  ),
  /** Before which of the moves its tokens are noted. */
  usage: fc.record({ at: fc.integer({ min: 0, max: 4 }), tokens: fc.integer({ min: 0, max: 2 ** 40 }) }),
})

type Life = typeof life extends fc.Arbitrary<infer T> ? T : never

/** Lives it. */
export async function live(
  store: Store,
  n: number,
  { at, amount, moves, usage, priced, model, ...names }: Life,
): Promise<void> {
  const reservedAt = START + at
  const charge = terms(n, {
    ...names,
    amount,
    microUsd: priced ? amount : undefined,
    remoteModel: model,
    reservedAt,
    leaseUntil: reservedAt + 30_000,
    instance: moves.includes('retired') ? `ins_${n}` : 'ins_one',
  })
  await store.reserve(charge, [], false)
  for (const [index, move] of [...moves, 'end'].entries()) {
    if (index === usage.at) await store.noteUsage(charge.id, { inputTokens: usage.tokens, outputTokens: 3 })
    const told = { at: reservedAt + index, reason: 'x' }
    if (move === 'authorized')
      await store.authorize(charge.id, { ...signed(n), scheme: 'upto' }, reservedAt + 1)
    if (move === 'settled') await store.move(charge.id, { to: 'settled', proof: 'receipt', ...told })
    if (move === 'assumed') await store.move(charge.id, { to: 'settled', proof: 'assumed', ...told })
    if (move === 'proven') await store.move(charge.id, { to: 'settled', proof: 'chain', ...told })
    if (move === 'part')
      await store.move(charge.id, { to: 'settled', proof: 'chain', charged: amount / 3n, ...told })
    if (move === 'uncertain' || move === 'released') await store.move(charge.id, { to: move, ...told })
    if (move === 'retired') await store.retire(charge.instance, told.at, 'instance_dead')
  }
}

const instant = fc.oneof(
  fc.integer({ min: -DAY, max: 4 * DAY }).map((at) => START + at),
  fc.integer({ min: -4, max: 16 }).map((quarters) => START + quarters * 6 * 60 * MINUTE),
)
/** Mostly left out, so that most filters match something. */
const seldom = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(value, { nil: undefined, freq: 2 })
const filter: fc.Arbitrary<ChargeFilter> = fc.record({
  states: seldom(fc.subarray<ChargeState>(['held', 'authorized', 'settled', 'uncertain', 'released'])),
  route: seldom(fc.constantFrom('paid/*', 'paid/*', 'none')),
  payer: seldom(fc.constantFrom('base', 'base', 'none')),
  caller: seldom(fc.constantFrom('ci', '', 'none')),
  from: seldom(instant),
  to: seldom(instant),
  instance: fc.constantFrom(undefined, undefined, undefined, undefined, undefined, 'ins_one'),
})
const question = fc.record({
  filter,
  by: fc.constantFrom(undefined, 'route', 'model', 'payer', 'caller', 'tag.agent', 'tag.none'),
  limit: fc.integer({ min: 0, max: 6 }),
})

type Question = typeof question extends fc.Arbitrary<infer T> ? T : never

/** What a store answers. */
export async function answers(store: Store, { filter: where, by, limit }: Question): Promise<unknown[]> {
  const first = await store.charges({ ...where, limit })
  const before = first.at(-1)
  return [
    await store.spend({ ...where, ...(by === undefined ? {} : { by }) }),
    await store.spentBy(where.from ?? START, where.to),
    await store.consumption({ caller: where.caller, since: where.from ?? START }),
    await store.sum('uncertain'),
    await store.sum(where.states?.[0] ?? 'settled'),
    first,
    before ? await store.charges({ ...where, before }) : [],
  ]
}

/** What a ledger holds. */
export const lives = fc.array(life, { minLength: 4, maxLength: 25, size: 'max' })
/** What it is asked. */
export const questions = fc.array(question, { minLength: 6, maxLength: 6 })
