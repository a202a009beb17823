/** Whoever follows the advice of a refusal, word for word, has a configuration that loads, and a payment that passes. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { payingPayer, signingPayer, spendingPayer } from '../../src/app/buying/choose-payer.ts'
import { parseConfig } from '../../src/app/config/load.ts'
import type { ResolvedConfig } from '../../src/app/config/resolve/resolved.ts'
import { BUILT_IN_ASSETS } from '../../src/core/money/assets.ts'
import { ConfigError, TollwayError } from '../../src/core/errors.ts'
import { vetOffers } from '../../src/core/policy/gate.ts'
import { followed, linesIn, type Written } from '../kit/follow-advice.ts'
import { challengeOf, offerV2, origin } from '../kit/quotes.ts'
import { solanaFeePayer, solanaPayee } from '../kit/solana/quotes.ts'

const ENV = { TOLLWAY_WALLET_KEY: 'unused', SOLANA_KEY: 'unused', SOLANA_RPC: 'http://127.0.0.1:8899' }

const START: Written = {
  payers: { base: { kind: 'direct', key: '${env:TOLLWAY_WALLET_KEY}', networks: ['base-sepolia'] } },
  model_list: [{ model_name: 'paid/*', model: '*', api_base: `${origin}/v1`, payer: 'base' }],
}

function vetted(config: ResolvedConfig, offer: object): TollwayError | undefined {
  const payer = config.payers.get(config.routes[0]?.payer ?? '')
  try {
    vetOffers(challengeOf(2, offer), origin, {
      networks: payer?.networks ?? [],
      assets: config.assets,
      origins: new Set(config.routes.map(({ apiBase }) => new URL(apiBase).origin)),
      maxMicroUsd: config.policy.maxMicroUsd === 'none' ? 0n : config.policy.maxMicroUsd,
      maxValiditySeconds: 600,
      payees: () => undefined,
      supports: ({ scheme, network }) =>
        scheme === 'exact' && network.startsWith('solana:') === (payer?.kind === 'solana'),
    })
    return undefined
  } catch (error) {
    if (error instanceof TollwayError) return error
    throw error
  }
}

/** Follows the advice until the offer passes. @returns how many times advice was followed */
function followUntilPaid(offer: object, start: Written = START): number {
  let input = start
  for (let times = 0; times < 4; times += 1) {
    const refusal = vetted(parseConfig(input, ENV), offer)
    if (!refusal) return times
    const next = followed(input, refusal.advice.join(' '))
    expect([refusal.code, next]).not.toEqual([refusal.code, input])
    input = next
  }
  throw new Error(`the advice leads nowhere: ${JSON.stringify(input)}`)
}

const SOLANA_START: Written = {
  payers: { base: { kind: 'solana', key: '${env:SOLANA_KEY}', networks: ['solana-devnet'] } },
  chains: { 'solana-devnet': { rpc: '${env:SOLANA_RPC}' } },
  model_list: [{ model_name: 'paid/*', model: '*', api_base: `${origin}/v1`, payer: 'base' }],
}
const solanaOffer = { ...offerV2, payTo: solanaPayee, extra: { feePayer: solanaFeePayer } }

const solana = BUILT_IN_ASSETS.filter(({ network }) => network.startsWith('solana:'))
const evm = BUILT_IN_ASSETS.filter(({ network }) => network.startsWith('eip155:'))

describe('the advice of a refused offer', () => {
  it.each(evm.map((asset) => [asset.network, asset.symbol, asset] as const))(
    'leads to a payment: %s, %s',
    (network, _symbol, { address: asset, methods }) => {
      const extra = methods === undefined ? {} : { assetTransferMethod: methods[0] }
      expect(followUntilPaid({ ...offerV2, network, asset, extra })).toBeLessThanOrEqual(2)
    },
  )

  it.each(solana.map((asset) => [asset.network, asset.symbol, asset] as const))(
    'leads from a wallet on EVM to a payment on Solana: %s, %s',
    (network, _symbol, { address: asset }) => {
      expect(followUntilPaid({ ...solanaOffer, network, asset })).toBeLessThanOrEqual(2)
    },
  )

  it('leads from a wallet on Solana to a payment on EVM, on its other network, and with a mint that is not known', () => {
    expect(followUntilPaid(offerV2, SOLANA_START)).toBe(1)
    const network = 'solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp'
    const usdc = solana.find((asset) => asset.network === network && asset.symbol === 'USDC')?.address
    expect(followUntilPaid({ ...solanaOffer, network, asset: usdc }, SOLANA_START)).toBeLessThanOrEqual(2)
    const unknown = {
      ...solanaOffer,
      network: 'solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1',
      asset: solanaFeePayer,
    }
    const extra = { feePayer: solanaPayee }
    expect(followUntilPaid({ ...unknown, extra }, SOLANA_START)).toBe(1)
    const tokenProgram = 'TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb'
    expect(followUntilPaid({ ...unknown, extra: { ...extra, tokenProgram } }, SOLANA_START)).toBe(1)
  })

  it('leads to a payment above the ceiling, at the very price', () => {
    const dear = { ...offerV2, amount: '123456789' }
    expect(followUntilPaid(dear)).toBe(1)
  })

  it('leads nowhere on purpose where no payer of this program can pay', () => {
    for (const change of [
      { network: 'stellar:pubnet' },
      { network: 'solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp', scheme: 'upto' },
      { scheme: 'batch-settlement' },
    ]) {
      const refusal = vetted(parseConfig(START, ENV), { ...offerV2, ...change })
      expect([refusal?.advice.join(' '), linesIn(refusal?.message ?? '')]).toEqual([
        expect.stringMatching(/another seller/),
        [],
      ])
    }
  })

  it('leads to a payment on any network and with any token and words of the seller', () => {
    const address = fc
      .uint8Array({ minLength: 20, maxLength: 20 })
      .map((bytes) => `0x${Buffer.from(bytes).toString('hex')}`)
      .filter((text) => !text.startsWith(`0x${'0'.repeat(30)}`) && !text.endsWith('dead'))
    fc.assert(
      fc.property(
        fc.oneof(
          fc.constantFrom(...evm.map(({ network }) => network)),
          fc.integer({ min: 1, max: 9_999_999 }).map((id) => `eip155:${id}`),
        ),
        address,
        fc.record(
          {
            name: fc.oneof(fc.string(), fc.constantFrom('USD Coin', '${env:KEY}', 'a: b', '#x', '- y')),
            version: fc.oneof(fc.string(), fc.constantFrom('1', '2')),
            assetTransferMethod: fc.constantFrom('eip3009', 'permit2'),
          },
          { requiredKeys: [] },
        ),
        (network, asset, extra) => {
          expect(followUntilPaid({ ...offerV2, network, asset, extra })).toBeLessThanOrEqual(2)
        },
      ),
      { numRuns: 200 },
    )
  })
})

describe('the advice of a command without a payer', () => {
  it.each([
    ['pay', (config: ResolvedConfig) => payingPayer(config, undefined)],
    ['buy', (config: ResolvedConfig) => signingPayer(config, undefined)],
    ['buy into a pool', (config: ResolvedConfig) => spendingPayer(config, undefined, undefined)],
  ])('leads to one: %s', (_command, choose) => {
    let message = ''
    try {
      choose(parseConfig({}, ENV))
    } catch (error) {
      if (error instanceof ConfigError) ({ message } = error)
    }
    const [line] = linesIn(message)
    expect(line).toBeDefined()
    expect(choose(parseConfig(line, ENV))).toMatch(/^(?:base|bought)$/)
  })
})
