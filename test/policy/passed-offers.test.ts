/** Offers that are not for us: each is looked at, and the refusal names every one with its reason. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BUILT_IN_ASSETS } from '../../src/core/money/assets.ts'
import { TollwayError } from '../../src/core/errors.ts'
import { vetOffers } from '../../src/core/policy/gate.ts'
import type { GatePolicy } from '../../src/core/policy/gate-policy.ts'
import { methodName, readValidity } from '../../src/core/policy/read-offer.ts'
import { chooseOffer } from '../../src/payment/vet-offers.ts'
import { challengeOf, offerV1, offerV2, origin, payee } from '../kit/quotes.ts'
import { reply, startEngine } from '../kit/payment-engine.ts'

const policy: GatePolicy = {
  networks: ['eip155:84532'],
  assets: BUILT_IN_ASSETS,
  origins: new Set([origin]),
  maxMicroUsd: 100_000n,
  maxValiditySeconds: 600,
  payees: () => undefined,
  supports: (offer) => offer.scheme === 'exact',
}

function refusal(offers: readonly object[], version: 1 | 2 = 2): TollwayError {
  try {
    vetOffers(challengeOf(version, ...offers), origin, policy)
  } catch (error) {
    if (error instanceof TollwayError) return error
    throw error
  }
  throw new Error('was not refused')
}

const BASE_USDC = '0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913'

describe('a refusal names every offer and why it was passed over', () => {
  it('says nothing more of a single offer', () => {
    expect(refusal([{ ...offerV2, amount: '5000000' }]).message).not.toContain('passed over')
  })

  it('lists networks, tokens, contracts, schemes and prices in the order of the seller', () => {
    const { code, message } = refusal([
      { ...offerV2, network: 'eip155:8453', asset: BASE_USDC },
      {
        ...offerV2,
        network: 'solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp',
        asset: 'EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v',
      },
      { ...offerV2, network: 'eip155:31337', asset: payee },
      { ...offerV2, asset: payee },
      { ...offerV2, extra: { name: 'GatewayWalletBatched', version: '1', verifyingContract: payee } },
      { ...offerV2, scheme: 'deferred' },
      { ...offerV2, amount: '5000000' },
      { ...offerV2, extra: { assetTransferMethod: 'erc7710' } },
    ])
    expect(code).toBe('price_above_limit')
    expect(message).toContain(
      'All 8 offers of the seller were passed over: ' +
        'exact 0.001 USDC on base: the payer may not pay on this network; ' +
        'exact 0.001 USDC on solana: the payer may not pay on this network; ' +
        `exact ${payee} on eip155:31337: the payer may not pay on this network; ` +
        `exact ${payee} on base-sepolia: not in the asset table; ` +
        `exact 0.001 USDC on base-sepolia: for another contract (${payee}); ` +
        'deferred 0.001 USDC on base-sepolia: the payer does not support this kind; ' +
        'exact 5 USDC on base-sepolia: price_above_limit; ' +
        'exact 0.001 USDC on base-sepolia: method erc7710 of the token is not supported.',
    )
  })

  it('version 1 alike, with unreadable offers', () => {
    const { message } = refusal(
      [
        { ...offerV1, network: 'base', asset: BASE_USDC },
        { ...offerV1, network: 'polygon' },
        { scheme: 'exact' },
      ],
      1,
    )
    expect(message).toContain('on base: the payer may not pay')
    expect(message).toContain('on polygon: the payer may not pay')
    expect(message).toContain('accepts[2] (unreadable): not supported')
  })

  it('looks at the 33rd offer, and at the last of some hundreds', () => {
    const others = Array.from({ length: 250 }, (_, n) => ({
      scheme: 'exact',
      network: `eip155:${n + 500_000}`,
      amount: '1',
      asset: payee,
      payTo: payee,
    }))
    for (const count of [32, 33, 250]) {
      const quotes = vetOffers(challengeOf(2, ...others.slice(0, count), offerV2), origin, policy)
      expect(quotes.map(({ amount }) => amount)).toEqual([1000n])
    }
    const { message } = refusal(others)
    expect(message).toContain('eip155:500000')
    expect(message).toMatch(/; and \d+ more\. /)
    expect(message.length).toBeLessThan(3000)
  })

  it('counts alike ones together', () => {
    const far = { ...offerV2, network: 'eip155:8453', asset: BASE_USDC }
    expect(refusal([far, far, far, { ...far, amount: '2000' }]).message).toContain(
      '3 x exact 0.001 USDC on base: the payer may not pay on this network; exact 0.002 USDC on base',
    )
  })

  it('names those that passed the gate but cannot be paid, beside those that did not', async () => {
    const engine = await startEngine({
      seller: () => reply(200),
      payer: {
        ready: async () => {
          throw new TollwayError({
            code: 'insufficient_funds',
            message: 'The wallet holds too little.',
            advice: ['Add funds to it.'],
          })
        },
      },
    })
    const challenge = challengeOf(
      2,
      offerV2,
      { ...offerV2, amount: '2000' },
      { ...offerV2, network: 'eip155:8453' },
    )
    const error: unknown = await chooseOffer(engine.call(), challenge).catch((caught: unknown) => caught)
    expect(error).toMatchObject({ code: 'insufficient_funds', advice: ['Add funds to it.'] })
    expect((error as Error).message).toBe(
      'The wallet holds too little. All 3 offers of the seller were passed over: ' +
        `exact ${offerV2.asset} on base: the payer may not pay on this network; ` +
        'exact 0.001 USDC on base-sepolia: insufficient_funds; exact 0.002 USDC on base-sepolia: insufficient_funds. Add funds to it.',
    )
  })

  it('stays printable and bounded for every text of a seller', () => {
    const text = fc.string({ unit: 'binary', minLength: 1, maxLength: 90 })
    const offer = fc.record({ scheme: text, network: text, asset: text, payTo: text, amount: text })
    fc.assert(
      fc.property(fc.array(offer, { minLength: 1, maxLength: 8 }), (offers) => {
        let message = ''
        try {
          message = refusal([...offers, { ...offerV2, scheme: 'other' }]).message
        } catch (error) {
          message = error instanceof Error ? error.message : ''
        }
        expect(message).toMatch(/^[\x20-\x7e]*$/)
        expect(message.length).toBeLessThan(3500)
      }),
    )
  })
})

describe('the method of an offer is named by its network and its own words', () => {
  it.each<[object, string]>([
    [{}, 'eip3009'],
    [{ scheme: 'upto' }, 'permit2'],
    [{ extra: { assetTransferMethod: 'permit2' } }, 'permit2'],
    [{ extra: { assetTransferMethod: 'erc7710' } }, 'erc7710'],
    [{ network: 'eip155:31337' }, 'eip3009'],
    [{ network: 'solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp' }, 'solana'],
    [{ network: 'solana', scheme: 'upto' }, 'solana'],
    [{ network: 'stellar:pubnet' }, 'stellar'],
    [{ network: 'hedera' }, 'hedera'],
    [{ scheme: 'batch-settlement' }, 'batch-settlement'],
    [{ extra: { verifyingContract: payee } }, `contract ${payee}`],
  ])('%j: %s', (change, method) => {
    const [offer] = challengeOf(2, { ...offerV2, ...change }).offers
    expect(offer && methodName(offer)).toBe(method)
  })
})

describe('a refusal says what to add', () => {
  const advice = (change: object, networks = ['eip155:84532']): string => {
    try {
      vetOffers(challengeOf(2, { ...offerV2, ...change }), origin, { ...policy, networks })
    } catch (error) {
      if (error instanceof TollwayError) return error.advice.join(' ')
    }
    throw new Error('was not refused')
  }

  it('the network, where the payer can pay there', () => {
    expect(advice({ network: 'eip155:8453', asset: BASE_USDC })).toBe(
      "Add the network to the payer's networks if you mean to pay there: networks: [base-sepolia, base].",
    )
    expect(advice({ network: 'eip155:77' })).toContain(
      'networks: [base-sepolia, "eip155:77"]. Add it under assets',
    )
  })

  it('another payer, where this one cannot', () => {
    expect(advice({ network: 'solana' })).toContain('payers: { solana: { kind: solana,')
    expect(advice({}, ['solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp'])).toBe(
      'If you mean to pay there, add a payer, with the key of a wallet in TOLLWAY_WALLET_KEY, and name it as payer of the route: payers: { evm: { kind: direct, key: "${env:TOLLWAY_WALLET_KEY}", networks: [base-sepolia] } }.',
    )
    expect(advice({ network: 'stellar:pubnet' })).toBe('No payer can pay there. Use another seller.')
  })

  it('the token, with nothing of the seller that could mean more than a name', () => {
    expect(advice({ asset: payee, extra: { name: 'My Token (v2)', version: '3' } })).toContain(
      `assets: [{ network: base-sepolia, address: "${payee.toLowerCase()}", symbol: TOKEN, decimals: 6, usd: "1", name: "My Token (v2)", version: "3" }].`,
    )
    for (const name of ['${env:KEY}', 'a"}]', 'a\nb', 'x'.repeat(41), 7]) {
      expect(advice({ asset: payee, extra: { name } })).toContain('name: "USD Coin", version: "2" }]')
    }
    expect(advice({ asset: 'USDC' })).toContain('is not an address on this network')
  })
})

describe('of equal offers', () => {
  const first = (...offers: readonly object[]): unknown =>
    vetOffers(challengeOf(2, ...offers), origin, policy)[0].offer.extra
  const named = (extra: object): object => ({ ...offerV2, extra })

  it('one whose display text fits the token goes before one that names something else', () => {
    const odd = { name: 'USD Coin', version: '2' }
    const fits = { name: 'USDC', version: '2' }
    expect(first(named(odd), named(fits))).toEqual(fits)
    expect(first(named({ name: 'USDC', version: '1' }), named({}))).toEqual({})
    expect(first(named(fits), named({ note: 1 }))).toEqual(fits)
  })

  it('display text alone refuses nothing and never goes before a lower price', () => {
    const odd = { name: 'Bridged USDC', version: '9' }
    expect(first(named(odd))).toEqual(odd)
    expect(first(offerV2, { ...offerV2, amount: '999', extra: odd })).toEqual(odd)
  })

  it('one that is paid after the answer goes before one that is paid up front', () => {
    const upfront = { paymentFlow: 'upfront' }
    expect(first(named(upfront), named({ paymentFlow: 'authorization' }))).toEqual({
      paymentFlow: 'authorization',
    })
    expect(first(named(upfront))).toEqual(upfront)
  })
})

describe('rule 6: another contract than the token is no supported offer', () => {
  it.each<[string, unknown]>([
    ['a gateway', '0x0077777d7EBA4688BDeF3E311b846F25870A19B9'],
    ['an address without 0x', offerV2.asset.slice(2)],
    ['an empty text', ''],
    ['a number', 0],
    ['a list', [offerV2.asset]],
    ['false', false],
  ])('%s', (_what, verifyingContract) => {
    expect(refusal([{ ...offerV2, extra: { verifyingContract } }]).code).toBe('no_supported_offer')
  })

  it('but the token itself in any letter case, or none, is paid', () => {
    for (const verifyingContract of [
      offerV2.asset.toLowerCase(),
      offerV2.asset.toUpperCase().replace('0X', '0x'),
      null,
    ]) {
      const quote = vetOffers(challengeOf(2, { ...offerV2, extra: { verifyingContract } }), origin, policy)[0]
      expect(quote.amount).toBe(1000n)
    }
  })
})

describe('maxTimeoutSeconds', () => {
  it.each<[unknown, number]>([
    [604_800, 86_400],
    ['604800', 86_400],
    ['60', 60],
    [' 60 ', 60],
    [undefined, 86_400],
    [null, 86_400],
    ['9'.repeat(40), 86_400],
    [1e300, 86_400],
    [1, 1],
    [60.0, 60],
  ])('%j is read as %i seconds', (value, seconds) => {
    expect(readValidity(value)).toBe(seconds)
    const offer = { ...offerV2, maxTimeoutSeconds: value }
    const { validitySeconds } = vetOffers(challengeOf(2, offer), origin, policy)[0]
    expect(validitySeconds).toBe(Math.min(600, Math.max(10, seconds)))
  })

  it.each([0, -1, 0.5, '0', '-60', '60s', '1e3', '0x3c', '', true, [60], {}])(
    '%j is no time and is refused',
    (value) => {
      expect(refusal([{ ...offerV2, maxTimeoutSeconds: value }]).code).toBe('validity_too_long')
    },
  )
})
