import { afterEach, beforeAll, afterAll, describe, expect, it } from 'vitest'
import { startChain } from '../../src/app/sandbox/chain/chain.ts'
import type { LocalChain } from '../../src/app/sandbox/chain/chain.ts'
import { challengeV1, challengeV2, decodeHeader, receiptV1, receiptV2, send } from './seller-answers.ts'
import { startScriptedSeller } from './scripted-seller.ts'
import type { ScriptedSeller } from './scripted-seller.ts'
import type { SellerHandler } from './scripted-seller.ts'
import { chatRequest, officialFetch } from './official-client.ts'

let chain: LocalChain
let seller: ScriptedSeller
beforeAll(async () => {
  chain = await startChain()
})
afterAll(() => chain.close())
afterEach(() => seller.close())

const start = async (handler: SellerHandler) => {
  seller = await startScriptedSeller(handler)
}
const receipt = { success: true, transaction: '0x00', network: 'eip155:84532' }
const requirement = () => ({
  scheme: 'exact',
  payTo: chain.accounts.seller.address,
  asset: chain.token.address,
  maxTimeoutSeconds: 60,
  extra: { name: chain.token.name, version: chain.token.version },
})

describe('what a scripted seller answers', () => {
  it('offers and receipts of v2 are accepted by the official client, and both requests are recorded', async () => {
    await start((request, response) => {
      if (request.headers['payment-signature'] === undefined) {
        send(response, challengeV2([{ ...requirement(), network: chain.network, amount: '1000' }]))
      } else {
        send(response, { status: 200, headers: receiptV2(receipt), body: 'thanks for nothing' })
      }
    })
    const reply = await officialFetch(chain)(`${seller.apiBase}/chat/completions`, chatRequest('hello'))
    expect(await reply.text()).toBe('thanks for nothing')
    expect(decodeHeader(reply.headers.get('payment-response'))).toEqual(receipt)
    expect(seller.requests.map(({ method, url }) => [method, url])).toEqual([
      ['POST', '/v1/chat/completions'],
      ['POST', '/v1/chat/completions'],
    ])
    expect(decodeHeader(seller.requests[1]?.headers['payment-signature'])).toMatchObject({
      x402Version: 2,
      accepted: { amount: '1000' },
    })
    expect(seller.requests[1]?.body.toString()).toContain('hello')
    expect(await chain.transfers({ from: chain.accounts.buyer.address })).toEqual([])
  })

  it('makes offers and receipts of v1 that the official client takes for real', async () => {
    await start((request, response) => {
      if (request.headers['x-payment'] === undefined) {
        const offer = { ...requirement(), network: 'base-sepolia', maxAmountRequired: '1000' }
        send(response, challengeV1([{ ...offer, resource: seller.url, description: '', mimeType: '' }]))
      } else {
        send(response, { status: 200, headers: receiptV1(receipt), body: '' })
      }
    })
    const reply = await officialFetch(chain)(seller.apiBase, chatRequest('hello'))
    expect(reply.status).toBe(200)
    expect(decodeHeader(seller.requests[1]?.headers['x-payment'])).toMatchObject({ x402Version: 1 })
  })

  it('puts what a test asks for into an offer, however wrong', async () => {
    await start(() => {})
    expect(
      decodeHeader(challengeV2(['?'], { x402Version: 3, error: null }).headers['payment-required']),
    ).toMatchObject({ x402Version: 3, error: null, accepts: ['?'] })
    expect(JSON.parse(challengeV1([], { extra: 1 }).body)).toMatchObject({ accepts: [], extra: 1 })
  })

  it('cuts the connection when its handler throws', async () => {
    await start(() => {
      throw new Error('no answer')
    })
    await expect(fetch(seller.url)).rejects.toThrow()
    expect(seller.requests).toHaveLength(1)
  })
})
