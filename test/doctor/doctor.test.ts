/** `tollway doctor` against a real chain, a scripted seller, and gateways and files as users have them. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { stringify } from 'yaml'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { BUILT_IN_ASSETS } from '../../src/core/money/assets.ts'
import { examine } from '../../src/app/doctor/doctor.ts'
import { allowancesOf } from '../../src/app/doctor/examine-wallets.ts'
import { examineStore } from '../../src/app/doctor/examine-files.ts'
import { openSqliteStore } from '../../src/io/store/sqlite/store.ts'
import { signed, terms } from '../store/samples.ts'
import { AREAS, type Finding, type FindingArea } from '../../src/app/doctor/finding.ts'
import { startChain, type LocalChain } from '../../src/app/sandbox/chain/chain.ts'
import { run } from '../../src/app/cli/run.ts'
import { serveOnLoopback } from '../../src/io/transport/loopback.ts'
import { temporaryDirectory } from '../config/config-file.ts'
import { FakeTerminal } from '../cli/fake-terminal.ts'
import { approvePermit2 } from '../kit/approve.ts'
import { startGateway } from '../kit/gateway.ts'
import { startRpcProxy } from '../kit/rpc-proxy.ts'
import { asking, completion, json, OFFER, challengeV2 } from '../kit/seller-answers.ts'
import { startScriptedSeller } from '../kit/scripted-seller.ts'

let chain: LocalChain
beforeAll(async () => {
  chain = await startChain()
})
afterAll(() => chain.close())

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

/** Writes a configuration with one paid route, and lets `change` replace sections. */
function configFile(apiBase: string, change: Readonly<Record<string, unknown>> = {}): string {
  const file = join(temporaryDirectory(), 'tollway.yaml')
  const value = {
    listen: '127.0.0.1:9',
    payers: { base: { kind: 'direct', key: '${file:./wallet.key}', networks: ['base-sepolia'] } },
    chains: { 'base-sepolia': { rpc: chain.rpcUrl } },
    model_list: [{ model_name: 'paid/m', model: 'm', api_base: apiBase, payer: 'base' }],
    policy: { max_usd_per_request: '0.10' },
    budgets: [{ name: 'all', limit_usd: '5.00', window: 'day' }],
    ...change,
  }
  writeFileSync(file, stringify(value))
  writeFileSync(join(file, '../wallet.key'), chain.accounts.buyer.privateKey, { mode: 0o600 })
  return file
}

async function look(
  config: string,
  options: {
    readonly litellm?: string
    readonly offline?: boolean
    readonly env?: Record<string, string>
  } = {},
): Promise<Finding[]> {
  const { litellm, offline = false, env = {} } = options
  const home = { HOME: temporaryDirectory(), ...env }
  return await examine({ config, litellm, offline }, home, Date.now(), new AbortController().signal)
}

const of = (findings: readonly Finding[], area: FindingArea): Finding[] =>
  findings.filter((one) => one.area === area)

async function seller(script: Parameters<typeof startScriptedSeller>[0] = {}) {
  const started = await startScriptedSeller(script)
  ends.push(() => started.close())
  return started
}

