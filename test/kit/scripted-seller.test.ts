/** The scripted seller: what tests of sellers rely on. */
import { afterEach, describe, expect, test } from 'vitest'
import { nonceOf, startScriptedSeller, type ScriptedSeller } from './scripted-seller.ts'
import {
  asking,
  challengeV1,
  completion,
  decodeHeader,
  encodeHeader,
  events,
  json,
} from './seller-answers.ts'
import { cut, cutAfter, held, settledError, silent } from './seller-faults.ts'

let seller: ScriptedSeller
afterEach(async () => await seller.close())

const payment = (nonce: string): Record<string, string> => ({
  'payment-signature': encodeHeader({ payload: { authorization: { nonce } } }),
})
const ask = async (headers: Record<string, string> = {}): Promise<Response> =>
  await fetch(`${seller.apiBase}/chat/completions`, { method: 'POST', headers, body: '{}' })

describe('a scripted seller', () => {
  test('asks for its price and answers every payment with a receipt of its own, unless told otherwise', async () => {
    seller = await startScriptedSeller()
    const unpaid = await ask()
    const offer = decodeHeader(unpaid.headers.get('payment-required'))
    expect([unpaid.status, offer]).toEqual([402, expect.objectContaining({ x402Version: 2 })])
    const receipts = [
      await ask(payment('0x01')),
      await ask({ 'x-payment': payment('0x02')['payment-signature'] ?? '' }),
    ]
    expect(receipts.map(({ status }) => status)).toEqual([200, 200])
    expect(new Set(receipts.map(({ headers }) => headers.get('payment-response'))).size).toBe(2)
  })

  test('tells unpaid questions from payments under either header, and names their nonces', async () => {
    seller = await startScriptedSeller()
    await ask()
    await ask(payment('0x01'))
    await ask({ 'x-payment': payment('0x02')['payment-signature'] ?? '' })
    expect([seller.requests.length, seller.questions.length]).toEqual([3, 1])
    expect(seller.payments.map(nonceOf)).toEqual(['0x01', '0x02'])
    seller.requests.length = 0
    expect([seller.questions, seller.payments]).toEqual([[], []])
  })

  test('takes one step of a list for each request and repeats the last', async () => {
    seller = await startScriptedSeller({
      unpaid: [asking(5n), challengeV1([])],
      paid: [cut, settledError(502), completion({ id: 'mine' })],
    })
    expect((await ask()).headers.has('payment-required')).toBe(true)
    expect(await (await ask()).json()).toMatchObject({ x402Version: 1 })
    await expect(ask(payment('0x01'))).rejects.toThrow('fetch failed')
    const failed = await ask(payment('0x02'))
    expect([failed.status, failed.headers.has('payment-response')]).toEqual([502, true])
    for (const nonce of ['0x03', '0x04']) {
      expect(await (await ask(payment(nonce))).json()).toMatchObject({ id: 'mine' })
    }
  })

  test('can be scripted request by request, and follows a new script from the next request on', async () => {
    seller = await startScriptedSeller(({ url }) => json({ url }))
    expect(await (await ask()).json()).toEqual({ url: '/v1/chat/completions' })
    seller.follow({ unpaid: events(['{"a":1}', '[DONE]']) })
    expect(await (await ask()).text()).toBe('data: {"a":1}\n\ndata: [DONE]\n\n')
  })

  test('cuts the connection when its script throws, and after the bytes that it is told', async () => {
    seller = await startScriptedSeller({
      unpaid: [
        () => {
          throw new Error('a crash')
        },
        cutAfter(3, { status: 200, headers: { 'content-length': '6' }, body: 'abcdef' }),
      ],
    })
    await expect(ask()).rejects.toThrow('fetch failed')
    const half = await ask()
    await expect(half.text()).rejects.toThrow('terminated')
  })

  test('stays silent until the client leaves', async () => {
    seller = await startScriptedSeller({ paid: silent })
    const leaving = new AbortController()
    const headers = payment('0x01')
    const answer = fetch(seller.apiBase, { method: 'POST', headers, signal: leaving.signal })
    await expect.poll(() => seller.payments.length).toBe(1)
    leaving.abort()
    await expect(answer).rejects.toThrow('aborted')
  })

  test('holds an answer back until it is released', async () => {
    const { step, arrived, release } = held(json({ late: true }))
    seller = await startScriptedSeller({ paid: step })
    let isAnswered = false
    const answer = ask(payment('0x01')).finally(() => (isAnswered = true))
    await arrived
    expect([seller.payments.length, isAnswered]).toEqual([1, false])
    release()
    expect(await (await answer).json()).toEqual({ late: true })
  })
})
