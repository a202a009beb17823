/** Whether a voucher is signed by whom it names is found out before it is served. */
import { describe, expect, test } from 'vitest'
import { recoverAddress } from 'viem'
import { VoucherCheck, type VoucherCheckOptions } from '../../providers/obol/voucher-check.ts'
import { methodOf, poolOfUpstream, voucherOf } from '../../providers/obol/pool-vouchers.ts'
import { BUILT_IN_ASSETS } from '../../src/core/money/assets.ts'
import type { SignedVoucher } from '../../src/core/vouchers/voucher.ts'
import { authSchema, upstreamSchema } from '../../src/io/external-payers/obol/documents.ts'
import { signAuths, upstreamFile, type Auth, type SignOptions } from '../kit/obol-pool.ts'

const payTo = '0x90F79bf6EB2c4f870365E785982E1f101E93b906'
const document = upstreamSchema.parse(upstreamFile({ url: 'https://s.example/q', payTo }))

function voucher(auth: Auth, assets = BUILT_IN_ASSETS): SignedVoucher {
  const parsed = authSchema.parse(auth)
  const pool = poolOfUpstream('obol', 'q', document, methodOf([parsed], document), assets)
  const made = typeof pool === 'string' ? pool : voucherOf(parsed, pool, assets)
  if (typeof made === 'string') throw new Error(made)
  return made
}

const made = async (count: number, shape: SignOptions['shape'] = 'flat'): Promise<SignedVoucher[]> =>
  (await signAuths(count, { payTo, shape })).map((auth) => voucher(auth))

const check = (options: Partial<VoucherCheckOptions> = {}): VoucherCheck =>
  new VoucherCheck({ assets: BUILT_IN_ASSETS, ...options })

describe('the signatures of vouchers', () => {
  test.each(['flat', 'payment', 'permit2'] as const)(
    '%s ones are sound as Obol signs them',
    async (shape) => {
      const vouchers = await made(3, shape)
      expect(await check().look('q', vouchers)).toEqual({ sound: vouchers, newlyForged: 0 })
    },
  )

  test.each(['flat', 'permit2'] as const)(
    'a change in anything that is signed makes a %s one another one',
    async (shape) => {
      const [one] = await made(1, shape)
      if (!one) throw new Error('none')
      const changes: Partial<SignedVoucher>[] = [
        { from: '0x00000000000000000000000000000000000000aa' },
        { payTo: '0x00000000000000000000000000000000000000aa' },
        { amount: one.amount + 1n },
        { nonce: `0x${'ab'.repeat(32)}` },
        { validAfter: 1 },
        { validBefore: one.validBefore + 1 },
        { network: 'eip155:8453', asset: '0x833589fcd6edb6e08f4c7c32d4f71b54bda02913' },
        { payment: one.payment.replace(/"signature":"0x...../, '"signature":"0x11111') },
        { payment: one.payment.replace(/"signature":"0x[0-9a-f]+"/, `"signature":"0x${'00'.repeat(65)}"`) },
        { payment: one.payment.replace(/"signature":"(0x[0-9a-f]+)"/, '"signature":"$1ff"') },
      ]
      const vouchers = changes.map((change, at) => ({ ...one, ...change, key: `k${at}` }))
      expect(await check().look('q', vouchers)).toEqual({ sound: [], newlyForged: changes.length })
    },
  )

  test('a voucher of a token with an unknown domain is accepted unchecked', async () => {
    const [auth = {}] = await signAuths(1, { payTo, shape: 'flat' })
    const unknown = voucher({ ...auth, from: payTo }, [])
    expect(await check({ assets: [] }).look('q', [unknown])).toEqual({ sound: [unknown], newlyForged: 0 })
  })

  test('is checked and reported once while it stays in the file, and again when its content changes', async () => {
    let looks = 0
    const looker = check({
      recover: async (parts) => {
        looks += 1
        return await recoverAddress(parts)
      },
    })
    const [good, other] = await made(2)
    if (!good || !other) throw new Error('none')
    const forged = { ...other, amount: 7n, id: 'other' }
    expect(await looker.look('q', [good, forged])).toEqual({ sound: [good], newlyForged: 1 })
    expect(await looker.look('q', [good, forged])).toEqual({ sound: [good], newlyForged: 0 })
    expect(looks).toBe(2)
    expect(await looker.look('q', [good, { ...other, key: forged.key }])).toMatchObject({ newlyForged: 0 })
    expect(looks).toBe(3)
    // What left the file is forgotten, and so is what left with its upstream.
    await looker.look('q', [])
    await looker.look('q', [good])
    looker.keep(new Set())
    await looker.look('q', [good])
    expect(looks).toBe(5)
  })

  test('yields between slices, however many vouchers there are, and stops when aborted', async () => {
    const stop = new AbortController()
    let pauses = 0
    let clock = 0
    const looker = check({
      signal: stop.signal,
      now: () => clock,
      recover: () => {
        // Two of them make a slice.
        clock += 5
        return Promise.resolve('0x')
      },
      pause: () => {
        pauses += 1
        if (pauses === 4) stop.abort()
        return Promise.resolve()
      },
    })
    await looker.look('q', await made(6))
    expect(pauses).toBe(3)
    await expect(looker.look('r', await made(6))).rejects.toThrow()
    expect(pauses).toBe(4)
  })
})
