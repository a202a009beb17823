import { Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { parseConfig } from '../../src/app/config/load.ts'
import { openRouter } from '../../src/app/wiring/open-router.ts'
import type { KnownPrice } from '../../src/io/store/contracts/sellers.ts'
import { ManualTimers } from '../kit/manual-timers.ts'

const USDC = '0x036cbd53842c5426634e7929541ec2318f3dcf7e'
/** USD for a million tokens of output, by host. */
const LISTED: Readonly<Record<string, number>> = { 'dear.test': 9, 'cheap.test': 2 }

test('cheapest goes by the lists of sellers that were never paid, and by what was paid as soon as it was', async () => {
  const route = (host: string): object => ({
    model_name: 'm',
    api_base: `https://${host}/v1`,
    payer: 'base',
    catalogue: true,
  })
  const config = parseConfig(
    {
      payers: { base: { kind: 'direct', key: '${env:K}', networks: ['base-sepolia'] } },
      model_list: Object.keys(LISTED).map(route),
      router: { strategy: 'cheapest' },
    },
    { K: `0x${'11'.repeat(32)}` },
  )
  let paid: KnownPrice[] = []
  const clock = { at: 0, now: () => clock.at }
  const { options, catalogue } = openRouter(config, {
    store: { prices: () => Promise.resolve(paid) },
    // A mock: what is listed is the subject, not how it comes.
    upstream: {
      send({ url }) {
        const page = JSON.stringify({ data: [{ id: 'm', outputPrice: LISTED[new URL(url).host] }] })
        return Promise.resolve({ status: 200, headers: {}, body: Readable.from([Buffer.from(page)]) })
      },
    },
    clock,
    timers: new ManualTimers(),
    observers: [],
  })
  const first = async (): Promise<string | undefined> => {
    await options.state.prepare()
    const request = {
      caller: 'a',
      model: 'm',
      endpoint: '/chat/completions',
      header: () => undefined,
      fallbacks: () => [],
    }
    const [candidate] = options.state.arrange(options.routes.match('m'), request)
    return candidate && new URL(candidate.route.apiBase).host
  }
  await catalogue.load()
  expect(await first()).toBe('cheap.test')
  const terms = { endpoint: '/chat/completions', model: 'm', network: 'eip155:84532', asset: USDC }
  const price = {
    apiBase: 'https://cheap.test/v1',
    ...terms,
    first: 50_000n,
    pinned: 50_000n,
    last: 50_000n,
    updatedAt: 0,
  }
  paid = [price]
  clock.at = 5_000
  expect(await first()).toBe('dear.test')
})

test.each([
  ['https://blockrun.ai/api/v1', 'cash', undefined, true],
  ['https://sol.blockrun.ai/api/v1', 'cash', undefined, true],
  ['https://blockrun.ai/api/v1', 'cash', false, false],
  ['https://blockrun.ai/api/v1', 'key', undefined, undefined],
  ['https://evilblockrun.ai/api/v1', 'cash', undefined, undefined],
  ['https://seller.test/v1', 'cash', undefined, undefined],
  ['https://seller.test/v1', 'key', true, true],
])(
  'a route to %s with the payer %s and catalogue: %s has one: %s',
  (api_base, payer, catalogue, expected) => {
    const own = catalogue === undefined ? {} : { catalogue }
    const config = parseConfig(
      {
        payers: {
          cash: { kind: 'agentcash' },
          key: { kind: 'direct', key: '${env:K}', networks: ['base'] },
        },
        model_list: [{ model_name: 'paid/*', api_base, payer, ...own }],
      },
      { K: `0x${'11'.repeat(32)}` },
    )
    expect(config.routes[0]?.catalogue).toBe(expected)
  },
)

test.each(['send_traceparent', 'terms'])(
  '%s without a payer is a mistake that is told at the start',
  (key) => {
    const route = {
      model_name: 'm',
      api_base: 'https://seller.test/v1',
      [key]: key === 'terms' ? 'ask' : true,
    }
    expect(() => parseConfig({ model_list: [route] }, {})).toThrow(
      `model_list[0].${key}: is for paid routes only. Name a payer, or remove it.`,
    )
  },
)
