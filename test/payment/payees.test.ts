/** Whom a seller is paid at: pinned when a payment settles, listed, or another one in each request. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { PaidCall } from '../../src/payment/paid-call.ts'
import { chooseOffer } from '../../src/payment/vet-offers.ts'
import type { PaymentContext } from '../../src/payment/payment-context.ts'
import { challengeOf, offerV2 } from '../kit/quotes.ts'
import { challenge, receiptOf, reply, startEngine, type Engine, type Script } from '../kit/payment-engine.ts'

const ORIGIN = 'https://seller.test'
const REQUEST = {
  method: 'POST',
  url: `${ORIGIN}/v1/chat/completions`,
  headers: {},
  body: Buffer.from('{"model":"m"}'),
}
const payeeOf = (n: number): string => `0x${(n + 0x1000).toString(16).padStart(40, 'a')}`
const ANY: Partial<PaymentContext['policy']> = { payTo: new Map([[ORIGIN, 'any' as const]]) }

/** Pays the nth payee. @returns `paid`, or the code of the refusal */
async function payTo(engine: Engine, payee: string, changes: object = {}): Promise<string> {
  return await new PaidCall(engine.call(), REQUEST)
    .run(challenge({ ...offerV2, payTo: payee, ...changes }), 0)
    .then(
      () => 'paid',
      (error: unknown) => String((error as { code?: unknown }).code),
    )
}

const engineWith = async (seller: Script, policy: Partial<PaymentContext['policy']> = {}): Promise<Engine> =>
  await startEngine({ seller, policy })

describe('rule 6: the payee of a seller without configuration', () => {
  it.each([
    ['a receipt', () => reply(200, '{}', receiptOf(true))],
    ['an answer without a receipt', () => reply(200)],
    ['a receipt on an error', () => reply(500, '{}', receiptOf(true))],
  ])('is pinned by %s', async (_what, seller) => {
    const engine = await engineWith(seller)
    await payTo(engine, payeeOf(1))
    expect(await engine.store.pins()).toMatchObject([{ apiBase: `${ORIGIN}/v1`, payTo: payeeOf(1) }])
    expect(await payTo(engine, payeeOf(2))).toBe('payee_not_allowed')
  })

  it.each([
    ['a refused payment', () => reply(402, '{}', receiptOf(false))],
    ['an error without a receipt', () => reply(500)],
    ['a redirect', () => reply(302, '', { location: 'https://elsewhere.test' })],
  ])('is not pinned by %s: the next one may name another', async (_what, seller) => {
    const engine = await engineWith(seller)
    await payTo(engine, payeeOf(1))
    expect(await engine.store.pins()).toEqual([])
    expect(await payTo(engine, payeeOf(2))).not.toBe('payee_not_allowed')
  })

  it('is pinned when the chain proves a payment whose answer was lost', async () => {
    const engine = await engineWith(() => reply(500))
    await payTo(engine, payeeOf(1))
    const [charge] = await engine.store.charges()
    if (!charge) throw new Error('nothing was reserved')
    const decision = {
      action: 'settle',
      transaction: `0x${'cd'.repeat(32)}`,
      charged: undefined,
      flags: [],
      block: { number: 1n, timestamp: 1, hash: `0x${'ee'.repeat(32)}` },
    } as const
    await engine.ledger.resolve(charge, decision, true)
    expect(await payTo(engine, payeeOf(2))).toBe('payee_not_allowed')
  })
})

