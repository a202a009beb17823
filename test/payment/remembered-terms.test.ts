/** Terms that a seller asked for again and again: paid without asking, asked for behind the answer, and never relied on for long. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { CallToApprove } from '../../src/core/approval/approval.ts'
import { TollwayError } from '../../src/core/errors.ts'
import { costOf, type Exchange } from '../../src/core/request/exchange.ts'
import type { IncomingReply } from '../../src/io/transport/upstream.ts'
import { UpstreamError } from '../../src/io/transport/upstream-error.ts'
import { encodeBase64Json } from '../../src/core/x402/wire-json.ts'
import { offerV2 } from '../kit/quotes.ts'
import {
  candidateAt,
  challenge,
  NOW,
  receiptOf,
  reply,
  startEngine,
  type Engine,
  type EngineOptions,
} from '../kit/payment-engine.ts'

const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE

/** A body of another size for each number. */
const body = (n: number, more: object = {}): object => ({ model: 'm', prompt: 'x'.repeat(n), ...more })

interface World {
  readonly engine: Engine
  readonly seller: {
    amount: string
    /** Added to its offer. */
    offer: object
    asked: number
    /** Answers a question, or a payment of the right amount, instead of the usual answer. */
    question: (() => IncomingReply) | undefined
    payment: (() => IncomingReply | Promise<IncomingReply>) | undefined
  }
  /** Amounts that were signed, in order. */
  readonly signed: string[]
}

/** A seller that takes payments of its price, after so many questions that had the same answer. */
async function learned(options: Partial<EngineOptions> = {}, times = 5): Promise<World> {
  const signed: string[] = []
  const seller: World['seller'] = {
    amount: '1000',
    offer: {},
    asked: 0,
    question: undefined,
    payment: undefined,
  }
  const engine = await startEngine({
    seller: (_request, isPaid) => {
      if (isPaid && signed.at(-1) === seller.amount)
        return seller.payment?.() ?? reply(200, '{}', receiptOf(true))
      seller.asked += isPaid ? 0 : 1
      const usual = challenge({ ...offerV2, amount: seller.amount, ...seller.offer })
      return isPaid ? usual : (seller.question?.() ?? usual)
    },
    ...options,
  })
  const { payer } = engine
  const authorize = payer.authorize.bind(payer)
  payer.authorize = async (quote, ...rest) => {
    signed.push(quote.amount.toString())
    return await authorize(quote, ...rest)
  }
  for (let n = 1; n <= times; n++) expect((await engine.ask(body(n))).error).toBeUndefined()
  expect([seller.asked, engine.paid().length]).toEqual([times, times])
  return { engine, seller, signed }
}

/** How many questions the seller gets for one more request, those behind its answer too. */
async function questionsFor({ engine, seller }: World, ...request: Parameters<Engine['ask']>) {
  const before = seller.asked
  await engine.ask(...request)
  await settled()
  return seller.asked - before
}

/** Whatever runs behind an answer here waits for nothing but promises and streams in memory. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** What the last request sent: `?` for a question, `$` for a payment. */
function sentSince({ engine }: World, before: number): string {
  return engine.sent
    .slice(before)
    .map(({ headers }) => (headers['payment-signature'] === undefined ? '?' : '$'))
    .join('')
}

const stateOf = ({ payment: { charge } }: Exchange): string | undefined => charge?.state

