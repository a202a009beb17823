import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { startFacilitator } from '../../src/app/sandbox/facilitator.ts'
import type { FacilitatorFault, FacilitatorOperation } from '../../src/app/sandbox/facilitator.ts'
import type { LocalSeller } from '../../src/app/sandbox/sellers/seller-app.ts'
import { startSeller } from '../../src/app/sandbox/sellers/seller.ts'
import { decodeHeader } from '../kit/seller-answers.ts'
import { chatRequest, officialFetch } from '../kit/official-client.ts'
import { startWorld } from '../../src/app/sandbox/world.ts'
import type { World } from '../../src/app/sandbox/world.ts'

let rig: World
/** Waits three seconds for the facilitator; only used where it waits in vain. */
let impatient: LocalSeller
beforeAll(async () => {
  rig = await startWorld()
  impatient = await startSeller({
    facilitatorUrl: rig.facilitator.url,
    payTo: rig.chain.accounts.seller.address,
    network: rig.chain.network,
    facilitatorTimeoutMs: 3_000,
  })
})
afterAll(async () => {
  await impatient.close()
  await rig.close()
})
beforeEach(async () => {
  await rig.chain.levers.pause(false)
})

const url = (seller = rig.seller) => `${seller.apiBase}/chat/completions`
const paid = async () => (await rig.chain.transfers({ from: rig.chain.accounts.buyer.address })).length

/** Pays once and gives back the signed header, so that it can be sent again. */
async function pay(seller = rig.seller): Promise<{ reply: Response; signature: string }> {
  let signature = ''
  const reply = await officialFetch(rig.chain, (input, init) => {
    const request = new Request(input, init)
    signature = request.headers.get('payment-signature') ?? signature
    return fetch(request)
  })(url(seller), chatRequest('hello'))
  return { reply, signature }
}

const sendAgain = (signature: string) =>
  fetch(url(), {
    ...chatRequest('hello'),
    headers: { 'content-type': 'application/json', 'payment-signature': signature },
  })

const calls = (operation: FacilitatorOperation) =>
  rig.facilitator.log.filter((call) => call.operation === operation)

describe('the local facilitator', () => {
  it('says that it can do exact payments of both x402 generations', async () => {
    const reply = await fetch(`${rig.facilitator.url}/supported`)
    expect(await reply.json()).toMatchObject({
      kinds: expect.arrayContaining([
        expect.objectContaining({ x402Version: 2, scheme: 'exact', network: 'eip155:84532' }),
        expect.objectContaining({ x402Version: 1, scheme: 'exact', network: 'base-sepolia' }),
      ]),
    })
  })

  it('verifies and settles a payment once each, and writes both down', async () => {
    const before = { verify: calls('verify').length, settle: calls('settle').length }
    expect((await pay()).reply.status).toBe(200)
    expect(calls('verify').slice(before.verify)).toMatchObject([{ status: 200, x402Version: 2 }])
    expect(calls('settle').slice(before.settle)).toMatchObject([{ status: 200, response: { success: true } }])
  })

  it('tells a used nonce from an empty purse, which needs the multicall contract', async () => {
    const { signature } = await pay()
    const replayed = await sendAgain(signature)
    expect(replayed.status).toBe(402)
    expect(decodeHeader(replayed.headers.get('payment-required'))).toMatchObject({
      error: 'invalid_exact_evm_nonce_already_used',
    })
    const buyer = rig.chain.accounts.buyer.address
    const funds = await rig.chain.balanceOf(buyer)
    await rig.chain.levers.burnFrom(buyer, funds)
    try {
      const { reply } = await pay()
      expect(decodeHeader(reply.headers.get('payment-required'))).toMatchObject({
        error: 'invalid_exact_evm_insufficient_balance',
      })
    } finally {
      await rig.chain.levers.mint(buyer, funds)
    }
  })

  it('fails once for each fault, in each of the ways, and takes no money', async () => {
    const ways: [FacilitatorOperation, FacilitatorFault, number][] = [
      ['verify', { status: 500 }, 402],
      ['verify', { garbage: '<html>' }, 502],
      ['verify', { hang: true }, 502],
      ['settle', { status: 500, body: { error: 'broken' } }, 402],
      ['settle', { garbage: '{' }, 502],
      ['settle', { hang: true }, 502],
    ]
    const before = await paid()
    for (const [operation, fault, status] of ways) {
      rig.facilitator.faults[operation].push(fault)
      const { reply } = await pay('hang' in fault ? impatient : rig.seller)
      expect(reply.status, JSON.stringify([operation, fault])).toBe(status)
    }
    expect(await paid()).toBe(before)
    expect((await pay()).reply.status).toBe(200)
    expect(await paid()).toBe(before + 1)
  })

  it('can take the money and still answer with a failure', async () => {
    const before = await paid()
    rig.facilitator.faults.settle.push({ status: 500, afterwards: true })
    const { reply } = await pay()
    expect(reply.status).toBe(402)
    expect(await paid()).toBe(before + 1)
  })

  it('can settle after the seller has given up waiting', async () => {
    const before = { paid: await paid(), settled: calls('settle').length }
    rig.facilitator.faults.settle.push({ delayMs: 6_000 })
    const { reply } = await pay(impatient)
    expect(reply.status).toBe(502)
    expect(await paid()).toBe(before.paid)
    await expect.poll(() => calls('settle').length).toBe(before.settled + 1)
    expect(await paid()).toBe(before.paid + 1)
  })

  it('settles many payments at once without losing any', async () => {
    const before = await paid()
    const replies = await Promise.all(Array.from({ length: 20 }, () => pay()))
    expect(replies.map(({ reply }) => reply.status)).toEqual(replies.map(() => 200))
    expect(await paid()).toBe(before + 20)
  })

  it('refuses what is not a payment with 400', async () => {
    const reply = await fetch(`${rig.facilitator.url}/settle`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{}',
    })
    expect(reply.status).toBe(400)
  })

  it('closes at once while it delays one call and hangs on another, and leaves no timer', async () => {
    const set = vi.spyOn(globalThis, 'setTimeout')
    const cleared = vi.spyOn(globalThis, 'clearTimeout')
    onTestFinished(() => {
      set.mockRestore()
      cleared.mockRestore()
    })
    const facilitator = await startFacilitator(rig.chain)
    facilitator.faults.verify.push({ delayMs: 3_600_000 }, { hang: true })
    const call = () =>
      fetch(`${facilitator.url}/verify`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ x402Version: 2, paymentPayload: {}, paymentRequirements: {} }),
      }).then(
        () => 'answered',
        () => 'cut',
      )
    const both = [call(), call()]
    await expect.poll(() => facilitator.faults.verify.length).toBe(0)
    await facilitator.close()
    expect(await Promise.all(both)).toEqual(['cut', 'cut'])
    const delay = set.mock.results[set.mock.calls.findIndex(([, ms]) => ms === 3_600_000)]
    expect(cleared).toHaveBeenCalledWith(delay?.value)
  })
})
