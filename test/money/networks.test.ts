/** Networks and tokens that are built in, held against the official packages, and networks that are known by their id alone. */
import { DEFAULT_ASSETS } from '@x402/evm'
import { EVM_NETWORK_CHAIN_ID_MAP } from '@x402/evm/v1'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { BUILT_IN_ASSETS, findEvmNetwork, findNetwork, networkNames } from '../../src/core/money/assets.ts'

test('every default asset of the official EVM package is built in, with its address, decimals, domain and method', () => {
  const official = Object.entries(DEFAULT_ASSETS).flatMap(([network, assets]) =>
    assets.map((asset) => ({ network, ...asset })),
  )
  expect(official.length).toBeGreaterThan(25)
  for (const { network, asset, name, version, decimals, symbol, ...rest } of official) {
    const ours = BUILT_IN_ASSETS.find((one) => one.network === network && one.address === asset.toLowerCase())
    expect(ours, `${symbol} on ${network}`).toMatchObject({
      symbol,
      decimals,
      domain: { name, version },
      usd: { numerator: 1n, scale: 0 },
    })
    const isPermit2 = 'assetTransferMethod' in rest && rest.assetTransferMethod === 'permit2'
    expect(ours?.methods, `${symbol} on ${network}`).toEqual(isPermit2 ? ['permit2'] : undefined)
  }
})

test('every network name of x402 version 1 is known', () => {
  const official = Object.entries(EVM_NETWORK_CHAIN_ID_MAP)
  expect(official.length).toBeGreaterThan(20)
  for (const [name, chainId] of official) {
    expect(findNetwork(name), name).toMatchObject({ id: `eip155:${chainId}`, chainId })
  }
})

test.each(['eip155:31337', 'eip155:2', 'eip155:9007199254740991', 'eip155:723487'])(
  '%s is a network',
  (id) => {
    const chainId = Number(id.slice(7))
    expect(findEvmNetwork(id)).toEqual({ id, alias: id, chainId })
  },
)

test.each([
  'eip155:0',
  'eip155:01',
  'eip155:-1',
  'eip155:1e3',
  'eip155:0x1',
  'eip155: 5',
  'eip155:5 ',
  'eip155:',
  'eip155:9007199254740992',
  'EIP155:5',
  'eip155:5/erc20',
  'cosmos:5',
  '31337',
])('%j is none', (text) => {
  expect(findNetwork(text)).toBeUndefined()
})

test('an id is never two networks, and a name always leads to its own', () => {
  const aliases = networkNames().filter((name) => !name.includes('<'))
  for (const name of aliases) {
    const network = findNetwork(name)
    expect(network && findNetwork(network.id)?.id, name).toBe(network?.id)
    expect(network && findNetwork(network.alias)?.id, name).toBe(network?.id)
  }
  fc.assert(
    fc.property(fc.maxSafeNat(), (chainId) => {
      expect(findEvmNetwork(`eip155:${chainId}`)?.chainId).toBe(chainId === 0 ? undefined : chainId)
    }),
  )
})