describe('a seller that asked the same five times', () => {
  it('is paid the sixth time without being asked', async () => {
    const world = await learned()
    expect(await questionsFor(world, body(6))).toBe(0)
    expect(world.engine.paid()).toHaveLength(6)
  })

  it('is asked as long as fewer than five sizes of bodies had the same answer', async () => {
    const world = await learned({}, 4)
    expect(await questionsFor(world, body(4))).toBe(1)
    expect(await questionsFor(world, body(4))).toBe(1)
    expect(await questionsFor(world, body(5))).toBe(1)
    expect(await questionsFor(world, body(5))).toBe(0)
  })

  it.each([
    [10 * MINUTE, '$'],
    [10 * MINUTE + 1, '?$'],
    [-1, '?$'],
  ])('%i ms after the last question gets %s first', async (later, first) => {
    const world = await learned()
    const before = world.engine.sent.length
    world.engine.clock.at = NOW + later
    await world.engine.ask(body(6))
    expect(sentSince(world, before).slice(0, first.length)).toBe(first)
  })

  it('is asked about an amount of work that it was not asked about', async () => {
    const world = await learned()
    expect(await questionsFor(world, body(6, { max_tokens: 100 }))).toBe(1)
    expect(await questionsFor(world, body(6, { max_tokens: 100 }))).toBe(0)
    expect(await questionsFor(world, body(6, { max_tokens: 101 }))).toBe(1)
    expect(await questionsFor(world, body(6, { reasoning: { text: 'x'.repeat(300) } }))).toBe(1)
    expect(await questionsFor(world, body(6, { reasoning: { text: 'x'.repeat(300) } }))).toBe(1)
    expect(await questionsFor(world, body(6, { temperature: 1 }))).toBe(0)
  })

  it('is asked for another model and at another api_base', async () => {
    const world = await learned()
    const { route } = candidateAt('seller.test')
    expect(await questionsFor(world, body(6), { route, remoteModel: 'dear' })).toBe(1)
    expect(await questionsFor(world, body(6), candidateAt('second.test'))).toBe(1)
  })

  it.each([
    ['the policy', { policy: { terms: 'ask' as const } }, {}],
    ['the route', {}, { terms: 'ask' as const }],
  ])('is always asked where %s says so', async (_where, options, route) => {
    const world = await learned(options)
    expect(await questionsFor(world, body(6), candidateAt('seller.test', route))).toBe(1)
  })

  it('is asked what a dry run costs, which pays nothing', async () => {
    const world = await learned()
    expect(await questionsFor(world, body(6, { dry_run: true }))).toBe(1)
    expect(world.engine.paid()).toHaveLength(5)
  })

  it('rule 6: is asked where it may name any payee', async () => {
    const world = await learned({ policy: { payTo: new Map([['https://seller.test', 'any' as const]]) } })
    expect(await questionsFor(world, body(6))).toBe(1)
  })

  it.each([
    ['a nonce', { extra: { ...offerV2.extra, nonce: '7' } }],
    ['a quote', { extra: { ...offerV2.extra, quoteId: 'q-1' } }],
    ['an end', { expiresAt: 1_900_000_000 }],
  ])('is always asked where its offer carries %s', async (_what, offer) => {
    const world = await learned({}, 0)
    world.seller.offer = offer
    for (let n = 1; n <= 7; n++) expect(await questionsFor(world, body(n))).toBe(1)
  })

  it.each(['payment-identifier', 'sign-in-with-x'])(
    'is always asked where it uses the extension %s',
    async (name) => {
      const world = await learned({}, 0)
      world.seller.question = () =>
        reply(402, '{}', {
          'payment-required': encodeBase64Json({
            x402Version: 2,
            accepts: [offerV2],
            extensions: { [name]: { info: {} } },
          }),
        })
      for (let n = 1; n <= 7; n++) expect(await questionsFor(world, body(n))).toBe(1)
    },
  )

  it('rule 6: its remembered terms go through the gate again: a lower ceiling is asked about, and refused', async () => {
    const world = await learned()
    Object.assign(world.engine.context.policy, { maxMicroUsd: 999n })
    const before = world.engine.sent.length
    const { error } = await world.engine.ask(body(6))
    expect(error).toMatchObject({ code: 'price_above_limit' })
    expect(sentSince(world, before)).toBe('?')
  })

  it('rule 2: a remembered price that does not fit the budget is refused, and nothing is sent', async () => {
    const budget = { name: 'day', limit: 5000n, window: 'day', timezone: 'UTC' } as const
    const world = await learned({ budgets: [budget] })
    const before = world.engine.sent.length
    const { error } = await world.engine.ask(body(6))
    expect(error).toMatchObject({ code: 'budget_exhausted' })
    expect(sentSince(world, before)).toBe('')
  })

  it('rule 3: is paid only after the payment is on record', async () => {
    const world = await learned()
    const states: (string | undefined)[] = []
    world.seller.payment = () => {
      states.push(...[...charges].map(({ state }) => state))
      return reply(200)
    }
    const charges: { state: string }[] = []
    const authorize = world.engine.ledger.authorize.bind(world.engine.ledger)
    world.engine.ledger.authorize = async (...args) => {
      const charge = await authorize(...args)
      charges.push(charge)
      return charge
    }
    await world.engine.ask(body(6))
    expect(states).toEqual(['authorized'])
  })
})

