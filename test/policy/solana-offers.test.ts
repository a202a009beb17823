import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BUILT_IN_ASSETS } from '../../src/core/money/assets.ts'
import type { GatePolicy } from '../../src/core/policy/gate-policy.ts'
import { encodeBase58 } from '../../src/core/solana/base58.ts'
import { MEMO_PROGRAM, TOKEN_2022_PROGRAM, TOKEN_PROGRAM } from '../../src/core/solana/programs.ts'
import { wantedMethod } from '../../src/core/policy/read-offer.ts'
import { vetOffers } from '../../src/core/policy/gate.ts'
import { challengeOf, offerV2, origin } from '../kit/quotes.ts'
import { createWallet } from '../kit/solana/chain.ts'
import { solanaFeePayer, solanaOffer, solanaPayee, solanaQuote } from '../kit/solana/quotes.ts'
import { DEVNET, DEVNET_USDC } from '../kit/solana/world.ts'

const self = createWallet().address
const extra = (change: object): object => ({ extra: { feePayer: solanaFeePayer, ...change } })

function refusal(change: object, policy: Partial<GatePolicy> = {}): unknown {
  try {
    solanaQuote(2, change, { self, ...policy })
    return 'a quote'
  } catch (error) {
    return (error as { code?: unknown }).code
  }
}

test('rule 6: an offer on Solana becomes a quote with what is signed, version 1 and 2', () => {
  for (const version of [1, 2] as const) {
    expect(solanaQuote(version, extra({ memo: 'order-42' }), { self })).toMatchObject({
      amount: 1000n,
      microUsd: 1000n,
      payTo: solanaPayee,
      method: 'solana',
      scheme: 'exact',
      solana: { feePayer: solanaFeePayer, memo: 'order-42' },
      asset: { network: DEVNET, address: DEVNET_USDC, symbol: 'USDC' },
    })
  }
})

