/** What the tests of real clients share: a gateway with a paid route to official sellers on a local chain, and what passed. */
import type { TollwayEvent } from '../../src/core/telemetry/events.ts'
import { startWorld, type World } from '../../src/app/sandbox/world.ts'
import { startGateway, walletPayer, type TestGateway } from '../kit/gateway.ts'

/** The key of the gateway's one caller. */
export const CALLER_KEY = 'key-of-the-client'

/** A tenth of a cent: what the sandbox's sellers ask for every call. */
export const PRICE_USD = 0.001

/** What a client caused since {@link ClientWorld.reset}. */
export interface Passed {
  /** Requests that reached the gateway. */
  readonly gateway: number
  /** Requests that reached the seller, unpaid ones too. */
  readonly seller: number
  /** Transfers on the chain. */
  readonly payments: number
}

/** See {@link startClientWorld}. */
export interface ClientWorld {
  readonly world: World
  readonly gateway: TestGateway
  /** Root address, without `/v1`. */
  readonly url: string
  reset(): Promise<void>
  passed(): Promise<Passed>
  close(): Promise<void>
}

/** Routes: `paid/fast` to a seller that streams, `paid/buffered` to one that answers all at once. */
export async function startClientWorld(): Promise<ClientWorld> {
  process.env['CLIENT_TEST_KEY'] = CALLER_KEY
  const world = await startWorld()
  const requests: TollwayEvent[] = []
  const gateway = await startGateway(
    {
      callers: [{ id: 'client', key: '${env:CLIENT_TEST_KEY}' }],
      payers: { base: walletPayer(world.chain) },
      // Every payment is two requests at the seller, however often its terms were repeated: what passed is counted.
      policy: { terms: 'ask' },
      model_list: [
        {
          model_name: 'paid/fast',
          model: 'sandbox-small',
          api_base: world.streamingSeller.apiBase,
          payer: 'base',
        },
        {
          model_name: 'paid/buffered',
          model: 'sandbox-small',
          api_base: world.seller.apiBase,
          payer: 'base',
        },
      ],
    },
    {
      observers: [
        (event) => {
          if (event.type === 'request') requests.push(event)
        },
      ],
    },
  )
  const buyer = world.chain.accounts.buyer.address
  const sellers = [world.seller, world.streamingSeller]
  let [seen, paid] = [0, 0]
  const sellerRequests = (): number => sellers.reduce((sum, { log }) => sum + log.length, 0)
  const transfers = async (): Promise<number> => (await world.chain.transfers({ from: buyer })).length
  return {
    world,
    gateway,
    url: gateway.url,
    async reset() {
      requests.length = 0
      seen = sellerRequests()
      paid = await transfers()
    },
    async passed() {
      return {
        gateway: requests.length,
        seller: sellerRequests() - seen,
        payments: (await transfers()) - paid,
      }
    },
    async close() {
      await gateway.close()
      await world.close()
    },
  }
}
