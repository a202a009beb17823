/** `tollway probe` and `tollway pay` against a local chain: what they say, spend and leave behind. */

import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { RequestListener } from 'node:http'
import { serveOnLoopback } from '../../src/io/transport/loopback.ts'
import { approvePermit2 } from '../kit/approve.ts'
import { openShop, startBuyingWorld, type BuyingWorld, type Shop } from '../kit/buying.ts'
import { completion, challengeV2, receiptV1, RECEIPT, send } from '../kit/seller-answers.ts'

/** The records of a type that commands wrote. */
async function audit(type: string): Promise<Record<string, unknown>[]> {
  const lines = readFileSync(join(shop.directory, 'audit.cli.jsonl'), 'utf8').trimEnd().split('\n')
  return lines
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter((one) => one['type'] === type)
}

/** A service that asks 2500 units (x402 v1) and takes any payment: what comes back is what is tried here, not settlement. */
function paidService(answer: RequestListener): RequestListener {
  return (request, response) => {
    if (request.headers['x-payment'] !== undefined) return answer(request, response)
    response.writeHead(402, { 'content-type': 'application/json' })
    const { chain } = world
    const offer = {
      scheme: 'exact',
      network: chain.v1Network,
      maxAmountRequired: '2500',
      resource: 'http://127.0.0.1/',
      payTo: chain.accounts.seller.address,
      maxTimeoutSeconds: 60,
      asset: chain.token.address,
      extra: { name: 'USDC', version: '2' },
    }
    response.end(JSON.stringify({ x402Version: 1, error: 'pay', accepts: [offer] }))
  }
}

/** A storefront: a catalogue, a paid and a free path. */
function storefront(): RequestListener {
  const service = {
    name: 'qwen',
    type: 'inference',
    model: 'qwen3.5:9b',
    endpoint: 'https://seller.example.com/services/qwen',
    caip2Network: 'eip155:84532',
    priceAtomicUnits: '1000',
    asset: { symbol: 'USDC', decimals: 6 },
  }
  const paid = paidService((_request, response) => void response.end())
  return (request, response) => {
    if (request.url === '/api/services.json') response.end(JSON.stringify({ services: [service, 'junk'] }))
    else if (request.url === '/paid') paid(request, response)
    else if (request.method === 'GET') response.end('free')
    else response.writeHead(404).end()
  }
}

let started: BuyingWorld
let world: BuyingWorld['world']
let permit2: BuyingWorld['permit2']
let signer: BuyingWorld['signer']
let shop: Shop

beforeAll(async () => {
  started = await startBuyingWorld()
  ;({ world, permit2, signer } = started)
})
afterAll(async () => await started?.close())
beforeEach(() => {
  shop = openShop(world.chain, {}, signer)
})
afterEach(() => {
  shop.remove()
})

const MODEL = 'sandbox-small'
const seller = (): string => world.streamingSeller.apiBase

describe('probe', () => {
  test('shows what an API base asks for, and pays nothing', async () => {
    const before = await world.chain.transfers()
    const probed = await shop.tollway('probe', seller(), '--model', MODEL)
    expect(probed).toMatchObject({ code: 0, err: '' })
    expect(probed.out).toMatch(
      /asks for payment \(x402 version 2\)[^]*1 +0\.001 USDC +\$0\.001 +base-sepolia +exact/,
    )
    expect(await world.chain.transfers()).toEqual(before)
  })

  test('takes a storefront apart: its services, and the offers of one of them', async () => {
    const store = await serveOnLoopback(storefront())
    try {
      const front = await shop.tollway('probe', store.url)
      expect(front.code).toBe(0)
      expect(front.out).toMatch(/SERVICE[^]*qwen +inference +qwen3\.5:9b +0\.001 USDC +base-sepolia/)
      const json = await shop.tollway('probe', `${store.url}/paid`, '--json')
      expect(json.json()).toMatchObject({
        status: 402,
        x402_version: 1,
        offers: [{ option: 1, token: 'USDC', amount: '2500', price: '0.0025', usd: '0.0025' }],
      })
      const free = await shop.tollway('probe', `${store.url}/free`, '-X', 'GET')
      expect(free).toMatchObject({ code: 1, err: '' })
      expect(free.out).toContain('returned 200 and does not ask for payment.')
    } finally {
      await store.close()
    }
  })

  test('an address that nobody answers ends with 1 and says so, one that is none with 2', async () => {
    const gone = await shop.tollway('probe', 'http://127.0.0.1:1/v1', '--model', 'x')
    expect(gone.code).toBe(1)
    expect(gone.err).toContain('could not be connected to; nothing was paid')
    expect((await shop.tollway('probe', 'ftp://seller')).code).toBe(2)
    expect((await shop.tollway('probe', 'http://seller.example.com')).err).toContain('Use https')
  })
})

