/**
 * Lines that users of Obol's buy.py type every day, in a directory without a configuration: the wallet is the remote signer of
 * their pod, the node its eRPC.
 */
// As members: a package that others load replaces them on the object.
import process from 'node:process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createProgram, run } from '../../src/app/cli/run.ts'
import { findNetwork } from '../../src/core/money/assets.ts'
import { startChain, type LocalChain } from '../../src/app/sandbox/chain/chain.ts'
import { temporaryDirectory } from '../config/config-file.ts'
import { startRemoteSigner, type RemoteSigner } from '../kit/remote-signer.ts'
import { startRpcProxy, type RpcProxy } from '../kit/rpc-proxy.ts'
import { challengeV2, json, OFFER } from '../kit/seller-answers.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'
import { FakeTerminal } from './fake-terminal.ts'

let chain: LocalChain
let erpc: RpcProxy
let signer: RemoteSigner
let seller: ScriptedSeller
const home = process.cwd()

beforeAll(async () => {
  chain = await startChain()
  erpc = await startRpcProxy(chain.rpcUrl)
  signer = await startRemoteSigner([chain.accounts.buyer.privateKey])
})
afterAll(async () => {
  await signer?.close()
  await erpc?.close()
  await chain?.close()
})
beforeEach(async () => {
  seller = await startScriptedSeller()
  process.chdir(temporaryDirectory())
})
afterEach(async () => {
  process.chdir(home)
  await seller.close()
})

async function type(line: string, env: Record<string, string> = {}) {
  const terminal = new FakeTerminal({
    REMOTE_SIGNER_URL: signer.url,
    REMOTE_SIGNER_TOKEN: signer.token,
    ERPC_URL: `${erpc.url}/rpc`,
    ERPC_NETWORK: 'base-sepolia',
    ...env,
  })
  const code = await run(line.replaceAll('$BASE', seller.url).split(' '), terminal)
  return { code, out: terminal.out, err: terminal.err }
}

