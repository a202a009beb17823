/** The examples of docs/payers.md are configurations that pass every check. */
import { Variables } from '../../src/core/payer/variables.ts'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { parseConfig } from '../../src/app/config/load.ts'
import { blocksOf } from '../kit/markdown.ts'

const page = await readFile(join(import.meta.dirname, '../../docs/payers.md'), 'utf8')

test('the example of direct names a key in each of the four ways', () => {
  const block = blocksOf(page).find(({ marker }) => marker === 'direct')
  const env = { TOLLWAY_WALLET_KEY: 'a', WALLET_PASSWORD: 'b', REMOTE_SIGNER_TOKEN: 'c' }
  const config = parseConfig(parse(block?.text ?? ''), env)
  const sources = [...config.payers.values()].map((payer) => ('key' in payer ? payer.key.source : payer.kind))
  expect(sources).toEqual(['env', 'keystore', 'agentcash', 'remote'])
  const obol = config.assets.filter(({ symbol }) => symbol === 'OBOL')
  expect(obol).toMatchObject([{ usd: { numerator: 5n, scale: 2 }, methods: ['permit2'] }])
  expect(config.policy.offerOrder).toBe('cheapest')
})

test('the example of another network names it, its token and its node', () => {
  const block = blocksOf(page).find(({ marker }) => marker === 'network')
  const config = parseConfig(parse(block?.text ?? ''), { TOLLWAY_WALLET_KEY: 'a' })
  expect(config.payers.get('base')?.networks).toEqual(['eip155:8453', 'eip155:31337'])
  expect(config.assets.find(({ symbol }) => symbol === 'LUSD')).toMatchObject({
    network: 'eip155:31337',
    domain: { name: 'Local Dollar', version: '2' },
  })
  expect([...config.chains.keys()]).toEqual(['eip155:31337'])
})

test('the example of Solana names a payer, its node and a route', async () => {
  const text = await readFile(join(import.meta.dirname, '../../docs/solana.md'), 'utf8')
  const block = blocksOf(text).find(({ marker }) => marker === 'solana')
  const config = parseConfig(parse(block?.text ?? ''), { SOLANA_KEY: 'a', RPC_KEY: 'b' })
  expect(config.payers.get('sol')).toEqual({
    kind: 'solana',
    key: { source: 'env', name: 'SOLANA_KEY', variables: expect.any(Variables) },
    networks: ['solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp'],
  })
  expect(config.routes.map(({ payer }) => payer)).toEqual(['sol'])
})

test.each([
  ['a payer on Solana without a node', { chains: {} }, /has no node\. Add one, such as chains: \{ solana: /],
  [
    'an EVM network for it',
    { payers: { sol: { kind: 'solana', key: '${env:K}', networks: ['base'] } } },
    /no Solana network/,
  ],
  [
    'a Solana network for direct',
    { payers: { sol: { kind: 'direct', key: '${env:K}', networks: ['solana'] } } },
    /is a Solana network/,
  ],
  [
    'an EVM address on Solana',
    { assets: [{ network: 'solana', address: `0x${'1'.repeat(40)}`, symbol: 'X', decimals: 6 }] },
    /is not the address of a mint on Solana/,
  ],
  [
    'a program on an EVM network',
    {
      assets: [
        { network: 'base', address: `0x${'1'.repeat(40)}`, symbol: 'X', decimals: 6, program: 'spl-token' },
      ],
    },
    /has a meaning on Solana only/,
  ],
])('%s is refused', (_name, change, message) => {
  const payers = { sol: { kind: 'solana', key: '${env:K}', networks: ['solana'] } }
  const chains = { solana: { rpc: 'http://127.0.0.1:8899' } }
  expect(() => parseConfig({ payers, chains, ...change }, { K: 'k' })).toThrow(message)
})

test('a payer with two places for its key, or with none, is refused with the choice', () => {
  const networks = ['base']
  const check = (payer: object) => () =>
    parseConfig({ payers: { one: { kind: 'direct', networks, ...payer } } }, { K: 'k' })
  expect(check({ key: '${env:K}', agentcash_wallet: 'default' })).toThrow(
    /cannot be combined with key: a payer has one key/,
  )
  expect(check({})).toThrow(/keystore, agentcash_wallet, signer in its place/)
})
