/**
 * What x402-buyer's own tests ask of it, asked of a pool: what obol-pool.test.ts, obol-upstream.test.ts and obol-process.test.ts
 * do not have. Where the answer is another one on purpose, docs/obol.md says why.
 */
import { mkdirSync } from 'node:fs'
import { afterEach, describe, expect, test } from 'vitest'
import { ask, errorOf, type TestGateway } from '../kit/gateway.ts'
import { answer, challenge, consumed, payTo, startBuyer, status } from '../kit/mock-obol-seller.ts'
import { signAuths, upstreamFile } from '../kit/obol-pool.ts'

const cleanup: (() => unknown)[] = []
afterEach(async () => {
  for (const end of cleanup.splice(0).toReversed()) await end()
})

const call = (gateway: TestGateway, model: string): Promise<Response> =>
  ask(gateway.url, { model, user: crypto.randomUUID() })

describe('the list of x402-buyer', () => {
  test('counts go 3/0, 2/1, 1/2; two upstreams are apart; a top-up keeps what is spent and appends', async () => {
    const auths = await signAuths(3, { payTo })
    const { seller, files, open } = await startBuyer(auths, cleanup)
    const other = upstreamFile({ url: seller.url, payTo, model: 'other' })
    files.write('other', other, await signAuths(1, { payTo }))
    const gateway = await open()
    const counts = async (): Promise<unknown[]> =>
      Object.values(await status(gateway)).map(({ remaining, spent }) =>
        [remaining, spent].map(String).join('/'),
      )
    expect(await counts()).toEqual(['1/0', '3/0'])
    for (const expected of ['2/1', '1/2']) {
      expect((await call(gateway, 'qwen3.5:9b')).status).toBe(200)
      expect(await counts()).toEqual(['1/0', expected])
    }
    expect((await call(gateway, 'other')).status).toBe(200)
    // Its own pool is empty, and the other one's vouchers are not its.
    expect((await errorOf(await call(gateway, 'other'))).code).toBe('pool_exhausted')
    expect(await counts()).toEqual(['0/1', '1/2'])
    const upstream = upstreamFile({ url: seller.url, payTo, model: 'qwen3.5:9b' })
    files.write('remote-qwen', upstream, [...auths, ...(await signAuths(2, { payTo }))])
    await gateway.gateway.parts.pools.get('obol')?.reload('test').done
    expect(await counts()).toEqual(['0/1', '3/2'])
  })

  test('a free answer passes and uses no voucher; no receipt, or one that says no, changes no 200 and is persisted', async () => {
    const { seller, files, open } = await startBuyer(await signAuths(2, { payTo }), cleanup)
    const gateway = await open()
    seller.onUnpaid = (response) => answer(response, false)
    expect((await call(gateway, 'qwen3.5:9b')).status).toBe(200)
    expect(await status(gateway)).toMatchObject({ 'remote-qwen': { remaining: 2, spent: 0 } })
    seller.onUnpaid = undefined
    for (const receipt of [undefined, { success: false, transaction: '', network: 'eip155:84532' }]) {
      seller.onPaid = (response) => {
        const header = receipt && Buffer.from(JSON.stringify(receipt)).toString('base64')
        response.writeHead(200, {
          'content-type': 'application/json',
          ...(header === undefined ? {} : { 'x-payment-response': header }),
        })
        response.end('{"id":"c","choices":[{"message":{"content":"yes"}}]}')
      }
      expect((await call(gateway, 'qwen3.5:9b')).status).toBe(200)
    }
    await gateway.close()
    expect(consumed(files)).toMatchObject({
      consumed: { 'remote-qwen': [expect.any(String), expect.any(String)] },
    })
  })

  test('terms are compared in any letter case, and another network, payee, asset or price is not paid', async () => {
    const { seller, open } = await startBuyer(await signAuths(1, { payTo }), cleanup)
    const gateway = await open()
    const codes: string[] = []
    for (const change of [
      { network: 'eip155:8453' },
      { payTo: '0x00000000000000000000000000000000000000aa' },
      { asset: '0x00000000000000000000000000000000000000aa' },
      { amount: '1001' },
    ]) {
      seller.onUnpaid = (response) => challenge(seller, response, change)
      codes.push((await errorOf(await call(gateway, 'qwen3.5:9b'))).code)
    }
    expect(codes).toEqual([
      'no_supported_offer',
      'payee_not_allowed',
      'no_supported_offer',
      'pool_terms_changed',
    ])
    expect(seller.paid).toHaveLength(0)
    seller.onUnpaid = (response) => challenge(seller, response, { payTo: payTo.toLowerCase() })
    expect((await call(gateway, 'qwen3.5:9b')).status).toBe(200)
  })

  test('a reload swaps mappings: the old model is 404, its series are gone; one that waits already is told', async () => {
    const auths = await signAuths(2, { payTo })
    const { seller, files, open } = await startBuyer(auths, cleanup)
    const gateway = await open()
    expect((await call(gateway, 'qwen3.5:9b')).status).toBe(200)
    files.write('remote-qwen', upstreamFile({ url: seller.url, payTo, model: 'newer' }), auths)
    const pool = gateway.gateway.parts.pools.get('obol')
    if (!pool) throw new Error('no pool')
    // `reload triggered`, then `reload already pending`.
    const asked = [pool.reload('test'), pool.reload('test')]
    expect(asked.map(({ pending }) => pending)).toEqual([false, true])
    await Promise.all(asked.map(({ done }) => done))
    expect((await call(gateway, 'qwen3.5:9b')).status).toBe(404)
    expect((await call(gateway, 'newer')).status).toBe(200)
    const of = (remote_model: string): Promise<number> =>
      gateway.metric('obol_x402_buyer_active_model_mappings', { remote_model })
    expect([await of('qwen3.5:9b'), await of('newer')]).toEqual([0, 1])
    expect(await status(gateway)).toMatchObject({ 'remote-qwen': { remaining: 0, spent: 2 } })
  })

  test('a state file that cannot be written is counted, and the answer is delivered all the same', async () => {
    const { files, open } = await startBuyer(await signAuths(1, { payTo }), cleanup)
    const gateway = await open()
    mkdirSync(`${files.state}.tmp`)
    expect((await call(gateway, 'qwen3.5:9b')).status).toBe(200)
    await expect.poll(() => gateway.metric('obol_x402_buyer_confirm_spend_failure_total')).toBe(1)
  })
})
