/** What the engine adds to the gate: pins and prices from the ledger, and what the payer can pay. */
import { describe, expect, it } from 'vitest'
import { TollwayError } from '../../src/core/errors.ts'
import { BUILT_IN_ASSETS } from '../../src/core/money/assets.ts'
import type { TollwayEvent } from '../../src/core/telemetry/events.ts'
import type { RoutePin } from '../../src/core/routing/route.ts'
import { PaidCall } from '../../src/payment/paid-call.ts'
import { chooseOffer } from '../../src/payment/vet-offers.ts'
import { challenge, reply, startEngine, type Engine } from '../kit/payment-engine.ts'
import { challengeOf, offerV2 } from '../kit/quotes.ts'

const BASE_USDC = BUILT_IN_ASSETS.find(({ network }) => network === 'eip155:8453')?.address ?? ''
const OTHER_PAYEE = '0x00000000000000000000000000000000000000cc'
const REQUEST = {
  method: 'POST',
  url: 'https://seller.test/v1/chat/completions',
  headers: {},
  body: Buffer.from('{"model":"m"}'),
}

const codeOf = async (work: Promise<unknown>): Promise<string | undefined> =>
  await work.then(
    () => undefined,
    (error: unknown) => (error instanceof TollwayError ? error.code : String(error)),
  )

/** Pays once at this price, so that the ledger knows payee and price. */
async function payOnce(engine: Engine, amount: string): Promise<void> {
  await new PaidCall(engine.call(), REQUEST).run(challenge({ ...offerV2, amount }), 0)
}

