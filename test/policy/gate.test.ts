import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BUILT_IN_ASSETS } from '../../src/core/money/assets.ts'
import { TollwayError } from '../../src/core/errors.ts'
import { Quote, vetOffers } from '../../src/core/policy/gate.ts'
import type { GatePolicy } from '../../src/core/policy/gate-policy.ts'
import { decodeChallenge, type Challenge } from '../../src/core/x402/x402.ts'
import { encodeBase64Json } from '../../src/core/x402/wire-json.ts'

const ORIGIN = 'https://seller.test'
const USDC = '0x036CbD53842c5426634e7929541eC2318f3dCF7e'
const PAYEE = '0x90F79bf6EB2c4f870365E785982E1f101E93b906'

const good = {
  scheme: 'exact',
  network: 'eip155:84532',
  amount: '1000',
  asset: USDC,
  payTo: PAYEE,
  maxTimeoutSeconds: 60,
  extra: { name: 'USDC', version: '2' },
}

const policy: GatePolicy = {
  networks: ['eip155:84532'],
  assets: BUILT_IN_ASSETS,
  origins: new Set([ORIGIN]),
  maxMicroUsd: 100_000n,
  maxValiditySeconds: 600,
  payees: () => undefined,
  supports: (offer) => offer.scheme === 'exact',
}

function challenge(...accepts: unknown[]): Challenge {
  const header = encodeBase64Json({
    x402Version: 2,
    accepts,
    resource: { url: `${ORIGIN}/v1/chat/completions` },
  })
  return decodeChallenge({
    header: (name) => (name === 'payment-required' ? header : undefined),
    body: new Uint8Array(),
    truncated: false,
  })
}

function refusal(run: () => unknown): TollwayError {
  try {
    run()
  } catch (error) {
    if (error instanceof TollwayError) return error
    throw error
  }
  throw new Error('was not refused')
}

const codeOf = (offer: unknown, more: Partial<GatePolicy> = {}): string =>
  refusal(() => vetOffers(challenge(offer), ORIGIN, { ...policy, ...more })).code

describe('an offer within policy', () => {
  test('rule 6: becomes a frozen quote of the exact amount, with the EIP-712 domain from our own table', () => {
    const quote = vetOffers(
      challenge({ ...good, extra: { name: 'Evil Coin', version: '9' } }),
      ORIGIN,
      policy,
    )[0]
    expect(Object.isFrozen(quote)).toBe(true)
    expect(quote).toMatchObject({
      amount: 1000n,
      microUsd: 1000n,
      payTo: PAYEE.toLowerCase(),
      validitySeconds: 60,
    })
    expect(quote.asset.domain).toEqual({ name: 'USDC', version: '2' })
  })

  test.each([
    [86_400, 600],
    [604_800, 600],
    [315_360_000, 600],
    ['60', 60],
    ['604800', 600],
    [null, 600],
    [undefined, 600],
    [1, 10],
  ])('rule 6: has a validity of %j capped to %i, not refused', (maxTimeoutSeconds, seconds) => {
    const [quote] = vetOffers(challenge({ ...good, maxTimeoutSeconds }), ORIGIN, policy)
    expect(quote.validitySeconds).toBe(seconds)
  })

  test('may name its token as the verifying contract', () => {
    const extra = { verifyingContract: USDC.toLowerCase() }
    expect(vetOffers(challenge({ ...good, extra }), ORIGIN, policy)[0].amount).toBe(1000n)
  })

  test('rule 6: passes at the price ceiling and is refused one micro-dollar above it', () => {
    expect(vetOffers(challenge({ ...good, amount: '100000' }), ORIGIN, policy)[0].amount).toBe(100_000n)
    expect(codeOf({ ...good, amount: '100001' })).toBe('price_above_limit')
  })

  test('is accepted even when unreadable offers accompany it', () => {
    const quote = vetOffers(
      challenge(null, 7, { scheme: 'exact' }, { ...good, scheme: 'upto' }, good),
      ORIGIN,
      policy,
    )[0]
    expect(quote.amount).toBe(1000n)
  })
})