describe("buy.py's lines", () => {
  it.each([
    'probe $BASE --type inference --model qwen',
    'probe $BASE/weather --type http --method GET',
    'probe $BASE/weather --type http --method POST --data {"city":"Athens"}',
    'probe $BASE --type inference --data {"model":"qwen","messages":[]}',
    'probe $BASE/services/my-model/v1/chat/completions',
    'probe $BASE/services/my-model/v1/chat/completions --model qwen3.5:35b',
    'probe $BASE/services/demo-quant --type agent',
    'probe $BASE/services/demo-hello --type=http',
  ])('%s shows the price', async (line) => {
    expect(await type(line)).toMatchObject({ code: 0, out: expect.stringContaining('0.001 USDC') as unknown })
    expect(seller.payments).toHaveLength(0)
  })

  it.each([
    ['pay $BASE --type inference --model qwen', 'POST', '/v1/chat/completions', { model: 'qwen' }],
    ['pay $BASE/v1 --type inference --model qwen', 'POST', '/v1/chat/completions', { model: 'qwen' }],
    ['pay $BASE --type inference --data {"model":"own"}', 'POST', '/v1/chat/completions', { model: 'own' }],
    ['pay $BASE/weather?city=Athens --type http --method GET', 'GET', '/weather?city=Athens', undefined],
    ['pay $BASE/weather --method PUT --data {"city":"Athens"}', 'PUT', '/weather', { city: 'Athens' }],
    ['pay $BASE/services/demo-hello', 'GET', '/services/demo-hello', undefined],
    ['pay $BASE/hello --network eip155:84532 --token USDC --payment-option=1', 'GET', '/hello', undefined],
    ['pay $BASE/hello --timeout 100', 'GET', '/hello', undefined],
    ['pay $BASE --type agent --data {"messages":[],"stream":true}', 'POST', '/v1/chat/completions', {}],
  ])('%s pays once', async (line, method, url, body) => {
    const ended = await type(line)
    expect(ended).toMatchObject({ code: 0 })
    expect(seller.payments).toHaveLength(1)
    expect(seller.payments[0]).toMatchObject({ method, url })
    const sent = seller.payments[0]?.body.toString() ?? ''
    if (body === undefined) expect(sent).toBe('')
    else expect(JSON.parse(sent)).toMatchObject(body)
  })

  it('pay --timeout ends a call that takes longer, and says whether it was paid', async () => {
    seller.follow({ unpaid: () => undefined })
    const ended = await type('pay $BASE/slow --timeout 1')
    expect(ended.code).toBe(1)
    expect(ended.err).toContain('othing was')
    expect(seller.payments).toHaveLength(0)
  })

  it('pay --auth-ttl says that a single payment ends by itself', async () => {
    const ended = await type('pay $BASE/hello --auth-ttl 86400')
    expect(ended).toMatchObject({
      code: 0,
      err: expect.stringMatching(/^note: --auth-ttl is for vouchers/) as unknown,
    })
  })

  it('pay on a network that the line names pays there and nowhere else', async () => {
    const ended = await type('pay $BASE/hello --network base')
    expect(ended.code).not.toBe(0)
    expect(seller.payments).toHaveLength(0)
    expect(await type('pay $BASE/hello --network base-sepolia', { ERPC_NETWORK: 'base' })).toMatchObject({
      code: 0,
    })
  })

  it('OBOL_BUYER_USER_AGENT is what the seller sees', async () => {
    await type('pay $BASE/hello', { OBOL_BUYER_USER_AGENT: 'obol-buy-x402/1.0' })
    expect(seller.payments[0]?.headers['user-agent']).toBe('obol-buy-x402/1.0')
  })

  it.each(['maintain', 'maintain --json', 'process --all', 'list', 'list --json', 'balance'])(
    '%s works before anything was bought',
    async (line) => {
      expect(await type(line)).toMatchObject({ code: 0 })
    },
  )

  it('buy --set-default says how the agent gets the model', async () => {
    const ended = await type('buy qwen --endpoint $BASE --model qwen --count 1 --set-default')
    expect(ended).toMatchObject({
      code: 0,
      err: expect.stringContaining('tollway init openclaw --primary paid/qwen') as unknown,
    })
  })

  it('OBOL_X402_AUTH_TTL says how long vouchers live, as --auth-ttl does', async () => {
    const buy = 'buy qwen --endpoint $BASE --model qwen --count 1'
    const ended = await type(`${buy} --json`, { OBOL_X402_AUTH_TTL: '7200' })
    const { earliest_expiry: expiry } = JSON.parse(ended.out) as { earliest_expiry: string }
    expect(Date.parse(expiry) - Date.now()).toBeLessThan(7_200_000)
    expect((await type(buy, { OBOL_X402_AUTH_TTL: 'never' })).err).toMatch(
      /OBOL_X402_AUTH_TTL is never.*2592000/s,
    )
  })

  it("a PurchaseRequest goes to the namespace of buy.py's pod", async () => {
    const line = 'buy qwen --endpoint $BASE --model qwen --count 1 --emit purchase-request --out .'
    expect(await type(line, { AGENT_NAMESPACE: 'hermes-obol-agent' })).toMatchObject({ code: 0 })
    const manifest = readdirSync('.').find((name) => name.endsWith('.yaml')) ?? ''
    expect(readFileSync(manifest, 'utf8')).toContain('namespace: hermes-obol-agent')
  })

  it('refill and remove, which buy.py only announces, work', async () => {
    await type('buy qwen --endpoint $BASE --model qwen --count 1')
    expect(await type('refill qwen --count 2')).toMatchObject({ code: 0 })
    expect(await type('remove qwen')).toMatchObject({ code: 0 })
  })

  it('buy without --count buys for 100 USDC, at most 1,000, and needs no configuration', async () => {
    // Three only, so that the test need not wait for a thousand signatures.
    const order = await type('buy qwen --endpoint $BASE --model qwen --auth-ttl 86400 --max-total 3 --json')
    expect(order.code).toBe(3)
    expect(JSON.parse(order.out)).toMatchObject({ wanted: 1000, signed: 3, stopped: 'limit' })
    expect(existsSync('tollway.db')).toBe(true)
    const list = await type('list --json')
    expect(JSON.parse(list.out)).toMatchObject([{ name: 'qwen' }])
    expect((await type('process --all')).out).toMatch(/qwen/)
    expect((await type('maintain --all')).out).toMatch(/qwen/)
    expect((await type('status qwen')).code).toBe(0)
  })

  it.each([
    'buy qwen --endpoint $BASE --model qwen --count 5 --auto-refill --refill-threshold 2 --refill-count 3',
    'buy qwen --endpoint $BASE --model qwen --budget 5000 --cost-cap 0.002 --network base-sepolia --token USDC',
    'buy qwen --endpoint $BASE/v1/chat/completions --model qwen --count 5 --payment-option 1 --auth-ttl 60',
    'buy qwen --endpoint $BASE --model qwen --count 5 --auto-refill=true --refill-threshold=2 --refill-count=3',
    'buy qwen --endpoint $BASE --model qwen --count 5 --auto-refill false --force',
    'buy qwen --endpoint $BASE --model qwen --budget $0.005 --network eip155:84532',
    'buy qwen --endpoint $BASE --model qwen --count 5 --cost-cap 1000',
  ])('%s signs five', async (line) => {
    expect(await type(line)).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^Signed 5 of 5/) as unknown,
    })
  })

  it.each(['0', 'never', 'none', '-1'])(
    '--auth-ttl %s, a voucher that never ends, is refused',
    async (ttl) => {
      const ended = await type(`buy qwen --endpoint $BASE --model qwen --count 1 --auth-ttl=${ttl}`)
      expect(ended.code).toBe(2)
      expect(ended.err).toContain('2592000')
      expect(seller.requests).toHaveLength(0)
    },
  )

  it('balance --chain reads the wallet of the remote signer', async () => {
    const ended = await type('balance --chain base-sepolia --json')
    expect(ended.code).toBe(0)
    const rows = JSON.parse(ended.out) as { token: string; balance: string; address: string }[]
    expect(rows.find(({ token }) => token === 'USDC')).toMatchObject({
      balance: expect.stringMatching(/^1000(\.0+)?$/) as unknown,
      address: expect.stringMatching(new RegExp(chain.accounts.buyer.address, 'i')) as unknown,
    })
  })

  it.each(['base', 'mainnet', 'ethereum', 'eip155:8453', 'sepolia', 'hoodi'])(
    'balance --chain %s asks for a network that ERPC_NETWORK does not name',
    async (network) => {
      const ended = await type(`balance --chain ${network} --json`)
      expect(ended.err).toBe('')
      const rows = JSON.parse(ended.out) as { network: string }[]
      expect(new Set(rows.map((row) => row.network))).toEqual(new Set([findNetwork(network)?.alias]))
    },
  )

  it('balance --chain names the networks that there are', async () => {
    const ended = await type('balance --chain base-sepolis')
    expect(ended.code).toBe(2)
    expect(ended.err).toMatch(/base-sepolis.*base-sepolia/s)
  })
})