// Each of these is signed by the official client, but for those it throws at.
describe('rule 6: a hostile offer on Solana is refused before anything is signed:', () => {
  test.each<[string, object, string]>([
    ['an amount in hexadecimal', { amount: '0x10' }, 'amount_invalid'],
    ['an amount with spaces', { amount: ' 16 ' }, 'amount_invalid'],
    ['an empty amount', { amount: '' }, 'amount_invalid'],
    ['an amount of zero', { amount: '0' }, 'amount_zero'],
    ['an amount with an exponent', { amount: '1e3' }, 'amount_invalid'],
    ['a negative amount', { amount: '-5' }, 'amount_invalid'],
    ['an amount with a leading zero', { amount: '016' }, 'amount_invalid'],
    ['an amount that is a number', { amount: 1000 }, 'amount_invalid'],
    ['an amount over 64 bits', { amount: (2n ** 64n).toString() }, 'amount_invalid'],
    ['two amounts', { maxAmountRequired: '999' }, 'amount_conflict'],
    ['no fee payer', { extra: {} }, 'no_supported_offer'],
    ['a fee payer that is no address', { extra: { feePayer: 'me' } }, 'no_supported_offer'],
    [
      'a fee payer of 31 bytes',
      { extra: { feePayer: encodeBase58(new Uint8Array(31).fill(9)) } },
      'no_supported_offer',
    ],
    ['a fee payer that is a list', { extra: { feePayer: [solanaFeePayer] } }, 'no_supported_offer'],
    ['us as the fee payer', { extra: { feePayer: self } }, 'fee_payer_not_allowed'],
    ['the mint as the fee payer', { extra: { feePayer: DEVNET_USDC } }, 'fee_payer_not_allowed'],
    ['the token program as the fee payer', { extra: { feePayer: TOKEN_PROGRAM } }, 'fee_payer_not_allowed'],
    ['the memo program as the fee payer', { extra: { feePayer: MEMO_PROGRAM } }, 'fee_payer_not_allowed'],
    ['us as the payee', { payTo: self }, 'payee_not_allowed'],
    [
      'the incinerator as the payee',
      { payTo: '1nc1nerator11111111111111111111111111111111' },
      'payee_not_allowed',
    ],
    ['the system program as the payee', { payTo: '1'.repeat(32) }, 'payee_not_allowed'],
    ['a payee that is no address', { payTo: 'seller' }, 'payee_not_allowed'],
    ['a payee on another kind of chain', { payTo: offerV2.payTo }, 'payee_not_allowed'],
    ['a mint that looks like USDC', { asset: createWallet().address }, 'asset_not_allowed'],
    ['the mint in another letter case', { asset: DEVNET_USDC.toLowerCase() }, 'asset_not_allowed'],
    ['an EVM token', { asset: offerV2.asset }, 'asset_not_allowed'],
    ['another network', { network: 'solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp' }, 'network_not_allowed'],
    [
      'a network that nobody knows',
      { network: 'solana:4uhcVJyU9pJkvQyS88uRDiswHXSCkY3z' },
      'network_not_allowed',
    ],
    ['another token program', extra({ tokenProgram: TOKEN_2022_PROGRAM }), 'no_supported_offer'],
    ['a token program that is no text', extra({ tokenProgram: 7 }), 'no_supported_offer'],
    ['a transfer method of EVM networks', extra({ assetTransferMethod: 'eip3009' }), 'no_supported_offer'],
    ['upto', { scheme: 'upto', ...extra({ facilitatorAddress: offerV2.payTo }) }, 'no_supported_offer'],
    ['a memo of 257 bytes', extra({ memo: 'x'.repeat(257) }), 'memo_not_allowed'],
    ['a memo of 129 letters of two bytes', extra({ memo: '\u00fc'.repeat(129) }), 'memo_not_allowed'],
    ['a memo that is a number', extra({ memo: 42 }), 'memo_not_allowed'],
    ['a memo with a line end', extra({ memo: 'a\nb' }), 'memo_not_allowed'],
    ['a memo that turns the text around', extra({ memo: 'a\u202eb' }), 'memo_not_allowed'],
    ['a memo with half a character', extra({ memo: 'a\ud800' }), 'memo_not_allowed'],
    ['a validity of no time', { maxTimeoutSeconds: 0 }, 'validity_too_long'],
    ['a price above the ceiling', { amount: '100001' }, 'price_above_limit'],
  ])('%s', (_name, change, code) => {
    expect(refusal(change)).toBe(code)
  })

  test('a payee that is not the pinned one, letter case included', () => {
    expect(refusal({}, { payees: () => [solanaPayee] })).toBe('a quote')
    expect(refusal({}, { payees: () => [createWallet().address] })).toBe('payee_not_allowed')
    expect(refusal({}, { payees: () => [solanaPayee.toLowerCase()] })).toBe('payee_not_allowed')
  })

  test('and the seller may pay the fee itself, or say which program the token belongs to', () => {
    expect(refusal({ extra: { feePayer: solanaPayee } })).toBe('a quote')
    expect(refusal(extra({ tokenProgram: TOKEN_PROGRAM, memo: '' }))).toBe('a quote')
  })
})

test('what an offer on Solana wants is told by its own name', () => {
  const [offer] = challengeOf(2, solanaOffer(2)).offers
  const [other] = challengeOf(2, solanaOffer(2, { scheme: 'upto' })).offers
  expect(offer && wantedMethod(offer)).toBe('solana')
  expect(other && wantedMethod(other)).toBe('another method')
})

test('no extra field of any kind makes the gate throw anything but a refusal', () => {
  fc.assert(
    fc.property(
      fc.dictionary(fc.constantFrom('feePayer', 'memo', 'tokenProgram', 'x'), fc.anything()),
      (fields) => {
        const code = refusal({ extra: fields })
        expect(typeof code).toBe('string')
      },
    ),
  )
})

test('of offers on both kinds of chain the cheapest is paid, or the first the seller names', () => {
  const dearer = { ...offerV2, amount: '1001' }
  const policy: GatePolicy = {
    networks: [DEVNET, offerV2.network],
    assets: BUILT_IN_ASSETS,
    origins: new Set([origin]),
    maxMicroUsd: 100_000n,
    maxValiditySeconds: 600,
    payees: () => undefined,
    supports: () => true,
  }
  const challenge = challengeOf(2, dearer, solanaOffer(2))
  expect(vetOffers(challenge, origin, policy).map(({ asset }) => asset.network)).toEqual([
    DEVNET,
    offerV2.network,
  ])
  const [first] = vetOffers(challenge, origin, { ...policy, order: 'seller' })
  expect(first.asset.network).toBe(offerV2.network)
})
