/**
 * ERC-8004: agents are read from the events of a registry on a real chain (anvil, our own contract with the registry's ABI), their files
 * by https (http on this machine), inside `data:` addresses and by a gateway for IPFS.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { encodeAbiParameters, parseAbi, toHex } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { run } from '../../src/app/cli/run.ts'
import { startChain, type LocalChain } from '../../src/app/sandbox/chain/chain.ts'
import { connectLocal, mined } from '../../src/app/sandbox/chain/levers.ts'
import { namesAgent, readRegistration } from '../../src/core/catalogue/read-registration.ts'
import { ChainError, type ChainLog, type ChainReader, type LogQuery } from '../../src/io/chain/chain.ts'
import { readAgents } from '../../src/io/catalogue/agent-registry.ts'
import { temporaryDirectory } from '../config/config-file.ts'
import { FakeTerminal } from '../cli/fake-terminal.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'
import { json, type Answer } from '../kit/seller-answers.ts'
import { compileContracts } from '../tools/compile-token.mts'

const REGISTRY = '0x8004a818bfb912233c491871b3d84c89a494bd9e'
const CID = 'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi'
const abi = parseAbi([
  'function register(string agentURI) returns (uint256)',
  'function setAgentURI(uint256 agentId, string newURI)',
])

/** A registration file. */
const agent = (name: string, endpoint: string, change: object = {}): object => ({
  type: 'https://eips.ethereum.org/EIPS/eip-8004#registration-v1',
  name,
  description: `${name} answers questions`,
  services: [{ name: 'web', endpoint }],
  x402Support: true,
  active: true,
  registrations: [],
  ...change,
})

let chain: LocalChain
let write: (functionName: 'register' | 'setAgentURI', args: readonly unknown[]) => Promise<void>
beforeAll(async () => {
  chain = await startChain()
  const account = privateKeyToAccount(chain.accounts.tokenOwner.privateKey)
  const owner = connectLocal({ rpcUrl: chain.rpcUrl, chainId: chain.chainId, name: 'local', account })
  const source = readFileSync(new URL('../kit/contracts/LocalAgentRegistry.sol', import.meta.url), 'utf8')
  const contract = compileContracts({ 'LocalAgentRegistry.sol': source })
  await owner.setCode({
    address: REGISTRY,
    bytecode: contract('LocalAgentRegistry.sol', 'LocalAgentRegistry').runtime,
  })
  write = async (functionName, args) => {
    await mined(owner, owner.writeContract({ address: REGISTRY, abi, functionName, args: args as never }))
    // Final blocks are two behind.
    await owner.mine({ blocks: 3 })
  }
})
afterAll(() => chain?.close())

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0)) await end()
})

interface Shown {
  readonly listing: string
  readonly url: string
  readonly catalogue_check: { readonly status: string }
  readonly unusable: { readonly reason: string } | null
}

it('reads agents, their changes and the proofs of their domains, and goes on where it stopped', async () => {
  const documents: Record<string, Answer> = {}
  const host: ScriptedSeller = await startScriptedSeller(({ url }) => documents[url] ?? json({}, {}, 404))
  ends.push(() => host.close())
  const inside = (document: object): string =>
    `data:application/json;base64,${Buffer.from(JSON.stringify(document)).toString('base64')}`
  documents['/one.json'] = json(agent('One', 'https://one.seller.example/v1/chat/completions'))
  documents[`/ipfs/${CID}`] = json(agent('Two', 'https://two.seller.example'))
  await write('register', [`${host.url}/one.json`])
  await write('register', [`ipfs://${CID}`])
  await write('register', [inside(agent('Three', 'https://three.seller.example', { x402Support: false }))])
  await write('register', ['data:application/json,{broken'])
  await write('register', [inside(agent('Five', 'https://five.seller.example', { active: false }))])

  const directory = temporaryDirectory()
  const file = join(directory, 'tollway.yaml')
  writeFileSync(file, JSON.stringify({ chains: { 'base-sepolia': { rpc: chain.rpcUrl } } }))
  const command = async (...args: string[]): Promise<FakeTerminal & { readonly code: number }> => {
    const terminal = new FakeTerminal()
    const more = ['--config', file, '--allow-private', '--ipfs-gateway', host.url]
    return Object.assign(terminal, { code: await run(['catalog', ...args, ...more], terminal) })
  }
  const listed = async (): Promise<Shown[]> => JSON.parse((await command('search', '--json')).out) as Shown[]

  const added = await command('add', 'erc8004:base-sepolia', '--from-block', '0', '--json')
  expect([added.code, added.err]).toEqual([0, ''])
  expect(JSON.parse(added.out)).toMatchObject({
    kind: 'erc8004',
    listings: 4,
    skipped: 1,
    name: 'erc8004-base-sepolia',
  })
  expect((await listed()).map(({ url, unusable }) => [url, unusable?.reason])).toEqual([
    ['https://five.seller.example/', 'not_active'],
    ['https://one.seller.example/v1/chat/completions', undefined],
    ['https://three.seller.example/', 'no_x402'],
    ['https://two.seller.example/', undefined],
  ])

  await write('setAgentURI', [0n, inside(agent('One', 'https://moved.seller.example'))])
  host.requests.length = 0
  expect((await command('refresh')).out).toMatch(/erc8004-base-sepolia +erc8004 +4 /)
  expect((await listed()).map(({ url }) => url)).toContain('https://moved.seller.example/')
  expect((await listed()).map(({ url }) => url)).not.toContain(
    'https://one.seller.example/v1/chat/completions',
  )
  expect(host.requests).toHaveLength(0)
})