describe('pay', () => {
  const question = JSON.stringify({ model: MODEL, messages: [{ role: 'user', content: 'hello' }] })

  test('pays a POST once, prints the answer and tells the receipt beside it', async () => {
    // The others have a signer that runs already; here the key is in a file, and the command opens it.
    shop.remove()
    shop = openShop(world.chain)
    const before = (await world.chain.transfers()).length
    const paid = await shop.tollway(
      'pay',
      `${seller()}/chat/completions`,
      '-d',
      question,
      '--max-usd',
      '0.01',
    )
    expect(paid.code).toBe(0)
    expect(JSON.parse(paid.out)).toMatchObject({ object: 'chat.completion' })
    expect(paid.err).toMatch(
      /^Paid 0\.001 USDC \(\$0\.001\) to 0x[0-9a-f]{40}; charge chg_\w+, transaction 0x[0-9a-f]{64}\.\n$/,
    )
    const transfers = (await world.chain.transfers()).slice(before)
    expect(transfers).toMatchObject([{ value: 1000n }])
    expect(await audit('request')).toMatchObject([
      { caller: 'cli', route: 'pay', outcome: 'paid', spent: 'yes' },
    ])
  })

  test('pays an x402 v1 seller, and by Permit2', async () => {
    await approvePermit2(world.chain, 10_000n)
    const urls = [world.v1Seller.apiBase, permit2.apiBases.plain].map((base) => `${base}/chat/completions`)
    for (const url of urls) {
      const paid = await shop.tollway('pay', url, '-d', question, '--json')
      expect(paid.json()).toMatchObject({ status: 200, spent: 'yes', usd: '0.001', error: null })
    }
  })

  test('a GET with a binary answer goes to a file, byte for byte', async () => {
    const bytes = Buffer.from(Array.from({ length: 70_000 }, (_, n) => (n * 7) % 256))
    const service = await serveOnLoopback(paidService((_request, response) => void response.end(bytes)))
    try {
      const file = join(shop.directory, 'boat.png')
      const paid = await shop.tollway('pay', `${service.url}/draw?what=boat`, '--max-usd', '0.01', '-o', file)
      expect([paid.code, paid.out]).toEqual([0, ''])
      expect(paid.err).toContain(`The response is in ${file}.`)
      expect(readFileSync(file).equals(bytes)).toBe(true)
      const direct = await shop.tollway('pay', `${service.url}/draw?what=boat`)
      expect(Buffer.from(direct.out, 'latin1').equals(bytes)).toBe(true)
    } finally {
      await service.close()
    }
  })

  test('a file that cannot be written is found out before anything is paid', async () => {
    const before = (await world.chain.transfers()).length
    const file = join(shop.directory, 'missing', 'x.json')
    const paid = await shop.tollway('pay', `${seller()}/chat/completions`, '-d', question, '-o', file)
    expect([paid.code, paid.err]).toEqual([2, `${file} cannot be written (ENOENT); nothing was paid.\n`])
    expect((await world.chain.transfers()).length).toBe(before)
  })

  test.each([
    ['a price over --max-usd', ['--max-usd', '0.0009'], 'price_above_limit', 3],
    ['an offer that is not there', ['--token', 'OBOL'], 'no_supported_offer', 1],
    ['another network', ['--network', 'base'], 'no_supported_offer', 1],
  ] as const)('%s is refused, recorded and costs nothing', async (_name, more, code, exit) => {
    const before = (await world.chain.transfers()).length
    const paid = await shop.tollway('pay', `${seller()}/chat/completions`, '-d', question, '--json', ...more)
    expect(paid.code).toBe(exit)
    expect(paid.json()).toMatchObject({ spent: 'no', charge: null, error: { code } })
    expect(await audit('request')).toMatchObject([{ code, spent: 'no', outcome: 'refused' }])
    expect((await world.chain.transfers()).length).toBe(before)
  })

  test('a refusal names the limit that refused, and says once that nothing was paid', async () => {
    const args = ['pay', `${seller()}/chat/completions`, '-d', question]
    const own = await shop.tollway(...args, '--max-usd', '0.0009')
    expect(own.err).toContain('Raise --max-usd if you accept this price.')
    expect(own.err).not.toContain('policy.')
    const strict = shop.write('strict.yaml', shop.settings({ policy: { max_usd_per_request: '0.0008' } }))
    const policy = await shop.tollway(...args, '--max-usd', '0.0009', '--config', strict)
    expect(policy.err).toContain('Raise policy.max_usd_per_request')
    const down = await shop.tollway('pay', 'http://127.0.0.1:9/x')
    for (const { err } of [own, policy, down]) expect(err.match(/(?:nothing was|not) paid/gi)).toHaveLength(1)
  })

  test('a budget refuses the caller cli as any other', async () => {
    const tight = shop.write(
      'tight.yaml',
      shop.settings({ budgets: [{ name: 'all', limit_usd: '0.0015', window: 'day' }] }),
    )
    const args = ['pay', `${seller()}/chat/completions`, '-d', question, '--config', tight]
    expect((await shop.tollway(...args)).code).toBe(0)
    const second = await shop.tollway(...args)
    expect(second.code).toBe(3)
    expect(second.err).toContain('Daily spending limit reached: budget all')
  })

  test('a lost reply ends with 4, names the charge and keeps it counted', async () => {
    const service = await serveOnLoopback(
      paidService((_request, response) => void response.socket?.destroy()),
    )
    try {
      const paid = await shop.tollway('pay', service.url, '--json')
      expect(paid.code).toBe(4)
      expect(paid.json()).toMatchObject({
        spent: 'unknown',
        charge: expect.stringMatching(/^chg_/),
        error: { code: 'payment_uncertain' },
      })
      const said = await shop.tollway('pay', service.url)
      expect(said.err).toContain('Do not send the request again until the outcome is known.')
    } finally {
      await service.close()
    }
  })

  test.each([
    [404, true],
    [422, true],
    [429, false],
    [400, false],
  ])('an answer of %i to a settled payment ends with 1 and is told as paid', async (status, isInHeader) => {
    const receipt = { ...RECEIPT, transaction: `0x${String(status).padStart(64, '7')}` }
    const service = await serveOnLoopback(
      paidService((_request, response) => {
        response.writeHead(status, isInHeader ? receiptV1(receipt) : {})
        response.end(JSON.stringify({ error: 'no such city', ...(isInHeader ? {} : { receipt }) }))
      }),
    )
    try {
      const said = await shop.tollway('pay', service.url)
      expect(said.code).toBe(1)
      expect(said.err).toMatch(/^Paid 0\.0025 USDC/m)
      expect(said.err).toContain(`The seller answered (status ${status}): no such city`)
      expect(said.err).not.toContain('may have been taken')
    } finally {
      await service.close()
    }
  })

  test.each([301, 302, 303, 307, 308])(
    'a redirect (%i) ends with 1, names its address and pays nothing',
    async (status) => {
      const service = await serveOnLoopback((_request, response) =>
        response.writeHead(status, { location: 'https://elsewhere.example/x' }).end(),
      )
      try {
        const said = await shop.tollway('pay', service.url)
        expect([said.code, said.out]).toEqual([1, ''])
        expect(said.err).toContain('redirects to https://elsewhere.example/x')
        const probed = await shop.tollway('probe', service.url)
        expect(probed.code).toBe(1)
        expect(probed.err).toContain('redirects to https://elsewhere.example/x')
      } finally {
        await service.close()
      }
    },
  )

  test('requests carry the User-Agent of the payer, and -H replaces it', async () => {
    const agents: (string | undefined)[] = []
    const paid = paidService((_request, response) => void response.end('yes'))
    const service = await serveOnLoopback((request, response) => {
      agents.push(request.headers['user-agent'])
      paid(request, response)
    })
    try {
      const key = join(shop.directory, 'agent.key')
      writeFileSync(key, world.chain.accounts.buyer.privateKey, { mode: 0o600 })
      const base = {
        kind: 'direct',
        key: `\${file:${key}}`,
        networks: [world.chain.v1Network],
        user_agent: 'my-agent/1',
      }
      const named = shop.write('agent.yaml', shop.settings({ payers: { base } }))
      expect((await shop.tollway('pay', service.url, '--config', named)).code).toBe(0)
      await shop.tollway('pay', service.url, '--config', named, '-H', 'user-agent: other/2')
      expect(agents).toEqual(['my-agent/1', 'my-agent/1', 'other/2', 'other/2'])
    } finally {
      await service.close()
    }
  })

  test('without -X the method is the one that the seller describes; with -X it is told that they differ', async () => {
    const methods: (string | undefined)[] = []
    const { chain } = world
    const offer = {
      scheme: 'exact',
      network: chain.network,
      amount: '1000',
      payTo: chain.accounts.seller.address,
      maxTimeoutSeconds: 60,
      asset: chain.token.address,
      extra: { name: 'USDC', version: '2' },
    }
    const described = challengeV2([offer], {
      extensions: { bazaar: { info: { input: { type: 'http', method: 'POST' } } } },
    })
    const service = await serveOnLoopback((request, response) => {
      methods.push(request.method)
      const transaction = `0x${String(methods.length).padStart(64, '5')}`
      const isPaid = request.headers['payment-signature'] !== undefined
      send(response, isPaid ? completion({}, { ...RECEIPT, transaction }) : described)
    })
    try {
      const said = await shop.tollway('pay', service.url)
      expect([said.code, methods]).toEqual([0, ['GET', 'POST', 'POST']])
      expect(said.err).toContain('called with POST, as the seller describes it')
      methods.length = 0
      const own = await shop.tollway('pay', service.url, '-X', 'GET')
      expect([own.code, methods]).toEqual([0, ['GET', 'GET']])
      expect(own.err).toContain('describes this service as POST, and it was called with GET')
    } finally {
      await service.close()
    }
  })

  test('an answer that breaks off after the payment ends with 4, and no half file is left', async () => {
    const service = await serveOnLoopback(
      paidService((_request, response) => {
        response.writeHead(200, { 'content-length': '100' })
        response.write('half', () => response.socket?.destroy())
      }),
    )
    try {
      const file = join(shop.directory, 'answer')
      const paid = await shop.tollway('pay', service.url, '-o', file)
      expect(paid.code).toBe(4)
      expect(paid.err).toContain('The seller had already accepted the payment.')
      expect(readdirSync(shop.directory).filter((name) => name.includes('answer'))).toEqual([])
    } finally {
      await service.close()
    }
  })

  test.each([
    [['-H', 'PAYMENT-SIGNATURE: x'], 'Tollway sets the header'],
    [['-d', '@/nowhere'], 'cannot be read (ENOENT)'],
    [['--payer', 'nobody'], 'unknown payer "nobody"'],
    [['--payer', 'bought'], 'has its own key'],
    [['--max-usd', '1e3'], 'decimal amount of USD'],
  ])('%j is wrong usage', async (more, words) => {
    const paid = await shop.tollway('pay', `${seller()}/chat/completions`, ...more)
    expect(paid.code).toBe(2)
    expect(paid.err).toContain(words)
  })
})
