/** Which of several offers is paid, and how Permit2, upto and the built-in tokens pass the gate. */
import { DEFAULT_ASSETS as SOLANA_ASSETS } from '@x402/svm'
import { DEFAULT_ASSETS } from '@x402/evm'
import { expect, test } from 'vitest'
import { BUILT_IN_ASSETS, findNetwork } from '../../src/core/money/assets.ts'
import { decide } from '../../src/core/charge/reconcile.ts'
import { vetOffers, type Quote } from '../../src/core/policy/gate.ts'
import type { GatePolicy } from '../../src/core/policy/gate-policy.ts'
import type { Charge } from '../../src/core/charge/charge.ts'
import { NOW, signed, terms } from '../store/samples.ts'
import { challengeOf, offerV2, origin, quoteOf } from '../kit/quotes.ts'

const policy: GatePolicy = {
  networks: ['eip155:84532', 'eip155:8453', 'eip155:1'],
  assets: BUILT_IN_ASSETS,
  origins: new Set([origin]),
  maxMicroUsd: 100_000n,
  maxValiditySeconds: 600,
  payees: () => undefined,
  supports: () => true,
}
const facilitatorAddress = `0x${'Fa'.repeat(20)}`
const upto = { ...offerV2, scheme: 'upto', extra: { ...offerV2.extra, facilitatorAddress } }
const byPermit2 = { ...offerV2, extra: { ...offerV2.extra, assetTransferMethod: 'permit2' } }
const priced = (amount: string): object => ({ ...offerV2, amount })
const amounts = (quotes: readonly Quote[]): bigint[] => quotes.map(({ amount }) => amount)

test('puts the cheapest acceptable offer first and keeps the order of equal prices', () => {
  const challenge = challengeOf(
    2,
    priced('3000'),
    priced('1000'),
    byPermit2,
    priced('200000'),
    priced('2000'),
  )
  const quotes = vetOffers(challenge, origin, policy)
  expect(amounts(quotes)).toEqual([1000n, 1000n, 2000n, 3000n])
  expect(quotes.map(({ method }) => method)).toEqual(['eip3009', 'permit2', 'eip3009', 'eip3009'])
  expect(amounts(vetOffers(challenge, origin, { ...policy, order: 'seller' }))).toEqual([
    3000n,
    1000n,
    1000n,
    2000n,
  ])
})

test('rule 6: accepts upto only as Permit2 bound to one named facilitator', () => {
  const [quote] = vetOffers(challengeOf(2, upto), origin, policy)
  expect(quote).toMatchObject({
    scheme: 'upto',
    method: 'permit2',
    facilitator: facilitatorAddress.toLowerCase(),
  })
  for (const extra of [{}, { facilitatorAddress: 'somebody' }, { facilitatorAddress: 7 }]) {
    expect(() => vetOffers(challengeOf(2, { ...upto, extra }), origin, policy)).toThrow(/facilitatorAddress/)
  }
})

test('pays OBOL by Permit2 only, and only once the configuration gives its value', () => {
  const obol = BUILT_IN_ASSETS.find(({ symbol }) => symbol === 'OBOL')
  if (!obol) throw new Error('OBOL is built in')
  const offer = { ...byPermit2, network: 'eip155:1', asset: obol.address, amount: '1000000000000000000' }
  expect(() => vetOffers(challengeOf(2, offer), origin, policy)).toThrow(/no USD value/)
  const assets = [{ ...obol, usd: { numerator: 5n, scale: 2 } }]
  expect(vetOffers(challengeOf(2, offer), origin, { ...policy, assets })[0].microUsd).toBe(50_000n)
  const byEip3009 = { ...offer, extra: {} }
  expect(() => vetOffers(challengeOf(2, byEip3009), origin, { ...policy, assets })).toThrow(
    /OBOL .* by eip3009/,
  )
})

test("rule 6: the built-in USDC contracts and domains match the official packages' table", () => {
  for (const { network, address, symbol, decimals, domain } of BUILT_IN_ASSETS) {
    if (symbol !== 'USDC' || network.startsWith('solana:')) continue
    const official = Object.entries(DEFAULT_ASSETS).find(([id]) => id === network)?.[1]
    const found = official?.find(({ asset }) => asset.toLowerCase() === address)
    expect(found, network).toMatchObject({ decimals, name: domain?.name, version: domain?.version })
  }
})

test("rule 6: the built-in tokens on Solana match the official packages' table", () => {
  for (const network of [
    'solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp',
    'solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1',
  ]) {
    const official = Object.entries(SOLANA_ASSETS).find(([id]) => id === network)?.[1] ?? []
    expect(official.length).toBeGreaterThan(2)
    const ours = BUILT_IN_ASSETS.filter((asset) => asset.network === network)
    expect(ours.map(({ address }) => address).toSorted()).toEqual(
      official.map(({ asset }) => asset).toSorted(),
    )
    for (const { address, decimals, tokenProgram } of ours) {
      expect(official.find(({ asset }) => asset === address)).toMatchObject({ decimals, tokenProgram })
    }
  }
})

test.each([
  ['eth', 1],
  ['mainnet', 1],
  ['ethereum', 1],
  ['arbitrum-one', 42_161],
  ['polygon', 137],
  ['hoodi', 560_048],
])('the network %s is chain %i', (name, chainId) => {
  expect(findNetwork(name)?.chainId).toBe(chainId)
})

test('reads gas sponsoring from Permit2 offers of v2 only', () => {
  expect(quoteOf(2).sponsoring).toBeUndefined()
  expect(quoteOf(1).sponsoring).toBeUndefined()
})

test('flags a receipt whose transaction took nothing for review, also with upto', () => {
  const charge: Charge = {
    ...terms(1),
    state: 'settled',
    proof: 'receipt',
    authorization: signed(1, { method: 'permit2', scheme: 'upto' }),
    transaction: undefined,
    reason: 'receipt',
    updatedAt: NOW,
  }
  const later = (signed(1).validBefore + 1) * 1000
  const unused = {
    kind: 'reading' as const,
    chainId: 84_532,
    block: { number: 9n, timestamp: signed(1).validBefore + 1, hash: `0x${'b'.repeat(64)}` },
    spent: false,
    use: undefined,
    cancellation: undefined,
  }
  expect(decide(charge, unused, later)).toMatchObject({
    action: 'settle',
    charged: 0n,
    transaction: undefined,
  })
  expect(decide({ ...charge, transaction: `0x${'a'.repeat(64)}` }, unused, later)).toMatchObject({
    action: 'flag',
  })
  expect(decide({ ...charge, proof: 'assumed' }, unused, later)).toMatchObject({ action: 'release' })
  const authorization = signed(1, { method: 'permit2' })
  expect(decide({ ...charge, authorization }, unused, later)).toMatchObject({ action: 'flag' })
})
