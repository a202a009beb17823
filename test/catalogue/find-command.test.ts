/** `tollway find` against sellers of this machine: who sells it, what it asks now, whether it can be paid, and the route to paste. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { afterEach, describe, expect, it } from 'vitest'
import { run } from '../../src/app/cli/run.ts'
import { parseConfig } from '../../src/app/config/load.ts'
import { temporaryDirectory } from '../config/config-file.ts'
import { FakeTerminal } from '../cli/fake-terminal.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'
import { challengeV2, json, OFFER, type Answer } from '../kit/seller-answers.ts'
import { CATALOG_V2, SERVICES, UNSUPPORTED } from './documents.ts'

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0)) await end()
})

const PAYERS = { base: { kind: 'direct', key: '${env:KEY}', networks: ['base-sepolia'] } }

interface Found {
  readonly listing: string
  readonly payable: string
  readonly why: string
  readonly payer: string | null
  readonly asked_now: boolean
  readonly usd_now: string | null
  readonly differs_from_catalogue: readonly string[]
  readonly last_probe: { readonly status: number | null; readonly note: string } | null
  readonly model_list_entry: string | null
}

/** A seller with a storefront that lists its own model, and what it answers to an unpaid call. */
async function startShop(change: object = {}, answer: Answer = challengeV2([OFFER])) {
  const shop: ScriptedSeller = await startScriptedSeller(({ url }) =>
    url === '/api/services.json'
      ? json([{ ...SERVICES[0], endpoint: '/services/qwen', ...change }])
      : url === '/services/qwen/v1/chat/completions'
        ? answer
        : { status: 404, headers: {}, body: '' },
  )
  ends.push(() => shop.close())
  return shop
}

/** Commands in a directory of their own. */
function open(config: object = { payers: PAYERS }) {
  const directory = temporaryDirectory()
  const file = join(directory, 'tollway.yaml')
  writeFileSync(file, JSON.stringify(config))
  const command = async (...args: string[]): Promise<FakeTerminal & { readonly code: number }> => {
    const terminal = new FakeTerminal()
    const code = await run([...args, '--config', file, '--allow-private'], terminal)
    return Object.assign(terminal, { code })
  }
  return {
    directory,
    command,
    find: async (...args: string[]): Promise<Found[]> => {
      const { out } = await command('find', ...args, '--json')
      return (JSON.parse(out) as { found: Found[] }).found
    },
  }
}