describe('tollway doctor', () => {
  it('finds nothing wrong with a working installation, and pays nothing', async () => {
    const selling = await seller()
    const findings = await look(configFile(selling.apiBase))
    expect(findings.filter(({ status }) => status === 'problem' || status === 'warning')).toEqual([])
    expect(of(findings, 'wallets')[0]?.text).toMatch(/^Payer base holds 1000(\.0+)? USDC on base-sepolia\.$/)
    expect(of(findings, 'sellers')[0]?.text).toMatch(
      /^paid\/m at 127\.0\.0\.1:\d+ asks \$0\.001 per request\.$/,
    )
    expect(of(findings, 'nodes')[0]).toMatchObject({ status: 'ok' })
    expect(selling.payments).toEqual([])
    expect(selling.questions).toHaveLength(1)
  })

  it('sends nothing to anyone with --offline', async () => {
    const { apiBase, requests } = await seller()
    const proxy = await startRpcProxy(chain.rpcUrl)
    ends.push(() => proxy.close())
    const config = configFile(apiBase, { chains: { 'base-sepolia': { rpc: proxy.url } } })
    const findings = await look(config, { offline: true })
    expect(of(findings, 'keys')[0]).toMatchObject({ status: 'ok' })
    expect([requests.length, proxy.calls.length]).toEqual([0, 0])
  })

  it('lists every mistake of the configuration and goes on with nothing else', async () => {
    const { apiBase } = await seller()
    const findings = await look(configFile(apiBase, { listen: 'nowhere', budgets: [{ name: 'x' }] }))
    const problems = of(findings, 'configuration')
    expect(problems.length).toBeGreaterThan(1)
    expect(problems.every(({ status, fix }) => status === 'problem' && fix !== undefined)).toBe(true)
    expect(findings.filter(({ area }) => area !== 'configuration' && area !== 'program')).toEqual([])
  })

  it.each([
    ['asks more than the ceiling', asking(200_000n), /asks \$0\.2, above the ceiling of \$0\.1/],
    [
      'takes payments elsewhere only',
      challengeV2([{ ...OFFER, network: 'eip155:1' }]),
      /takes payments on .*; payer base pays on base-sepolia/,
    ],
    ['asks for no payment', completion(), /answered 200 and asked for no payment/],
    ['is broken', json({ error: 'down' }, {}, 500), /answered 500|500/],
  ])('tells that a seller %s', async (_case, unpaid, text) => {
    const { apiBase } = await seller({ unpaid })
    const [finding] = of(await look(configFile(apiBase)), 'sellers')
    expect(finding?.text).toMatch(text)
    expect(finding?.fix).toBeDefined()
  })

  it('tells an empty wallet, with the address to send to', async () => {
    const { apiBase } = await seller()
    const config = configFile(apiBase)
    // A key of nobody: the number 7.
    writeFileSync(join(config, '../wallet.key'), `0x${'0'.repeat(63)}7`)
    const [finding] = of(await look(config), 'wallets')
    expect(finding).toMatchObject({ status: 'warning' })
    expect(finding?.fix).toMatch(/^Send USDC on base-sepolia to 0x[0-9a-fA-F]{40}\.$/)
  })

  it('tells what Permit2 may take from a wallet', async () => {
    const { apiBase } = await seller()
    const config = configFile(apiBase)
    const told = async (): Promise<Finding[]> =>
      of(await look(config), 'wallets').filter(({ text }) => text.startsWith('Permit2'))
    expect(await told()).toEqual([])
    await approvePermit2(chain, 2_500_000n)
    expect(await told()).toMatchObject([
      { status: 'note', text: 'Permit2 may take up to 2.5 USDC from the wallet of base on base-sepolia.' },
    ])
    await approvePermit2(chain, 2n ** 256n - 1n)
    expect((await told())[0]?.text).toContain('may take any amount of USDC')
    await approvePermit2(chain, 0n)
  })

  it('tells a token that only Permit2 moves and has no allowance, with the command that gives one', () => {
    const row = { payer: 'base', address: '0x1', network: 'ethereum', token: 'OBOL', usd: undefined }
    const told = (balance: string, permit2Allowance: string): Finding[] =>
      allowancesOf('base', [{ ...row, balance, permit2Allowance, problem: undefined }], BUILT_IN_ASSETS)
    const [missing] = told('7.5', '0')
    expect(missing).toMatchObject({ status: 'warning', area: 'wallets' })
    expect(missing?.text).toMatch(/^Permit2 may take no OBOL from the wallet of base on ethereum: .*refused/)
    expect(missing?.fix).toContain(
      'cast send 0x0b010000b7624eb9b3dfbc279673c76e9d29d5f7 "approve(address,uint256)"',
    )
    expect(told('0.0', '0')).toEqual([])
    expect(told('7.5', '100')).toMatchObject([{ status: 'note' }])
  })

  it('tells a key that cannot be opened, and examines the rest', async () => {
    const { apiBase } = await seller()
    const config = configFile(apiBase)
    writeFileSync(join(config, '../wallet.key'), 'not a key')
    const findings = await look(config)
    expect(of(findings, 'keys')[0]).toMatchObject({ status: 'problem' })
    expect(JSON.stringify(findings)).not.toContain('not a key')
    expect(of(findings, 'sellers')[0]).toMatchObject({ status: 'ok' })
  })

  it.each([
    ['serves another network', 'eth_chainId', '0x1', /serves another network \(eip155:1\)/],
    ['is ahead of our clock', 'timestamp', 3600, /is 3\d\d\d s ahead of this machine's clock/],
    ['is far behind', 'timestamp', -3600, /is 3\d\d\d s old/],
  ])('tells a node that %s', async (_case, what, value, text) => {
    const { apiBase } = await seller()
    const proxy = await startRpcProxy(chain.rpcUrl)
    ends.push(() => proxy.close())
    proxy.lie = async (call, forward) => {
      const answer = await forward(call)
      if (call.method === what) return value
      if (call.method !== 'eth_getBlockByNumber' || what !== 'timestamp') return answer
      const seconds = Math.floor(Date.now() / 1000) + Number(value)
      return { ...(answer as object), timestamp: `0x${seconds.toString(16)}` }
    }
    const config = configFile(apiBase, { chains: { 'base-sepolia': { rpc: proxy.url } } })
    expect(of(await look(config), 'nodes')[0]?.text).toMatch(text)
  })

  it('never shows the address of a node, which may hold a key', async () => {
    const { apiBase } = await seller()
    const rpc = 'http://127.0.0.1:9/secret-key-of-the-node'
    const findings = await look(configFile(apiBase, { chains: { 'base-sepolia': { rpc } } }))
    expect(of(findings, 'nodes')[0]).toMatchObject({ status: 'problem' })
    expect(JSON.stringify(findings)).not.toContain('secret-key-of-the-node')
  })

  it('tells a store in memory, a directory that is not there, and a file that is no ledger', async () => {
    const { apiBase } = await seller()
    const texts = async (change: object): Promise<string> =>
      JSON.stringify(of(await look(configFile(apiBase, { ...change }), { offline: true }), 'store'))
    expect(await texts({ store: 'memory' })).toContain('forgotten when the gateway ends')
    expect(await texts({ store: 'sqlite:./missing/tollway.db' })).toContain('missing or cannot be written')
    const config = configFile(apiBase)
    writeFileSync(
      join(config, '../tollway.db'),
      'not a database, but long enough to be read as one'.repeat(100),
    )
    expect(of(await look(config, { offline: true }), 'store')[0]).toMatchObject({ status: 'problem' })
  })

  it('tells payments that a person should look at, and how', async () => {
    const ledger = join(temporaryDirectory(), 'flagged.db')
    const store = openSqliteStore({ path: ledger })
    await store.reserve(terms(1), [], false)
    await store.authorize(terms(1).id, signed(1), terms(1).reservedAt)
    await store.move(terms(1).id, { to: 'settled', at: terms(1).reservedAt, reason: 'x', proof: 'assumed' })
    await store.flag(terms(1).id, { flag: 'receipt_reused', detail: 'of another' }, terms(1).reservedAt)
    await store.close()
    const config = { store: `sqlite:${ledger}`, assets: [], chains: new Map<string, never>() }
    const found = await examineStore(config, Date.now())
    expect(found).toContainEqual(
      expect.objectContaining({
        status: 'warning',
        text: expect.stringContaining('receipt_reused: 1'),
        fix: expect.stringContaining('tollway reconcile'),
      }),
    )
  })

  it('compares the sums that reports read with the charges, and tells how to build them anew', async () => {
    const ledger = join(temporaryDirectory(), 'compared.db')
    const store = openSqliteStore({ path: ledger })
    for (const n of [1, 2]) {
      await store.reserve(terms(n), [], false)
      await store.authorize(terms(n).id, signed(n), terms(n).reservedAt)
      await store.move(terms(n).id, { to: 'settled', at: terms(n).reservedAt, reason: 'x', proof: 'receipt' })
    }
    await store.close()
    const config = { store: `sqlite:${ledger}`, assets: [], chains: new Map<string, never>() }
    const told = async () =>
      (await examineStore(config, Date.now())).filter(({ text }) => text.includes('sums'))
    expect(await told()).toMatchObject([
      { status: 'ok', text: 'The sums that reports read are those of all 2 charges, to the atom.' },
    ])
    const db = new DatabaseSync(ledger)
    db.exec("UPDATE rollups SET taken = '1' WHERE tile = 'day' AND tagged = 0")
    expect(await told()).toMatchObject([
      {
        status: 'warning',
        text: expect.stringContaining(
          'differ from all 2 charges in 1 places. Budgets and payments are not affected',
        ),
        fix: expect.stringContaining('DELETE FROM rollups'),
      },
    ])
    const [fix] = await told()
    db.exec(/"(DELETE[^"]*)"/.exec(fix?.fix ?? '')?.[1] ?? '')
    db.close()
    await openSqliteStore({ path: ledger }).close()
    expect(await told()).toMatchObject([{ status: 'ok' }])
  })

  it('tells the gateway that runs at the address apart from other programs', async () => {
    const { apiBase } = await seller()
    const gateway = await startGateway({ model_list: [] })
    ends.push(() => gateway.close())
    const ours = await look(configFile(apiBase, { listen: new URL(gateway.url).host }))
    expect(of(ours, 'gateway')[0]).toMatchObject({ status: 'ok' })
    expect(of(ours, 'metrics')[0]).toMatchObject({ status: 'ok' })
    const other = await serveOnLoopback((_req, res) => res.end('hello'))
    ends.push(() => other.close())
    const theirs = await look(configFile(apiBase, { listen: new URL(other.url).host }))
    expect(of(theirs, 'gateway')[0]?.text).toMatch(/^Another program answers at/)
  })

  it.each([
    [200, 'ok'],
    [401, 'problem'],
    [403, 'problem'],
    [404, 'warning'],
  ])('judges an upstream that answers %i', async (status, verdict) => {
    const { apiBase } = await seller()
    const upstream = await serveOnLoopback((_req, res) => res.writeHead(status).end('{"data":[]}'))
    ends.push(() => upstream.close())
    const config = configFile(apiBase, { upstream: { api_base: `${upstream.url}/v1`, api_key: '${env:UP}' } })
    const [finding] = of(await look(config, { env: { UP: 'key' } }), 'upstream')
    expect(finding?.status).toBe(verdict)
  })

  it('reads the wiring of OpenClaw and LiteLLM', async () => {
    const { apiBase } = await seller()
    const config = configFile(apiBase)
    const home = temporaryDirectory()
    mkdirSync(join(home, '.openclaw'))
    const openclaw = join(home, '.openclaw/openclaw.json')
    const litellm = join(home, 'litellm.yaml')
    const entry = (base: string): string =>
      `model_list:\n  - model_name: paid/m\n    litellm_params: { model: openai/paid/m, api_base: ${base} }\n`
    const wiring = async (): Promise<string[]> => {
      const findings = await look(config, { litellm, offline: true, env: { HOME: home } })
      return [...of(findings, 'openclaw'), ...of(findings, 'litellm')].map(({ status }) => status)
    }
    writeFileSync(openclaw, '{ "models": { "providers": { "x": { "baseUrl": "http://127.0.0.1:1/v1" } } } }')
    writeFileSync(litellm, entry('http://127.0.0.1:1/v1'))
    expect(await wiring()).toEqual(['warning', 'warning'])
    writeFileSync(
      openclaw,
      '{ /* ours */ "models": { "providers": { "t": { "baseUrl": "http://localhost:9/v1", } } } }',
    )
    writeFileSync(litellm, entry('http://127.0.0.1:9/v1'))
    expect(await wiring()).toEqual(['ok', 'ok'])
    writeFileSync(litellm, entry('http://127.0.0.1:9'))
    expect(await wiring()).toEqual(['ok', 'warning'])
    writeFileSync(litellm, '{')
    expect(await wiring()).toEqual(['ok', 'problem'])
  })

  it('prints a line and a fix for each finding, JSON on demand, and exits with 1 for problems only', async () => {
    const { apiBase } = await seller({ unpaid: asking(200_000n) })
    const config = configFile(apiBase)
    const text = new FakeTerminal({ HOME: temporaryDirectory() })
    expect(await run(['doctor', '--config', config], text)).toBe(1)
    expect(text.out).toMatch(/^FAIL {2}sellers {8}paid\/m .* above the ceiling/m)
    expect(text.out).toMatch(/Raise policy\.max_usd_per_request/)
    expect(text.out).toMatch(/1 problem, 0 warnings\.\n$/)
    const asJson = new FakeTerminal({ HOME: temporaryDirectory() })
    expect(await run(['doctor', '--config', config, '--offline', '--json'], asJson)).toBe(0)
    expect(JSON.parse(asJson.out)).toMatchObject({
      ok: true,
      findings: expect.arrayContaining([]) as unknown,
    })
  })

  it('is documented: every area, and every command of the page runs', async () => {
    const page = readFileSync(new URL('../../docs/doctor.md', import.meta.url), 'utf8')
    for (const area of AREAS) expect(page).toContain(`| \`${area}\` |`)
    const { apiBase } = await seller()
    const config = configFile(apiBase)
    const litellm = join(config, '../litellm_config.yaml')
    writeFileSync(litellm, 'model_list: []')
    const block = /<!-- doctor -->\n```sh\n([^`]*)```/.exec(page)?.[1] ?? ''
    const commands = block.trimEnd().split('\n')
    expect(commands).toHaveLength(3)
    for (const command of commands) {
      const args = command.replace('litellm_config.yaml', litellm).split(' ').slice(2)
      const terminal = new FakeTerminal({ HOME: temporaryDirectory() })
      expect(await run([...args, '--config', config], terminal)).toBe(0)
    }
  })
})
