import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { LocalSeller } from '../../src/app/sandbox/sellers/seller-app.ts'
import type { World } from '../../src/app/sandbox/world.ts'
import type { Charge } from '../../src/core/charge/charge.ts'
import { relay, startFront } from '../kit/front.ts'
import { ask, errorOf, startGateway, type TestGateway } from '../kit/gateway.ts'

/** A payer made ready for one gateway that pays one seller. */
export interface PayerSubject {
  /** The entry of `payers`. */
  readonly payer: object
  /** More top-level keys of the configuration. */
  readonly config?: object | undefined
  /** Lets go of what was started for it; called after the gateway has closed. */
  close?(): Promise<void>
}

/** How {@link describePaying} gets its parts. */
export interface PayingOptions {
  /** The world the file started; asked for when a test runs. */
  readonly world: () => World
  /** Prepares the payer. `apiBase` is the seller's, as the route names it; vouchers for 40 calls of `price` must suffice. */
  readonly start: (parts: {
    readonly world: World
    readonly apiBase: string
    readonly price: bigint
  }) => Promise<PayerSubject>
  /** Which seller it pays; default the one that settles and then streams. */
  readonly seller?: ((world: World) => LocalSeller) | undefined
  /** The seller's price in USDC units; default 1000 ($0.001). */
  readonly price?: bigint | undefined
  /** How many calls are made at once; default 12. Fewer where each payment is a process of its own. */
  readonly burst?: number | undefined
}

const body = { model: 'paid/sandbox-small' }

/**
 * What every payer keeps when it really pays: a gateway, the payer under test, a seller on the official facilitator and a
 * real chain. Runs for payers that sign here and for those that make the call themselves.
 */