describe('after an answer that was not what was paid for', () => {
  it.each<[string, () => IncomingReply]>([
    ['an error', () => reply(500)],
    ['a refusal', () => challenge({ ...offerV2, amount: '1000' })],
    [
      'no answer',
      () => {
        throw new UpstreamError('reset', undefined, false)
      },
    ],
    [
      'no connection',
      () => {
        throw new UpstreamError('connect', undefined, true)
      },
    ],
  ])('%s: the seller is asked before the next payment', async (_what, payment) => {
    const world = await learned()
    world.seller.payment = payment
    expect((await world.engine.ask(body(6))).error).toBeInstanceOf(TollwayError)
    world.seller.payment = undefined
    expect(await questionsFor(world, body(7))).toBe(1)
    expect(await questionsFor(world, body(8))).toBe(0)
  })

  it('a question that the seller could not serve has it asked again, and its Retry-After counts', async () => {
    const world = await learned()
    world.engine.clock.at = NOW + 10 * MINUTE + 1
    world.seller.question = () => reply(503, '{}', { 'retry-after': '7' })
    expect((await world.engine.ask(body(6))).error).toMatchObject({ code: 'seller_unavailable' })
    expect(await questionsFor(world, body(7))).toBe(1)
    expect(world.engine.paid()).toHaveLength(5)
  })

  it('a seller that answers for free is asked until five questions had the same answer again', async () => {
    const world = await learned()
    world.engine.clock.at = NOW + 10 * MINUTE + 1
    world.seller.question = () => reply(200)
    expect((await world.engine.ask(body(6))).error).toBeUndefined()
    world.seller.question = undefined
    for (let n = 1; n <= 5; n++) expect(await questionsFor(world, body(n))).toBe(1)
    expect(await questionsFor(world, body(6))).toBe(0)
  })
})

describe('a question behind the answer', () => {
  it('is asked once in 30 seconds while the terms are in use, and is no payment', async () => {
    const world = await learned()
    for (const [at, asked] of [
      [29_999, 0],
      [30_000, 1],
      [30_001, 0],
      [59_999, 0],
      [60_000, 1],
    ] as const) {
      world.engine.clock.at = NOW + at
      expect([at, await questionsFor(world, body(6))]).toEqual([at, asked])
    }
    expect(world.engine.paid()).toHaveLength(10)
    expect(await world.engine.store.charges()).toHaveLength(10)
  })

  it('keeps terms that are in use from growing old', async () => {
    const world = await learned()
    for (let at = MINUTE; at <= 30 * MINUTE; at += MINUTE) {
      world.engine.clock.at = NOW + at
      const before = world.engine.sent.length
      await questionsFor(world, body(6))
      expect([at, sentSince(world, before)]).toEqual([at, '$?'])
    }
  })

  it.each<[string, () => IncomingReply]>([
    ['an error', () => reply(500)],
    ['no terms', () => reply(402, 'not JSON')],
    [
      'nothing',
      () => {
        throw new UpstreamError('timeout', undefined)
      },
    ],
  ])('that is answered with %s has the seller asked before the next payment', async (_what, question) => {
    const world = await learned()
    world.engine.clock.at = NOW + MINUTE
    world.seller.question = question
    expect((await world.engine.ask(body(6))).error).toBeUndefined()
    await settled()
    world.seller.question = undefined
    const before = world.engine.sent.length
    await world.engine.ask(body(7))
    expect(sentSince(world, before)).toBe('?$')
  })

  it('that shows another price has the seller asked for a day, for every model', async () => {
    const world = await learned()
    const { route } = candidateAt('seller.test')
    for (let n = 1; n <= 5; n++) await world.engine.ask(body(n), { route, remoteModel: 'other' })
    world.engine.clock.at = NOW + MINUTE
    world.seller.question = () => challenge({ ...offerV2, amount: '1001' })
    await world.engine.ask(body(6))
    await settled()
    world.seller.question = undefined
    for (const at of [MINUTE + 1, 2 * MINUTE, MINUTE + DAY - 1]) {
      world.engine.clock.at = NOW + at
      expect(await questionsFor(world, body(7))).toBe(1)
      expect(await questionsFor(world, body(7), { route, remoteModel: 'other' })).toBe(1)
    }
    for (let n = 1; n <= 5; n++) await world.engine.ask(body(n))
    world.engine.clock.at = NOW + MINUTE + DAY
    expect(await questionsFor(world, body(7))).toBe(0)
  })

  it('is not asked once the engine is closed', async () => {
    const world = await learned()
    world.engine.context.terms?.close()
    world.engine.clock.at = NOW + MINUTE
    expect(await questionsFor(world, body(6))).toBe(0)
  })
})

