/** Whoever follows the advice of a refusal, word for word, has a configuration that loads, and a payment that passes. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { payingPayer, signingPayer, spendingPayer } from '../../src/app/buying/choose-payer.ts'
import { parseConfig } from '../../src/app/config/load.ts'
import type { ResolvedConfig } from '../../src/app/config/resolve/resolved.ts'
import { BUILT_IN_ASSETS } from '../../src/core/money/assets.ts'
import { ConfigError, TollwayError } from '../../src/core/errors.ts'
import { vetOffers } from '../../src/core/policy/gate.ts'
import { challengeOf, offerV2, origin } from '../kit/quotes.ts'

const ENV = { TOLLWAY_WALLET_KEY: 'unused' }
type Input = Record<string, unknown>

const START: Input = {
  payers: { base: { kind: 'direct', key: '${env:TOLLWAY_WALLET_KEY}', networks: ['base-sepolia'] } },
  model_list: [{ model_name: 'paid/*', model: '*', api_base: `${origin}/v1`, payer: 'base' }],
}

/** The lines of a configuration in a message: everything from `key: {` or `key: [` to the bracket that closes it. */
function linesIn(message: string): Input[] {
  const lines: Input[] = []
  let end = 0
  for (const { index } of message.matchAll(
    /\b(?:networks|assets|payers|methods|chains|budgets): (?=[[{])/g,
  )) {
    // What is inside of a line belongs to it.
    if (index < end) continue
    let depth = 0
    end = message.indexOf(': ', index) + 2
    do {
      const character = message[end]
      if (character === '[' || character === '{') depth += 1
      if (character === ']' || character === '}') depth -= 1
      end += 1
    } while (depth > 0 && end < message.length)
    lines.push(parse(message.slice(index, end)) as Input)
  }
  return lines
}

/** Applies each line where its message says. */
function followed(input: Input, message: string): Input {
  let next = input
  for (const line of linesIn(message)) {
    const { networks, ...top } = line
    const { base } = next['payers'] as { base: object }
    next = {
      ...next,
      ...(networks === undefined ? {} : { payers: { base: { ...base, networks } } }),
      ...('assets' in top
        ? { assets: [...((next['assets'] as unknown[] | undefined) ?? []), ...(top['assets'] as unknown[])] }
        : top),
    }
  }
  return next
}

function vetted(config: ResolvedConfig, offer: object): TollwayError | undefined {
  try {
    vetOffers(challengeOf(2, offer), origin, {
      networks: config.payers.get('base')?.networks ?? [],
      assets: config.assets,
      origins: new Set(config.routes.map(({ apiBase }) => new URL(apiBase).origin)),
      maxMicroUsd: 10n ** 30n,
      maxValiditySeconds: 600,
      payees: () => undefined,
      supports: ({ scheme }) => scheme === 'exact',
    })
    return undefined
  } catch (error) {
    if (error instanceof TollwayError) return error
    throw error
  }
}

/** Follows the advice until the offer passes. @returns how many times advice was followed */
function followUntilPaid(offer: object): number {
  let input = START
  for (let times = 0; times < 3; times += 1) {
    const refusal = vetted(parseConfig(input, ENV), offer)
    if (!refusal) return times
    const next = followed(input, refusal.advice.join(' '))
    expect([refusal.code, next]).not.toEqual([refusal.code, input])
    input = next
  }
  throw new Error(`the advice leads nowhere: ${JSON.stringify(input)}`)
}

const evm = BUILT_IN_ASSETS.filter(({ network }) => network.startsWith('eip155:'))

describe('the advice of a refused offer', () => {
  it.each(evm.map((asset) => [asset.network, asset.symbol, asset] as const))(
    'leads to a payment: %s, %s',
    (network, _symbol, { address: asset, methods }) => {
      const extra = methods === undefined ? {} : { assetTransferMethod: methods[0] }
      expect(followUntilPaid({ ...offerV2, network, asset, extra })).toBeLessThanOrEqual(2)
    },
  )

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