it('says which node is missing', async () => {
  const terminal = new FakeTerminal()
  const file = join(temporaryDirectory(), 'tollway.yaml')
  writeFileSync(file, '{}')
  expect(await run(['catalog', 'add', 'erc8004:base', '--config', file], terminal)).toBe(2)
  expect(terminal.err).toContain('Write chains: { base: { rpc: "https://')
})

describe('the domain of an agent', () => {
  const reference = { network: 'eip155:8453', registry: REGISTRY, agentId: 7n }

  it.each<[string, unknown, boolean]>([
    [
      'names the registration',
      { registrations: [{ agentId: 7, agentRegistry: `eip155:8453:${REGISTRY}` }] },
      true,
    ],
    [
      'spells it otherwise',
      {
        registrations: [
          { agentId: '7', agentRegistry: `EIP155:8453:${REGISTRY.toUpperCase().replace('0X', '0x')}` },
        ],
      },
      true,
    ],
    [
      'names another agent',
      { registrations: [{ agentId: 8, agentRegistry: `eip155:8453:${REGISTRY}` }] },
      false,
    ],
    [
      'names another chain',
      { registrations: [{ agentId: 7, agentRegistry: `eip155:1:${REGISTRY}` }] },
      false,
    ],
    ['names none', {}, false],
    ['is no registration', 'text', false],
  ])('that %s', (_case, document, isProof) => {
    expect(namesAgent(document, reference)).toBe(isProof)
  })

  it('is told with each of its services', () => {
    const proofs = new Map([['https://one.seller.example', 'proven' as const]])
    const document = agent('One', 'https://one.seller.example/a', {
      services: [
        { name: 'web', endpoint: 'https://one.seller.example/a' },
        { name: 'MCP', endpoint: 'https://two.seller.example/mcp' },
        { name: 'email', endpoint: 'mailto:one@seller.example' },
      ],
    })
    expect(readRegistration(document, reference, proofs)).toMatchObject([
      { id: '7/0', kind: 'agent', check: { status: 'domain proven' } },
      { id: '7/1', kind: 'mcp', check: { status: 'domain not asked' } },
    ])
  })
})

describe('the events of a registry', () => {
  const uri = (text: string): string => encodeAbiParameters([{ type: 'string' }], [text])
  // Registered(uint256,string,address)
  const REGISTERED = '0xca52e62c367d81bb2e328eb795f7c7ba24afb478408a26c0e201d155c449bc4a'
  const log = (id: bigint, data: string, change: Partial<ChainLog> = {}): ChainLog => ({
    address: REGISTRY,
    topics: [REGISTERED, toHex(id, { size: 32 })],
    data,
    transaction: '0x',
    blockNumber: 5n,
    ...change,
  })
  /** A node with these logs, which answers ranges up to `most` blocks. */
  const node = (head: bigint, logs: readonly ChainLog[], most = 10n ** 9n) => {
    const asked: LogQuery[] = []
    const reader = {
      finalBlock: async () => ({ number: head, timestamp: 0, hash: '0x' }),
      logs: async (query: LogQuery) => {
        asked.push(query)
        if (query.to - query.from + 1n > most) throw new ChainError('rpc_error')
        return logs.filter(({ blockNumber }) => blockNumber >= query.from && blockNumber <= query.to)
      },
    } as unknown as ChainReader
    return { reader, asked }
  }

  it('that were not asked for, or cannot be read, are left out', async () => {
    const logs = [
      log(1n, uri('https://a.example')),
      log(2n, '0x1234'),
      log(3n, uri('https://c.example'), { address: '0x00000000000000000000000000000000000000cc' }),
      log(4n, uri('https://d.example'), { topics: [REGISTERED] }),
      log(5n, uri('https://e.example'), { topics: [`0x${'1'.repeat(64)}`, toHex(5n, { size: 32 })] }),
      log(6n, 'text'),
    ]
    const { agents } = await readAgents(node(10n, logs).reader, REGISTRY, 0n)
    expect(agents.map(({ agentId, uri: place }) => [agentId, place])).toEqual([[1n, 'https://a.example']])
  })

  it('are asked for in smaller ranges where the node refuses large ones, and no further than a bound', async () => {
    const { reader, asked } = node(1_000_000n, [log(1n, uri('x'), { blockNumber: 999_999n })], 600n)
    const first = await readAgents(reader, REGISTRY, undefined)
    expect([first.agents.length, asked.length]).toEqual([0, 200])
    expect(asked[0]?.from).toBe(500_000n)
    expect(first.nextBlock).toBeGreaterThan(500_000n)
    const { agents } = await readAgents(reader, REGISTRY, 999_900n)
    expect(agents).toHaveLength(1)
  })

  it('of a node that refuses every range are not read', async () => {
    await expect(readAgents(node(100n, [], 0n).reader, REGISTRY, 0n)).rejects.toThrow(/range_refused/)
  })
})