describe('commands of other programs that have no counterpart of their name', () => {
  it.each([
    ['go $BASE', /tollway probe <url>.*tollway pay <url>/],
    ["go $BASE/services/agent --message 'your task'", /tollway pay <url>/],
    [
      'pay-agent $BASE/services/agent --model qwen --data {"messages":[]} --timeout 3600',
      /tollway pay <url> --data/,
    ],
    ['siwx $BASE/services/agent --fetch --method GET', /policy: \{ sign_in: true \}/],
    ['fetch $BASE/weather -m POST -b {} --format json', /tollway pay <url> --request POST/],
    ['curl $BASE/weather', /tollway pay <url>/],
    ['agent_pay $BASE/weather', /tollway mcp/],
    ['start', /tollway serve --blockrun/],
    ['pay-agent $BASE/services/agent --message hello', /tollway pay <url> --data/],
    ['siwx $BASE/services/agent', /policy: \{ sign_in: true \}/],
  ])('%s says in one line what does its work', async (line, instead) => {
    const ended = await type(line)
    expect([ended.code, ended.out, ended.err.trim().split('\n')]).toEqual([
      2,
      '',
      [expect.stringMatching(instead)],
    ])
    expect(seller.requests).toHaveLength(0)
  })
})

describe('a storefront given by its catalogue', () => {
  const services = { services: [{ name: 'Qwen', model: 'qwen', endpoint: '/services/qwen' }, 'junk'] }

  beforeEach(() => {
    seller.follow({
      unpaid: ({ url }) => (url === '/api/services.json' ? json(services) : challengeV2([OFFER])),
    })
  })

  it('is listed by probe', async () => {
    const ended = await type('probe $BASE/api/services.json --json')
    expect(ended.code).toBe(0)
    expect(JSON.parse(ended.out)).toMatchObject({ services: [{ name: 'Qwen', model: 'qwen' }] })
  })

  it('leads buy to the service with the model', async () => {
    const ended = await type('buy qwen --endpoint $BASE/api/services.json --model qwen --count 2')
    expect(ended).toMatchObject({ code: 0, out: expect.stringMatching(/^Signed 2 of 2/) as unknown })
    expect(seller.requests.at(-1)?.url).toBe('/services/qwen/v1/chat/completions')
  })

  it('names the models there are when buy asks for another', async () => {
    const ended = await type('buy qwen --endpoint $BASE/api/services.json --model quen --count 2')
    expect(ended.code).toBe(2)
    expect(ended.err).toMatch(/quen.*qwen/s)
    expect(seller.requests.map(({ url }) => url)).toEqual(['/api/services.json'])
  })
})

describe('without a wallet in the environment', () => {
  it('pay says where it looked for a configuration', async () => {
    const ended = await type('pay $BASE/weather', { REMOTE_SIGNER_URL: '' })
    expect(ended.code).toBe(2)
    expect(ended.err).toContain('tollway.yaml')
    expect(seller.requests).toHaveLength(0)
  })
})

describe('a named configuration file', () => {
  it('is never replaced by the environment', async () => {
    const ended = await type('pay $BASE/weather --config other.yaml')
    expect(ended.code).toBe(2)
    expect(ended.err).toContain('other.yaml')
    expect(seller.requests).toHaveLength(0)
  })
})

describe('docs/from-buy-x402.md', () => {
  const page = readFileSync(new URL('../../docs/from-buy-x402.md', import.meta.url), 'utf8')
  const lines = [...page.matchAll(/`(tollway [^`]+)`/g)].flatMap(([, line]) => line ?? [])

  it.each(lines)('%s is a command with these options', (line) => {
    const [, name = '', ...words] = line.split(' ')
    const terminal = new FakeTerminal()
    const program = createProgram({ terminal, end: () => undefined })
    const command = program.commands.find((one) => one.name() === name)
    const known = command?.options.map(({ long }) => long)
    for (const option of words.filter((word) => word.startsWith('--'))) expect(known).toContain(option)
  })
})