describe('an offer outside policy is refused with its own code and says what to do:', () => {
  test.each([
    ['another network', { network: 'eip155:8453' }, 'network_not_allowed'],
    ['an unknown network', { network: 'solana:5eykt' }, 'network_not_allowed'],
    ['another asset', { asset: '0x0000000000000000000000000000000000000bad' }, 'asset_not_allowed'],
    ['an asset that is no address', { asset: 'USDC' }, 'asset_not_allowed'],
    ['a hexadecimal amount', { amount: '0x3e8' }, 'amount_invalid'],
    ['a fractional amount', { amount: '1000.5' }, 'amount_invalid'],
    ['a JSON number', { amount: 1000 }, 'amount_invalid'],
    ['a negative amount', { amount: '-1000' }, 'amount_invalid'],
    ['no amount', { amount: undefined }, 'amount_invalid'],
    ['a zero amount', { amount: '0' }, 'amount_zero'],
    ['two amounts that differ', { maxAmountRequired: '2000' }, 'amount_conflict'],
    ['a payee that is no address', { payTo: 'alice.eth' }, 'payee_not_allowed'],
    ['a validity that is no number', { maxTimeoutSeconds: 'soon' }, 'validity_too_long'],
    ['a validity of half seconds', { maxTimeoutSeconds: 60.5 }, 'validity_too_long'],
    ['another contract', { extra: { verifyingContract: PAYEE } }, 'no_supported_offer'],
    ['a contract that is none', { extra: { verifyingContract: 7 } }, 'no_supported_offer'],
    ['a negative validity', { maxTimeoutSeconds: -1 }, 'validity_too_long'],
    ['a price above the ceiling', { amount: '5000000' }, 'price_above_limit'],
    ['another scheme', { scheme: 'upto' }, 'no_supported_offer'],
  ])('%s', (_what, change, code) => {
    const error = refusal(() => vetOffers(challenge({ ...good, ...change }), ORIGIN, policy))
    expect(error.code).toBe(code)
    // What happened, what it means for the money, what to do.
    expect(error.message).toMatch(/^[A-Z].+\. This offer was not paid\. [A-Z].+\.$/)
  })

  test('rule 6: a payee that is not the pinned one', () => {
    expect(codeOf(good, { payees: () => ['0x00000000000000000000000000000000000000aa'] })).toBe(
      'payee_not_allowed',
    )
    const quote = vetOffers(challenge(good), ORIGIN, { ...policy, payees: () => [PAYEE.toLowerCase()] })[0]
    expect(quote.payTo).toBe(PAYEE.toLowerCase())
  })

  test.each([
    ['the zero address', `0x${'0'.repeat(40)}`],
    ["the token's own contract", USDC],
    ['the contract of another token', BUILT_IN_ASSETS[0]?.address ?? ''],
    ['the wallet that pays', '0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC'],
    ['the burn address', '0x000000000000000000000000000000000000dEaD'],
    ['another burn address', '0xdEAD000000000000000042069420694206942069'],
    ['the last address', `0x${'F'.repeat(40)}`],
    ['the placeholder of the native coin', `0x${'Ee'.repeat(20)}`],
    ['a precompile', '0x0000000000000000000000000000000000000004'],
    ['Permit2', '0x000000000022D473030F116dDEE9F6B43aC78BA3'],
    ["x402's proxy", '0x402085c248EeA27D92E8b30b2C58ed07f9E20001'],
  ])('rule 6: %s as payee, pinned or not', (_what, payTo) => {
    const self = '0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC'
    for (const payees of [undefined, [payTo.toLowerCase()]]) {
      const error = refusal(() =>
        vetOffers(challenge({ ...good, payTo }), ORIGIN, { ...policy, self, payees: () => payees }),
      )
      expect(error.code).toBe('payee_not_allowed')
      expect(error.message).toMatch(/which is .+: the money would not reach a seller/)
    }
  })

  test('rule 6: addresses of nobody are no payees on any network, whatever token is paid', () => {
    const nobody = [
      '0x0000000000000000000000000000000000000000',
      '0x000000000000000000000000000000000000DEAD',
    ]
    const programs = ['11111111111111111111111111111111', 'Stake11111111111111111111111111111111111111']
    for (const asset of BUILT_IN_ASSETS) {
      const isSolana = asset.network.startsWith('solana:')
      const self = isSolana ? 'GDDMwNyyx8uB6zrqwBFHjLLG3TBYk2F8Az4yrQC5RzMp' : PAYEE
      const extra = { feePayer: 'EwWqGE4ZFKLofuestmU4LDdK7XM1N4ALgdZccwYugwGd' }
      for (const payTo of [...(isSolana ? programs : nobody), asset.address, self]) {
        const byMethod = asset.methods ? { ...extra, assetTransferMethod: asset.methods[0] } : extra
        const offer = { ...good, network: asset.network, asset: asset.address, payTo, extra: byMethod }
        const permissive = { networks: [asset.network], supports: () => true, maxMicroUsd: undefined, self }
        expect(codeOf(offer, permissive), `${asset.network} ${payTo}`).toBe('payee_not_allowed')
      }
    }
  })

  test('an asset without a USD value', () => {
    const assets = BUILT_IN_ASSETS.map(({ usd: _usd, ...asset }) => asset)
    expect(codeOf(good, { assets })).toBe('unpriced_asset')
    // Without a ceiling in USD no value in USD is needed.
    const quote = vetOffers(challenge(good), ORIGIN, { ...policy, assets, maxMicroUsd: undefined })[0]
    expect([quote.amount, quote.microUsd]).toEqual([BigInt(good.amount), undefined])
  })

  test('a host that is not on the list', () => {
    expect(refusal(() => vetOffers(challenge(good), 'https://other.test', policy)[0]).code).toBe(
      'host_not_allowed',
    )
  })

  test('of several refused offers, the one that passed the most checks is reported', () => {
    const offers = challenge(
      { ...good, network: 'eip155:8453' },
      { ...good, amount: '5000000' },
      { ...good, scheme: 'upto' },
    )
    expect(refusal(() => vetOffers(offers, ORIGIN, policy)[0]).code).toBe('price_above_limit')
  })

  test("no control character of the seller's text reaches a message", () => {
    const error = refusal(
      () => vetOffers(challenge({ ...good, network: 'eip155:1\r\nset-cookie: x' }), ORIGIN, policy)[0],
    )
    expect(error.message).not.toMatch(/[\r\n]/)
  })
})