describe('tollway find', () => {
  it('asks nobody unless it is told to, and says that the price of now is not known', async () => {
    const shop = await startShop()
    const { command, find } = open()
    await command('catalog', 'add', shop.url, '--name', 'home')
    shop.requests.length = 0
    const [found] = await find('qwen')
    expect(found).toMatchObject({
      listing: 'home/llm/qwen',
      payable: 'unknown',
      payer: 'base',
      asked_now: false,
      usd_now: null,
      last_probe: null,
    })
    expect(shop.requests).toHaveLength(0)
  })

  it('asks for the price of now, pays nothing, and remembers what it heard', async () => {
    const shop = await startShop()
    const { command, find } = open()
    await command('catalog', 'add', shop.url, '--name', 'home')
    const [found] = await find('qwen', '--probe')
    expect(found).toMatchObject({
      payable: 'yes',
      payer: 'base',
      asked_now: true,
      usd_now: '0.001',
      differs_from_catalogue: [],
      last_probe: { status: 402, note: '' },
    })
    expect(shop.payments).toHaveLength(0)
    expect((await find('qwen'))[0]?.last_probe).toMatchObject({ status: 402 })
    expect((await command('catalog', 'show', 'home/llm/qwen')).out).toMatch(/402 +\$0\.001 +yes/)
    const { out } = await command('find', 'qwen', '--probe')
    expect(out).toMatch(
      /asks now +\$0\.001\n +payable +yes\. It asks \$0\.001 in USDC on base-sepolia; base would pay\./,
    )
  })

  it('proposes a route that the configuration takes as it stands, pinned to payee, token and network of the catalogue', async () => {
    const shop = await startShop()
    const { command, find } = open()
    await command('catalog', 'add', shop.url, '--name', 'home')
    const entry = (await find('qwen'))[0]?.model_list_entry ?? ''
    const config = parseConfig(
      { payers: PAYERS, ...(parse(entry) as object) },
      { KEY: `0x${'1'.repeat(64)}` },
    )
    expect(config.routes).toMatchObject([
      {
        modelName: 'paid/qwen3.5:9b',
        model: 'qwen3.5:9b',
        apiBase: `${shop.url}/services/qwen/v1`,
        payer: 'base',
        pin: { network: OFFER.network, asset: OFFER.asset.toLowerCase(), payTo: [OFFER.payTo.toLowerCase()] },
      },
    ])
  })

  it.each<[string, object, RegExp]>([
    [
      'payee',
      { payTo: '0x00000000000000000000000000000000000000cc' },
      /^The 402 pays 0x0+cc on base-sepolia; the catalogue names 0x90F7/,
    ],
    [
      'price',
      { amount: '2000' },
      /^The 402 asks for 2000 units on base-sepolia; the catalogue names 1000\.$/,
    ],
    [
      'token',
      { asset: '0x00000000000000000000000000000000000000cc' },
      /^The 402 asks for another token on base-sepolia/,
    ],
    ['network', { network: 'eip155:8453' }, /^The catalogue names base-sepolia; the 402 asks on base\.$/],
  ])(
    'flags a 402 that differs from its catalogue in the %s, and pins what the catalogue said',
    async (_what, change, told) => {
      const shop = await startShop({}, challengeV2([{ ...OFFER, ...change }]))
      const { command, find } = open()
      await command('catalog', 'add', shop.url, '--name', 'home')
      const [found] = await find('qwen', '--probe')
      expect(found?.differs_from_catalogue).toEqual([expect.stringMatching(told)])
      expect(found?.last_probe?.note).toContain(found?.differs_from_catalogue[0])
      expect(found?.model_list_entry).toContain(OFFER.payTo.toLowerCase())
      expect((await command('find', 'qwen', '--probe')).out).toMatch(/DIFFERS +The /)
    },
  )

  it.each<[string, object, Answer, RegExp]>([
    ['a price above the ceiling', {}, challengeV2([{ ...OFFER, amount: '5000000' }]), /\$5/],
    ['a zero amount', {}, challengeV2([{ ...OFFER, amount: '0' }]), /base: .*zero/],
    [
      'a network without a payer',
      { payers: { base: { ...PAYERS.base, networks: ['base'] } } },
      challengeV2([OFFER]),
      /may pay on eip155:8453 only/,
    ],
    [
      'no payer at all',
      { payers: {} },
      challengeV2([OFFER]),
      /No payer is configured; it takes payments on base-sepolia/,
    ],
    ['an answer that asks for nothing', {}, json({}), /answered 200 and asks for no payment/],
    ['a login', {}, json({}, {}, 401), /asks for a login/],
    ['a 402 that cannot be read', {}, { status: 402, headers: {}, body: 'pay' }, /402/],
    [
      'a payee that policy does not allow',
      {
        model_list: [{ model_name: 'x', api_base: 'ORIGIN/v1', payer: 'base' }],
        policy: { sellers: { ORIGIN: { pay_to: ['0x209693bc6afc0c5328ba36faf03c514ef312287c'] } } },
      },
      challengeV2([OFFER]),
      /payee|paid at/i,
    ],
  ])('says why it cannot pay: %s', async (_case, config, answer, why) => {
    const shop = await startShop({}, answer)
    const text = JSON.stringify({ payers: PAYERS, ...config }).replaceAll('ORIGIN', shop.url)
    const { command, find } = open(JSON.parse(text) as object)
    await command('catalog', 'add', shop.url, '--name', 'home')
    expect((await find('qwen', '--probe'))[0]).toMatchObject({
      payable: 'no',
      why: expect.stringMatching(why) as unknown,
    })
    expect(shop.payments).toHaveLength(0)
  })

  it('explains unsupported services and never calls them', async () => {
    const seller = await startShop()
    const { directory, command, find } = open()
    const entries = UNSUPPORTED.entries.map((entry) => ({
      ...entry,
      upstream_ref: { service_url: seller.url },
    }))
    writeFileSync(join(directory, 'unsupported.json'), JSON.stringify({ ...UNSUPPORTED, entries }))
    await command('catalog', 'add', join(directory, 'unsupported.json'), '--name', 'no')
    expect(await find('fal', '--probe')).toMatchObject([
      {
        payable: 'no',
        asked_now: false,
        why: expect.stringContaining('Answers with files.') as unknown,
        model_list_entry: null,
      },
    ])
    expect(seller.requests).toHaveLength(0)
  })

  it('asks a GET by GET, a service without a method by POST where GET is not taken, and proposes no route for either', async () => {
    const seller = await startScriptedSeller(({ method, url }) =>
      url === '/v1/result' || method === 'POST'
        ? challengeV2([{ ...OFFER, amount: '10000' }])
        : json({}, {}, 405),
    )
    ends.push(() => seller.close())
    const { directory, command, find } = open()
    const at = (path: string): object => ({
      ...CATALOG_V2.entries[0],
      id: path.slice(1),
      upstream_ref: { service_url: seller.url },
      endpoint: {
        path,
        ...(path === '/v1/result' ? { method: 'GET', cost_usdc: 0.01 } : { cost_usdc: 0.5 }),
      },
    })
    writeFileSync(
      join(directory, 'catalog.json'),
      JSON.stringify({ version: 2, entries: [at('/v1/result'), at('/send')] }),
    )
    await command('catalog', 'add', join(directory, 'catalog.json'), '--name', 'tools')
    const found = await find('wolfram', '--probe')
    expect(
      found.map(({ listing, usd_now, model_list_entry, differs_from_catalogue }) => [
        listing,
        usd_now,
        model_list_entry,
        differs_from_catalogue,
      ]),
    ).toEqual([
      ['tools/send', '0.01', null, ['The 402 asks $0.01; the catalogue names $0.5.']],
      ['tools/v1/result', '0.01', null, []],
    ])
    expect(seller.requests.map(({ method, url }) => `${method} ${url}`).toSorted()).toEqual([
      'GET /send',
      'GET /v1/result',
      'POST /send',
    ])
  })

  it('asks the Bazaars when it is told to, and says which could not be asked', async () => {
    const item = {
      resource: 'https://sms.seller.example/send',
      type: 'http',
      accepts: [OFFER],
      description: 'Sends an SMS',
    }
    const bazaar = await startScriptedSeller(({ url }) =>
      url.startsWith('/discovery/search?query=sms&')
        ? json({ x402Version: 2, resources: [item], pagination: null })
        : url.startsWith('/discovery/resources')
          ? json({ x402Version: 2, items: [], pagination: { total: 0 } })
          : json({}, {}, 500),
    )
    ends.push(() => bazaar.close())
    const { command, find } = open()
    await command('catalog', 'add', `${bazaar.url}/discovery/resources`, '--name', 'bazaar')
    expect(await find('sms')).toEqual([])
    expect(await find('sms', '--online')).toMatchObject([
      { listing: 'bazaar/https://sms.seller.example/send' },
    ])
    const { code, out } = await command('find', 'fax', '--online')
    expect([code, out]).toEqual([1, expect.stringMatching(/Could not ask bazaar: .*it answered 500/)])
  })

  it('proposes no text of a stranger that a configuration would read as a secret or as keys of its own', async () => {
    const models = ['${env:TOLLWAY_WALLET_KEY}', '"\n    payer: other\n    api_key: x', 'a: b # c', "x', y"]
    const shop = await startShop()
    const { directory, command, find } = open()
    const services = models.map((model, index) => ({
      ...SERVICES[0],
      name: `qwen${index}`,
      endpoint: `${shop.url}/services/qwen`,
      model,
    }))
    writeFileSync(join(directory, 'services.json'), JSON.stringify(services))
    await command('catalog', 'add', join(directory, 'services.json'), '--name', 'evil')
    const found = await find('qwen0 qwen1 qwen2 qwen3')
    expect(found).toHaveLength(4)
    for (const { model_list_entry: entry } of found) {
      if (entry === null) continue
      const { model_list: list } = parse(entry) as { model_list: Record<string, unknown>[] }
      expect(list.map((route) => Object.keys(route))).toEqual([
        ['model_name', 'model', 'api_base', 'payer', 'pin'],
      ])
      expect(list[0]?.['payer']).toBe('base')
      expect(entry).not.toContain('${')
    }
    expect(found.filter(({ model_list_entry: entry }) => entry === null)).toHaveLength(1)
  })

  it('works without a configuration, and says what would be needed', async () => {
    const shop = await startShop()
    const directory = temporaryDirectory()
    const index = join(directory, 'index.db')
    const terminal = new FakeTerminal()
    await run(['catalog', 'add', shop.url, '--index', index, '--allow-private'], terminal)
    const found = new FakeTerminal()
    expect(await run(['find', 'qwen', '--probe', '--index', index, '--allow-private'], found)).toBe(0)
    expect(found.out).toMatch(/payable +NO\. No payer is configured; it takes payments on base-sepolia\./)
    expect(found.out).toContain('payer: wallet # no payer is configured yet: tollway init')
  })

  it('asks no seller inside the network of this machine unless the user says so', async () => {
    const shop = await startShop()
    const index = join(temporaryDirectory(), 'index.db')
    await run(['catalog', 'add', shop.url, '--index', index, '--allow-private'], new FakeTerminal())
    shop.requests.length = 0
    const terminal = new FakeTerminal()
    await run(['find', 'qwen', '--probe', '--index', index], terminal)
    expect(terminal.out).toContain('is not on the public internet')
    expect(shop.requests).toHaveLength(0)
  })
})