describe('rule 6: a refused payee says how to allow it', () => {
  async function refusal(policy: Partial<PaymentContext['policy']>): Promise<unknown> {
    const engine = await engineWith(() => reply(200, '{}', receiptOf(true)), policy)
    if (policy.payTo === undefined) await payTo(engine, payeeOf(1))
    return await chooseOffer(engine.call(), challengeOf(2, { ...offerV2, payTo: payeeOf(2) })).catch(
      (error: unknown) => error,
    )
  }

  it('names both commands and the line of the configuration where the payee is pinned', async () => {
    expect(await refusal({})).toMatchObject({
      code: 'payee_not_allowed',
      advice: [
        `If the seller really changed its payee, run \`tollway sellers trust ${ORIGIN}/v1 ${payeeOf(2)} --network base-sepolia\`.`,
        `If it names another payee in each request, run \`tollway sellers trust ${ORIGIN}/v1 --any-payee --network base-sepolia\`, or write policy: { sellers: { "${ORIGIN}": { pay_to: any } } }.`,
      ],
    })
  })

  it('names the line alone where the configuration lists payees: a pin would not count', async () => {
    expect(await refusal({ payTo: new Map([[ORIGIN, [payeeOf(1)]]]) })).toMatchObject({
      code: 'payee_not_allowed',
      advice: [
        `If the seller really changed its payee, write policy: { sellers: { "${ORIGIN}": { pay_to: ["${payeeOf(1)}", "${payeeOf(2)}"] } } }.`,
        `If it names another payee in each request, write policy: { sellers: { "${ORIGIN}": { pay_to: any } } }.`,
      ],
    })
  })
})

describe('rule 6: pay_to any', () => {
  it('pays another payee in each request, and pins none', async () => {
    const engine = await engineWith(() => reply(200, '{}', receiptOf(true)), ANY)
    for (const n of [1, 2, 3]) expect(await payTo(engine, payeeOf(n))).toBe('paid')
    expect((await engine.store.charges()).map((charge) => charge.payTo).toSorted()).toEqual(
      [1, 2, 3].map(payeeOf),
    )
    expect(await engine.store.pins()).toEqual([])
  })

  it.each<[string, object, string]>([
    ['a price above the ceiling', { amount: '100001' }, 'price_above_limit'],
    ['another token', { asset: payeeOf(7) }, 'asset_not_allowed'],
    ['another network', { network: 'eip155:8453' }, 'network_not_allowed'],
    ['a payee that is no address', { payTo: 'bank' }, 'payee_not_allowed'],
    ['the zero address', { payTo: `0x${'0'.repeat(40)}` }, 'payee_not_allowed'],
    ['the token itself', { payTo: offerV2.asset }, 'payee_not_allowed'],
    ['a burn address', { payTo: '0x000000000000000000000000000000000000dEaD' }, 'payee_not_allowed'],
    ["x402's channels", { payTo: '0x4020074e9dF2ce1deE5A9C1b5c3f541D02a10003' }, 'payee_not_allowed'],
  ])('still refuses %s', async (_what, changes, code) => {
    const engine = await engineWith(() => reply(200), ANY)
    expect(await payTo(engine, payeeOf(1), changes)).toBe(code)
    expect([engine.sent, await engine.store.charges()]).toEqual([[], []])
  })

  it('still refuses the wallet that pays', async () => {
    const self = payeeOf(9)
    const engine = await startEngine({ seller: () => reply(200), policy: ANY, payer: { address: self } })
    expect(await payTo(engine, self.toUpperCase().replace('0X', '0x'))).toBe('payee_not_allowed')
  })

  it('is for its own origin alone', async () => {
    const engine = await engineWith(() => reply(200, '{}', receiptOf(true)), {
      payTo: new Map([['https://second.test', 'any' as const]]),
    })
    expect([await payTo(engine, payeeOf(1)), await payTo(engine, payeeOf(2))]).toEqual([
      'paid',
      'payee_not_allowed',
    ])
  })

  it('rule 2: never takes more than the budget, whatever payees are named', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(50), fc.integer({ min: 1, max: 2000 })), { maxLength: 12 }),
        async (offers) => {
          const engine = await startEngine({
            seller: () => reply(200, '{}', receiptOf(true)),
            policy: ANY,
            budgets: [{ name: 'day', limit: 5000n, window: 'day', timezone: 'UTC' }],
          })
          for (const [n, amount] of offers) await payTo(engine, payeeOf(n), { amount: String(amount) })
          const charges = await engine.store.charges({ states: ['settled'] })
          expect(charges.reduce((sum, { amount }) => sum + amount, 0n) <= 5000n).toBe(true)
        },
      ),
      { numRuns: 50 },
    )
  })
})