export function describePaying(name: string, options: PayingOptions): void {
  const { price = 1000n, burst = 12, seller: sellerOf = ({ streamingSeller }) => streamingSeller } = options

  describe(`paying with ${name}`, () => {
    const atTheEnd: (() => Promise<void>)[] = []
    const undo = async (list: (() => Promise<void>)[]): Promise<void> => {
      for (const end of list.splice(0).toReversed()) await end()
    }
    /** For the tests that need nothing of their own: a start costs more than a payment. */
    let shared: TestGateway

    beforeAll(async () => {
      shared = await open(atTheEnd)
    })
    afterAll(() => undo(atTheEnd))

    async function open(
      ends: (() => Promise<void>)[],
      config: object = {},
      apiBase?: string,
    ): Promise<TestGateway> {
      const world = options.world()
      const base = apiBase ?? sellerOf(world).apiBase
      const subject = await options.start({ world, apiBase: base, price })
      ends.push(async () => subject.close?.())
      const gateway = await startGateway({
        payers: { tested: subject.payer },
        model_list: [{ model_name: 'paid/*', model: '*', api_base: base, payer: 'tested' }],
        ...subject.config,
        ...config,
      })
      ends.push(() => gateway.close())
      return gateway
    }

    const chargesOf = async ({ gateway }: TestGateway): Promise<Charge[]> =>
      await gateway.parts.ledger.store.charges()
    const earned = async (): Promise<bigint> => {
      const { chain } = options.world()
      return await chain.balanceOf(chain.accounts.seller.address)
    }

    test('pays the quoted price once, and chain and ledger agree to the atom', async () => {
      const gateway = shared
      const before = await earned()
      const answer = await ask(gateway.url, body)
      expect(answer.status).toBe(200)
      expect(answer.headers.get('x-tollway-spent')).toBe('yes')
      await answer.text()
      const { chain } = options.world()
      expect((await earned()) - before).toBe(price)
      const [charge] = await chargesOf(gateway)
      expect(charge).toMatchObject({
        state: 'settled',
        proof: 'receipt',
        amount: price,
        network: chain.network,
      })
      expect(await transfersOf(charge)).toEqual([price])
    })

    test('streams a paid answer, and no payment header reaches the client', async () => {
      const gateway = shared
      const answer = await ask(gateway.url, { ...body, stream: true })
      expect(answer.status).toBe(200)
      expect(answer.headers.get('content-type')).toContain('text/event-stream')
      expect(await answer.text()).toContain('data: [DONE]')
      for (const header of ['payment-response', 'x-payment-response', 'payment-required']) {
        expect(answer.headers.has(header)).toBe(false)
      }
    })

    describe('within a budget of three payments and a half', () => {
      const ends: (() => Promise<void>)[] = []
      let gateway: TestGateway
      let isLosing = false
      let paid = 0

      beforeAll(async () => {
        const front = await startFront(sellerOf(options.world()).url, async (_request, response, forward) => {
          paid += 1
          const answer = await forward()
          if (!isLosing) return await relay(response, answer)
          await answer.arrayBuffer()
          response.destroy()
        })
        ends.push(() => front.close())
        const limit_usd = `0.00${(price * 3n + price / 2n).toString().padStart(4, '0')}`
        const budgets = [{ name: 'tight', limit_usd, window: 'day' }]
        gateway = await open(ends, { budgets }, `${front.url}/v1`)
      })
      afterAll(() => undo(ends))

      test('keeps a payment as uncertain when the paid reply never arrives, and never sends it again', async () => {
        const before = await earned()
        isLosing = true
        const answer = await ask(gateway.url, body)
        isLosing = false
        expect(answer.status).toBe(400)
        expect((await errorOf(answer)).code).toBe('payment_uncertain')
        expect(answer.headers.get('x-tollway-spent')).toBe('unknown')
        expect(paid).toBe(1)
        expect((await earned()) - before).toBe(price)
        expect(await chargesOf(gateway)).toMatchObject([{ state: 'uncertain', amount: price }])
      })

      test('pays up to the budget and not one unit over it, the uncertain payment counted', async () => {
        const before = await earned()
        const answers = await Promise.all(
          Array.from({ length: 6 }, (_, index) =>
            ask(gateway.url, { ...body, messages: [{ role: 'user', content: `one of six ${index}` }] }),
          ),
        )
        const statuses = answers.map(({ status }) => status).toSorted((a, b) => a - b)
        expect(statuses).toEqual([200, 200, 402, 402, 402, 402])
        for (const answer of answers) {
          if (answer.status === 402) expect((await errorOf(answer)).code).toBe('budget_exhausted')
          else await answer.text()
        }
        expect((await earned()) - before).toBe(price * 2n)
      })
    })

    test('uses no nonce twice, at any concurrency', async () => {
      const gateway = shared
      const known = new Set((await chargesOf(gateway)).map(({ id }) => id))
      const before = await earned()
      const answers = await Promise.all(
        Array.from({ length: burst }, (_, index) =>
          ask(gateway.url, { ...body, messages: [{ role: 'user', content: `call ${index}` }] }),
        ),
      )
      for (const answer of answers) {
        expect(answer.status).toBe(200)
        await answer.text()
      }
      expect((await earned()) - before).toBe(price * BigInt(burst))
      const charges = (await chargesOf(gateway)).filter(({ id }) => !known.has(id))
      const nonces = charges.map(({ authorization }) => authorization?.nonce)
      expect(new Set(nonces).size).toBe(burst)
      expect(nonces).not.toContain(undefined)
      expect(new Set(charges.map(({ transaction }) => transaction)).size).toBe(burst)
    })

    // The last one: it closes what the others share.
    test('closes cleanly, even twice, and leaves no charge unfinished', async () => {
      const states = new Set((await chargesOf(shared)).map(({ state }) => state))
      expect([...states]).toEqual(['settled'])
      const { gateway } = shared
      await gateway.close()
      await expect(gateway.close()).resolves.toBeUndefined()
      const [payer] = gateway.parts.payers.values()
      await expect(payer?.close()).resolves.toBeUndefined()
    })

    /** What the chain says the charge's transaction moved from its payer to its payee. */
    async function transfersOf(charge: Charge | undefined): Promise<bigint[]> {
      const { chain } = options.world()
      const moved = await chain.transfers()
      return moved
        .filter(
          ({ transaction, from }) =>
            transaction === charge?.transaction && from.toLowerCase() === charge.authorization?.from,
        )
        .map(({ value }) => value)
    }
  })
}