test('rule 6: only the gate can make a quote', () => {
  const quote = vetOffers(challenge(good), ORIGIN, policy)[0]
  expect(Quote.isVetted(quote)).toBe(true)
  expect(Quote.isVetted({ ...quote })).toBe(false)
  expect(Quote.isVetted(Object.create(Quote.prototype))).toBe(false)
  expect(() => Reflect.construct(Quote, [Symbol('x'), quote])).toThrow('made by the gate only')
})

test('rule 6: any offer that passes the gate is within every limit', () => {
  const text = fc.oneof(
    fc.string(),
    fc.constantFrom(...Object.values(good).filter((value) => typeof value === 'string')),
  )
  const offer = fc.record(
    {
      scheme: fc.constantFrom('exact', 'upto', 'x'),
      network: fc.constantFrom('eip155:84532', 'base-sepolia', 'base', 'x'),
      amount: fc.oneof(fc.bigInt(-5n, 300_000n).map(String), text, fc.integer()),
      maxAmountRequired: fc.oneof(fc.constant(undefined), fc.bigInt(0n, 10n).map(String)),
      asset: fc.oneof(fc.constant(USDC), text),
      payTo: fc.oneof(fc.constant(PAYEE), text),
      maxTimeoutSeconds: fc.oneof(fc.integer(), fc.double(), text),
      extra: fc.anything(),
    },
    { requiredKeys: [] },
  )
  fc.assert(
    fc.property(fc.array(offer, { maxLength: 4 }), (accepts) => {
      try {
        const quote = vetOffers(challenge(...accepts), ORIGIN, policy)[0]
        expect(quote.amount > 0n && quote.amount <= 100_000n).toBe(true)
        expect(quote.asset.address).toBe(USDC.toLowerCase())
        expect(quote.payTo).toBe(PAYEE.toLowerCase())
        expect(quote.validitySeconds >= 10 && quote.validitySeconds <= 600).toBe(true)
        expect(quote.offer.scheme).toBe('exact')
      } catch (error) {
        expect(error).toBeInstanceOf(TollwayError)
      }
    }),
    { numRuns: 500 },
  )
})