describe('terms that changed since they were remembered', () => {
  it('rule 5: are not paid: 400 terms_changed, one payment, and the next request asks at once', async () => {
    const world = await learned()
    world.seller.amount = '2000'
    const before = world.engine.sent.length
    const { error, exchange } = await world.engine.ask(body(6))
    expect(error).toMatchObject({ code: 'terms_changed', status: 400 })
    expect([stateOf(exchange), costOf(exchange)]).toEqual(['uncertain', 1000n])
    expect((await world.engine.ask(body(6))).error).toBeUndefined()
    expect([sentSince(world, before), world.signed.at(-1)]).toEqual(['$?$', '2000'])
    expect(await questionsFor(world, body(7))).toBe(1)
  })

  it.each([
    ['another nonce', { extra: { ...offerV2.extra, nonce: 'b' } }],
    ['another validity', { maxTimeoutSeconds: 59 }],
    ['another payee', { payTo: `0x${'cc'.repeat(20)}` }],
  ])('are told for %s too', async (_what, offer) => {
    const world = await learned()
    world.seller.payment = () => challenge({ ...offerV2, amount: '1000', ...offer })
    expect((await world.engine.ask(body(6))).error).toMatchObject({ code: 'terms_changed' })
  })

  it('are not told where the seller refuses the payment by its words and asks the same price', async () => {
    const world = await learned()
    world.seller.payment = () => ({
      ...challenge({ ...offerV2, amount: '1000', description: 'again' }),
      ...reply(402, JSON.stringify({ error: 'Payment verification failed' })),
      headers: challenge({ ...offerV2, amount: '1000', description: 'again' }).headers,
    })
    expect((await world.engine.ask(body(6))).error).toMatchObject({ code: 'payment_rejected' })
  })

  const again = { policy: { onChangedTerms: 'pay_again' as const } }

  it('rule 5: with pay_again are paid once, and both payments are counted', async () => {
    const world = await learned(again)
    world.seller.amount = '2000'
    const before = world.engine.sent.length
    const { error, exchange } = await world.engine.ask(body(6))
    expect([error, sentSince(world, before)]).toEqual([undefined, '$$'])
    expect([stateOf(exchange), costOf(exchange)]).toEqual(['settled', 3000n])
    const [first] = await world.engine.store.charges({ states: ['uncertain'] })
    expect([first?.reason, exchange.payment.earlier?.id]).toEqual(['terms_changed', first?.id])
    expect(exchange.record.details['paid_again_after']).toBe(first?.id)
  })

  it('rule 5: with pay_again are paid on the word of the route too', async () => {
    const world = await learned()
    world.seller.amount = '2000'
    const route = candidateAt('seller.test', { onChangedTerms: 'pay_again' })
    expect((await world.engine.ask(body(6), route)).error).toBeUndefined()
  })

  it('rule 5: with pay_again no third payment follows', async () => {
    const world = await learned(again)
    let price = 2000
    const { payer } = world.engine
    const authorize = payer.authorize.bind(payer)
    payer.authorize = async (...args) => {
      price += 1
      world.seller.amount = String(price)
      return await authorize(...args)
    }
    const before = world.engine.sent.length
    const { error, exchange } = await world.engine.ask(body(6))
    expect([error, sentSince(world, before)]).toMatchObject([{ code: 'terms_changed' }, '$$'])
    expect([stateOf(exchange), costOf(exchange)]).toEqual(['uncertain', 1000n + 2001n])
  })

  it('rule 6: with pay_again both together stay under the ceiling of one request', async () => {
    for (const [maxMicroUsd, sent] of [
      [3000n, '$$'],
      [2999n, '$'],
    ] as const) {
      const world = await learned({ policy: { ...again.policy, maxMicroUsd } })
      world.seller.amount = '2000'
      const before = world.engine.sent.length
      const { error } = await world.engine.ask(body(6))
      expect([sentSince(world, before), error === undefined]).toEqual([sent, sent === '$$'])
    }
  })

  it('with pay_again a person is asked about what both cost together', async () => {
    for (const [above, asked] of [
      [3000n, []],
      [2999n, [3000n]],
    ] as const) {
      const questions: (bigint | undefined)[] = []
      const approval = {
        isNeeded: (microUsd: bigint | undefined) => microUsd === undefined || microUsd > above,
        ask: async ({ microUsd }: CallToApprove) => {
          questions.push(microUsd)
          throw new TollwayError({ code: 'approval_refused', message: 'no' })
        },
      }
      const world = await learned({ ...again, approval })
      world.seller.amount = '2000'
      const before = world.engine.sent.length
      await world.engine.ask(body(6))
      expect([questions, sentSince(world, before)]).toEqual([asked, asked.length === 0 ? '$$' : '$'])
    }
  })

  it('rule 2: with pay_again both together fit the budgets, or the first error stands', async () => {
    for (const [limit, sent] of [
      [8000n, '$$'],
      [7999n, '$'],
    ] as const) {
      const budget = { name: 'day', limit, window: 'day', timezone: 'UTC' } as const
      const world = await learned({ ...again, budgets: [budget] })
      world.seller.amount = '2000'
      const before = world.engine.sent.length
      const { error, exchange } = await world.engine.ask(body(6))
      expect(sentSince(world, before)).toBe(sent)
      if (sent === '$$') continue
      expect(error).toMatchObject({ code: 'terms_changed' })
      expect(exchange.record.details['not_paid_again']).toBe('budget_exhausted')
      expect([stateOf(exchange), costOf(exchange)]).toEqual(['uncertain', 1000n])
    }
  })

  it('rule 5: with pay_again a second payment that never left leaves the first error, and nothing follows', async () => {
    const world = await learned(again)
    world.seller.amount = '2000'
    world.seller.payment = () => {
      throw new UpstreamError('connect', undefined, true)
    }
    const { error, exchange } = await world.engine.ask(body(6))
    expect(error).toMatchObject({ code: 'terms_changed' })
    expect([stateOf(exchange), costOf(exchange)]).toEqual(['uncertain', 1000n])
    expect(await world.engine.store.charges({ states: ['released'] })).toHaveLength(1)
  })

  it('rule 5: with pay_again nothing is paid again that the chain proved meanwhile', async () => {
    const world = await learned(again)
    world.seller.payment = async () => {
      const { store, ledger } = world.engine
      const [charge] = await store.charges({ states: ['authorized'] })
      // Another process took this one for dead, and asked the chain before the seller answered.
      const lost = charge && (await ledger.uncertain(charge, 'crash_recovery'))
      const block = { number: 1n, hash: '0x1', timestamp: 1 }
      if (lost) await ledger.resolve(lost, { action: 'settle', transaction: '0xab', flags: [], block })
      return challenge({ ...offerV2, amount: '2000' })
    }
    const before = world.engine.sent.length
    const { error, exchange } = await world.engine.ask(body(6))
    expect([error, sentSince(world, before)]).toMatchObject([{ code: 'terms_changed' }, '$'])
    expect(stateOf(exchange)).toBe('settled')
  })

  it('with pay_again a payment that the seller was asked about is not paid again', async () => {
    const world = await learned(again, 1)
    world.seller.payment = () => challenge({ ...offerV2, amount: '2000' })
    const before = world.engine.sent.length
    expect((await world.engine.ask(body(2))).error).toMatchObject({ code: 'terms_changed' })
    expect(sentSince(world, before)).toBe('?$')
  })

  it('rule 2: however the price changes between any two calls, no budget is overshot and nothing is paid a third time', async () => {
    const step = fc.record({
      price: fc.integer({ min: 1, max: 3 }),
      after: fc.constantFrom(0, 1, 30_000, 10 * MINUTE + 1, DAY),
      size: fc.integer({ min: 1, max: 8 }),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 20 }), fc.boolean(), async (steps, payAgain) => {
        const limit = 12_000n
        const budget = { name: 'all', limit, window: 'lifetime', timezone: 'UTC' } as const
        const world = await learned({
          budgets: [budget],
          policy: { onChangedTerms: payAgain ? 'pay_again' : 'fail', maxMicroUsd: 4000n },
        })
        for (const { price, after, size } of steps) {
          world.engine.clock.at += after
          world.seller.amount = String(price * 1000)
          const before = world.engine.sent.length
          const { error, exchange } = await world.engine.ask(body(size))
          await settled()
          const sent = sentSince(world, before).replaceAll('?', '')
          expect(sent.length).toBeLessThanOrEqual(payAgain ? 2 : 1)
          if (error === undefined) expect(stateOf(exchange)).toBe('settled')
          if (sent === '$' && error === undefined) expect(world.signed.at(-1)).toBe(world.seller.amount)
        }
        const charges = await world.engine.store.charges({ limit: 1000 })
        const counted = charges.filter(({ state }) => state !== 'released')
        expect(counted.reduce((sum, { amount }) => sum + amount, 0n)).toBeLessThanOrEqual(limit)
        expect(counted.length).toBe(world.engine.paid().length)
      }),
      { numRuns: 60 },
    )
  })
})

