import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { decodeHeader } from '../kit/seller-answers.ts'
import { chatRequest, officialFetch } from '../kit/official-client.ts'
import { startWorld } from '../../src/app/sandbox/world.ts'
import type { World } from '../../src/app/sandbox/world.ts'

const Receipt = z.looseObject({ success: z.boolean(), transaction: z.string(), network: z.string() })
const Answer = z.looseObject({
  choices: z.array(z.looseObject({ message: z.object({ content: z.string() }) })),
})

let rig: World
let hold: (index: number) => Promise<void> | void = () => {}
beforeAll(async () => {
  rig = await startWorld({ beforeChunk: (index) => hold(index) })
})
afterAll(() => rig.close())
beforeEach(() => {
  hold = () => {}
})

/** Runs a call and tells what it moved on the chain. */
async function payments(call: () => Promise<void>) {
  const { chain } = rig
  const from = chain.accounts.buyer.address
  const before = await chain.transfers({ from })
  await call()
  return (await chain.transfers({ from })).slice(before.length)
}

const onePayment = () => [
  expect.objectContaining({
    from: rig.chain.accounts.buyer.address,
    to: rig.chain.accounts.seller.address,
    value: 1_000n,
  }),
]

function bytesOf(reply: Response): ReadableStream<Uint8Array> {
  if (reply.body === null) throw new Error('the reply has no body')
  return reply.body
}

describe('the official x402 client in the local payment world', () => {
  it('is answered after exactly one transfer by the official v2 seller', async () => {
    const moved = await payments(async () => {
      const reply = await officialFetch(rig.chain)(
        `${rig.seller.apiBase}/chat/completions`,
        chatRequest('why?'),
      )
      expect(reply.status).toBe(200)
      const receipt = Receipt.parse(decodeHeader(reply.headers.get('payment-response')))
      expect(receipt).toMatchObject({ success: true, network: 'eip155:84532' })
      expect(Answer.parse(await reply.json()).choices[0]?.message.content).toContain('why?')
    })
    expect(moved).toEqual(onePayment())
    expect(rig.seller.log.slice(-2).map((seen) => seen.hadPayment)).toEqual(['none', 'v2'])
  })

  it('pays the price the seller asks now, not the one it asked before', async () => {
    rig.seller.setPrice('$0.0025')
    try {
      const moved = await payments(async () => {
        await officialFetch(rig.chain)(`${rig.seller.apiBase}/embeddings`, {
          method: 'POST',
          body: '{"input":"a"}',
        })
      })
      expect(moved.map(({ value }) => value)).toEqual([2_500n])
    } finally {
      rig.seller.setPrice('$0.001')
    }
  })

  it('gets a whole stream from the official v2 seller after exactly one transfer', async () => {
    const moved = await payments(async () => {
      const reply = await officialFetch(rig.chain)(
        `${rig.seller.apiBase}/chat/completions`,
        chatRequest('stream?', { stream: true, stream_options: { include_usage: true } }),
      )
      const events = (await reply.text()).split('\n\n')
      expect(reply.headers.get('content-type')).toContain('text/event-stream')
      expect(events.at(-2)).toBe('data: [DONE]')
      expect(events.at(-3)).toContain('"total_tokens"')
    })
    expect(moved).toEqual(onePayment())
  })

  it('reads the first chunk of the streaming seller before the model may produce its last', async () => {
    const gate = Promise.withResolvers<void>()
    let produced = 0
    hold = async (index) => {
      if (index > 0) await gate.promise
      produced = index + 1
    }
    const moved = await payments(async () => {
      const reply = await officialFetch(rig.chain)(
        `${rig.streamingSeller.apiBase}/chat/completions`,
        chatRequest('stream!', { stream: true }),
      )
      expect(Receipt.parse(decodeHeader(reply.headers.get('payment-response'))).success).toBe(true)
      const reader = bytesOf(reply).getReader()
      const first = await reader.read()
      expect(Buffer.from(first.value ?? []).toString()).toContain('"role":"assistant"')
      // The model still stands at the gate with all the rest, and the money has moved.
      expect(produced).toBe(1)
      gate.resolve()
      let rest = ''
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        rest += Buffer.from(part.value).toString()
      }
      expect(rest.endsWith('data: [DONE]\n\n')).toBe(true)
    })
    expect(moved).toEqual(onePayment())
  })

  it('is answered after exactly one transfer by the v1 seller', async () => {
    const moved = await payments(async () => {
      const reply = await officialFetch(rig.chain)(
        `${rig.v1Seller.apiBase}/chat/completions`,
        chatRequest('old?'),
      )
      expect(reply.status).toBe(200)
      const receipt = Receipt.parse(decodeHeader(reply.headers.get('x-payment-response')))
      expect(receipt).toMatchObject({ success: true, network: 'base-sepolia' })
      expect(Answer.parse(await reply.json()).choices[0]?.message.content).toContain('old?')
    })
    expect(moved).toEqual(onePayment())
    expect(rig.v1Seller.log.slice(-2).map((seen) => seen.hadPayment)).toEqual(['none', 'v1'])
  })

  it('pays nothing when the model behind the paywall fails, because the official seller settles last', async () => {
    const failing = await startWorld({ faults: [{ status: 503 }] })
    try {
      const reply = await officialFetch(failing.chain)(
        `${failing.seller.apiBase}/chat/completions`,
        chatRequest('fail?'),
      )
      expect(reply.status).toBe(503)
      expect(await failing.chain.transfers({ from: failing.chain.accounts.buyer.address })).toEqual([])
    } finally {
      await failing.close()
    }
  })

  it('needs no ether: the buyer only signs', async () => {
    const balance = await fetch(rig.chain.rpcUrl, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        jsonrpc: '2.0',
        id: 1,
        method: 'eth_getBalance',
        params: [rig.chain.accounts.buyer.address, 'latest'],
      }),
    })
    expect(await balance.json()).toMatchObject({ result: '0x0' })
  })
})