describe('the choice of an offer', () => {
  it('takes the cheapest offer that passes', async () => {
    const engine = await startEngine({ seller: () => reply(200) })
    const offers = challengeOf(2, { ...offerV2, amount: '3000' }, { ...offerV2, amount: '2000' })
    const { quote } = await chooseOffer(engine.call(), offers)
    expect(quote.amount).toBe(2000n)
  })

  it('takes the next offer where the payer cannot pay the first, and reports the first of all failures', async () => {
    const offers = challengeOf(2, { ...offerV2, amount: '2000' }, { ...offerV2, amount: '3000' })
    const poor = (below: bigint) => ({
      ready: async ({ amount }: { amount: bigint }) => {
        if (amount < below) throw new TollwayError({ code: 'insufficient_funds', message: String(amount) })
      },
    })
    const some = await startEngine({ seller: () => reply(200), payer: poor(3000n) })
    expect((await chooseOffer(some.call(), offers)).quote.amount).toBe(3000n)
    const none = await startEngine({ seller: () => reply(200), payer: poor(9000n) })
    await expect(chooseOffer(none.call(), offers)).rejects.toMatchObject({
      code: 'insufficient_funds',
      message: expect.stringMatching(
        /^2000 All 2 offers of .* were passed over: .*: insufficient_funds; .*: insufficient_funds\.$/,
      ),
    })
  })

  it.each<[string, RoutePin, string | undefined]>([
    ['the network', { network: 'eip155:1' }, 'network_not_allowed'],
    ['the asset', { network: offerV2.network, asset: BASE_USDC }, 'asset_not_allowed'],
    ['the payee', { network: offerV2.network, payTo: [OTHER_PAYEE] }, 'payee_not_allowed'],
    [
      'nothing that differs',
      { network: offerV2.network, payTo: [OTHER_PAYEE, offerV2.payTo.toLowerCase()] },
      undefined,
    ],
  ])('rule 6: a route whose pin names %s accepts that alone', async (_case, pin, code) => {
    const engine = await startEngine({ seller: () => reply(200) })
    const call = engine.call()
    const { candidate } = call
    const pinned = { ...call, candidate: { ...candidate, route: { ...candidate.route, pin } } }
    expect(await codeOf(chooseOffer(pinned, challengeOf(2, offerV2)))).toBe(code)
  })

  it('rule 6: a pin of a route widens nothing that is pinned or configured', async () => {
    const engine = await startEngine({ seller: () => reply(200) })
    await payOnce(engine, '1000')
    const call = engine.call()
    const { candidate } = call
    const pin = { network: offerV2.network, payTo: [OTHER_PAYEE] }
    const pinned = { ...call, candidate: { ...candidate, route: { ...candidate.route, pin } } }
    await expect(chooseOffer(pinned, challengeOf(2, offerV2))).rejects.toMatchObject({
      advice: [expect.stringContaining('change pin.pay_to of the route')],
    })
    for (const payTo of [OTHER_PAYEE, offerV2.payTo])
      expect(await codeOf(chooseOffer(pinned, challengeOf(2, { ...offerV2, payTo })))).toBe(
        'payee_not_allowed',
      )
  })

  it('rule 6: refuses another payee after the first settled payment pinned one', async () => {
    const engine = await startEngine({ seller: () => reply(200) })
    await payOnce(engine, '1000')
    expect(await codeOf(chooseOffer(engine.call(), challengeOf(2, offerV2)))).toBeUndefined()
    const other = challengeOf(2, { ...offerV2, payTo: OTHER_PAYEE })
    expect(await codeOf(chooseOffer(engine.call(), other))).toBe('payee_not_allowed')
  })

  it('rule 6: holds a seller to the configured payees, whoever was paid before', async () => {
    const engine = await startEngine({
      seller: () => reply(200),
      policy: { payTo: new Map([['https://seller.test', [OTHER_PAYEE]]]) },
    })
    expect(await codeOf(chooseOffer(engine.call(), challengeOf(2, offerV2)))).toBe('payee_not_allowed')
    const named = await chooseOffer(engine.call(), challengeOf(2, { ...offerV2, payTo: OTHER_PAYEE }))
    expect(named.pin).toBe(false)
  })

  it.each([
    ['network', { network: 'eip155:1' }, 'network_not_allowed'],
    ['asset', { asset: OTHER_PAYEE }, 'asset_not_allowed'],
    ['price', { amount: '100001' }, 'price_above_limit'],
    ['amount', { amount: '1e3' }, 'amount_invalid'],
  ])('rule 6: refuses an offer by its %s', async (_what, change, code) => {
    const engine = await startEngine({ seller: () => reply(200) })
    expect(await codeOf(chooseOffer(engine.call(), challengeOf(2, { ...offerV2, ...change })))).toBe(code)
  })

  it('rule 6: refuses a price that rose further than policy allows, and reports every move', async () => {
    const events: TollwayEvent[] = []
    const engine = await startEngine({ seller: () => reply(200), policy: { maxPriceChange: 200_000n } })
    await payOnce(engine, '1000')
    const call = engine.call()
    const watched = {
      ...call,
      context: { ...call.context, observers: [(event: TollwayEvent) => void events.push(event)] },
    }
    const at = async (amount: string): Promise<string | undefined> =>
      await codeOf(chooseOffer(watched, challengeOf(2, { ...offerV2, amount })))
    expect([await at('1000'), await at('1200'), await at('900'), await at('1201')]).toEqual([
      undefined,
      undefined,
      undefined,
      'price_unstable',
    ])
    expect(events.map((event) => (event.type === 'price_moved' ? event.direction : event.type))).toEqual([
      'up',
      'down',
      'refused',
    ])
  })
  it('rule 6: holds the price of a token that was not paid with before to the highest one paid in another', async () => {
    const policy = { maxPriceChange: 200_000n }
    const engine = await startEngine({ seller: () => reply(200), policy })
    await payOnce(engine, '1000')
    const mainnet = { ...offerV2, network: 'eip155:8453', asset: BASE_USDC }
    const call = engine.call()
    const payer = { ...call.payer, networks: [...call.payer.networks, 'eip155:8453'], supports: () => true }
    const at = async (amount: string): Promise<string | undefined> =>
      await codeOf(chooseOffer({ ...call, payer }, challengeOf(2, { ...mainnet, amount })))
    expect([await at('1000'), await at('1001'), await at('100000')]).toEqual([
      undefined,
      'price_unstable',
      'price_unstable',
    ])
  })
})