describe('offers that a seller signs anew for each 402', () => {
  const asking = (n: number, more: object = {}): IncomingReply => {
    const signed = {
      format: 'eip712',
      payload: { validUntil: n },
      signature: `0x${String(n).padStart(130, '0')}`,
    }
    const extensions = {
      'offer-receipt': { info: { offers: [signed], ...more }, schema: { type: 'object' } },
    }
    const required = { x402Version: 2, accepts: [offerV2], extensions }
    return reply(402, '{}', { 'payment-required': encodeBase64Json(required) })
  }

  it('are remembered without the signatures, which are good for a while only', async () => {
    const world = await learned({}, 0)
    let count = 0
    world.seller.question = () => asking((count += 1))
    for (let n = 1; n <= 5; n += 1) await world.engine.ask(body(n))
    const { exchange, error } = await world.engine.ask(body(6))
    expect(error).toBeUndefined()
    expect(world.seller.asked).toBe(5)
    expect(exchange.payment.evidence).toBeUndefined()
    expect(exchange.record.details).not.toHaveProperty('evidence_wrong')
  })

  it('are asked for each time where anything else beside the signatures changes', async () => {
    const world = await learned({}, 0)
    let count = 0
    world.seller.question = () => asking(1, { note: (count += 1) })
    for (let n = 1; n <= 7; n += 1) await world.engine.ask(body(n))
    expect(world.seller.asked).toBe(7)
  })
})
