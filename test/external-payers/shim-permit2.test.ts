import { privateKeyToAccount } from 'viem/accounts'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import { BUILT_IN_ASSETS } from '../../src/core/money/assets.ts'
import { externalPayload } from '../../src/core/payer/external-payment.ts'
import { permitExtensions } from '../../src/core/payer/external-permit.ts'
import {
  composePermit2,
  permit2Payload,
  sponsoringExtension,
  typedPermit,
  typedPermit2,
} from '../../src/core/payer/permit2.ts'
import { GAS_SPONSORING } from '../../src/core/x402/extensions.ts'
import { vetOffers, type Quote } from '../../src/core/policy/gate.ts'
import { toEip712, type TypedMessage } from '../../src/core/payer/typed-message.ts'
import { encodeBase64Json } from '../../src/core/x402/wire-json.ts'
import { ShimFault, startShim, type Shim, type ShimCall } from '../../src/io/external-payers/shim.ts'
import { challengeOf, offerV2, origin } from '../kit/quotes.ts'

const account = privateKeyToAccount(localAccounts().buyer.privateKey)
const stranger = privateKeyToAccount(localAccounts().seller.privateKey)

let shim: Shim
beforeEach(async () => {
  shim = await startShim()
})
afterEach(() => shim.close())

/** A vetted Permit2 quote of a seller that takes allowances along, or not. */
function quote(sponsors = true): Quote {
  const offer = { ...offerV2, extra: { ...offerV2.extra, assetTransferMethod: 'permit2' } }
  const extensions = sponsors ? { [GAS_SPONSORING]: { info: { description: 'x', version: '1' } } } : {}
  return vetOffers({ ...challengeOf(2, offer), extensions }, origin, {
    networks: ['eip155:84532'],
    assets: BUILT_IN_ASSETS,
    origins: new Set([origin]),
    maxMicroUsd: 100_000n,
    maxValiditySeconds: 600,
    payees: () => undefined,
    supports: () => true,
  })[0]
}

const sign = (typed: TypedMessage, by = account): Promise<`0x${string}`> => {
  const { types, primaryType, domain, message } = toEip712(typed)
  return by.signTypedData({
    types: types as Record<string, { name: string; type: string }[]>,
    primaryType,
    domain,
    message: { ...message },
  })
}

interface Signed {
  readonly accepted: object
  readonly payload: Record<string, unknown>
  readonly extensions: Record<string, { info: Record<string, unknown> }>
}

/** What a payer that knows Permit2 sends, allowance included. */
async function signed(of: Quote, permitBy = account): Promise<Signed> {
  const record = composePermit2(of, account.address, `0x${'5a'.repeat(32)}`, Date.now())
  const [typed, permit] = [typedPermit2(of, record), typedPermit(of, record, 3n)]
  if (!typed || !permit) throw new Error('the asset table has no domain')
  return {
    accepted: of.offer.raw,
    payload: { ...permit2Payload(typed, await sign(typed)) },
    extensions: sponsoringExtension(of, permit, await sign(permit, permitBy)) as Signed['extensions'],
  }
}

async function pay(call: ShimCall, payment: Signed): Promise<void> {
  void fetch(call.url, {
    method: 'POST',
    headers: { 'payment-signature': encodeBase64Json({ x402Version: 2, ...payment }) },
    body: '{}',
  }).catch(() => undefined)
  await call.payment
}

describe('a Permit2 payment through the shim', () => {
  test('is checked and sent on with the vetted fields and its own signature', async () => {
    const vetted = quote()
    const call = shim.open(vetted)
    const payment = await signed(vetted)
    await pay(call, payment)
    const taken = await call.payment
    expect(taken.record).toMatchObject({ method: 'permit2', from: account.address.toLowerCase() })
    expect(externalPayload(vetted, taken)).toEqual(payment.payload)
  })

  test('is offered an allowance, in our own text, only if the seller accepts one', async () => {
    const shown = async (of: Quote): Promise<unknown> =>
      await (await fetch(shim.open(of).url, { method: 'POST', body: '{}' })).json()
    expect(await shown(quote())).toMatchObject({
      accepts: [{ extra: { assetTransferMethod: 'permit2' } }],
      extensions: { [GAS_SPONSORING]: { info: { version: '1' } } },
    })
    expect(await shown(quote(false))).not.toHaveProperty('extensions')
  })

  test('keeps the allowance that fits the quote', async () => {
    const vetted = quote()
    const call = shim.open(vetted)
    const payment = await signed(vetted)
    await pay(call, payment)
    const { permit } = await call.payment
    expect(permitExtensions(vetted, permit)).toMatchObject({
      [GAS_SPONSORING]: {
        info: {
          amount: '1000',
          nonce: '3',
          from: account.address.toLowerCase(),
          signature: payment.extensions[GAS_SPONSORING]?.info['signature'],
        },
      },
    })
  })

  const other = '0x1111111111111111111111111111111111111111'
  test.each([
    ['over more than the price', { amount: (2n ** 256n - 1n).toString() }],
    ['for another spender', { spender: other }],
    ['of another token', { asset: other }],
    ['of another owner', { from: other }],
    ['valid for too long', { deadline: '99999999999' }],
    ['with a nonce that is no number', { nonce: '0x3' }],
    ['that says another nonce than was signed', { nonce: '4' }],
  ])('goes without an allowance %s', async (_what, change) => {
    const vetted = quote()
    const call = shim.open(vetted)
    const payment = await signed(vetted)
    const info = { ...payment.extensions[GAS_SPONSORING]?.info, ...change }
    await pay(call, { ...payment, extensions: { [GAS_SPONSORING]: { info } } })
    expect((await call.payment).permit).toBeUndefined()
  })

  test('is sent without an allowance that another key signed or that the seller did not ask for', async () => {
    const vetted = quote()
    const [first, second] = [shim.open(vetted), shim.open(quote(false))]
    await pay(first, await signed(vetted, stranger))
    expect((await first.payment).permit).toBeUndefined()
    first.end({ state: 'released', transaction: undefined })
    await pay(second, await signed(vetted))
    expect((await second.payment).permit).toBeUndefined()
  })

  test.each([
    ['to another spender than the proxy of x402', 'terms', { spender: other }],
    ['of more than the price', 'amount', { permitted: { token: offerV2.asset, amount: '1001' } }],
    ['to somebody else', 'payee', { witness: { to: other, validAfter: '0' } }],
  ])('is refused when it goes %s', async (_what, fault, change) => {
    const vetted = quote()
    const call = shim.open(vetted)
    const payment = await signed(vetted)
    const permit2Authorization = { ...(payment.payload['permit2Authorization'] as object), ...change }
    const refused = pay(call, { ...payment, payload: { ...payment.payload, permit2Authorization } })
    await expect(refused).rejects.toBeInstanceOf(ShimFault)
    await expect(refused).rejects.toMatchObject({ fault })
  })
})
