import { Readable } from 'node:stream'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { paymentSecrets, redactBody, redactReply } from '../../src/payment/redact-payment.ts'
import { encodeBase64Json } from '../../src/core/x402/wire-json.ts'

const signature = `0x${'ab'.repeat(65)}`
const header = encodeBase64Json({ x402Version: 2, payload: { signature, authorization: { nonce: '0x1' } } })

async function scrubbed(chunks: readonly string[], secrets: readonly string[]): Promise<string[]> {
  const body = redactBody(Readable.from(chunks.map((chunk) => Buffer.from(chunk, 'latin1'))), secrets)
  const out: string[] = []
  for await (const chunk of body) out.push(Buffer.from(chunk).toString('latin1'))
  return out
}

function cut(text: string, at: readonly number[]): string[] {
  const places = [...new Set(at.map((place) => place % (text.length + 1)))].toSorted((a, b) => a - b)
  return [0, ...places].map((place, index) => text.slice(place, places[index])).filter((part) => part !== '')
}

describe('the secrets of a payment', () => {
  test('are the header and the signature in it, with and without 0x', () => {
    expect(paymentSecrets(header)).toEqual(expect.arrayContaining([header, signature, signature.slice(2)]))
  })

  test('of a header that is no JSON is the header alone; short texts are none', () => {
    expect(paymentSecrets('*'.repeat(64))).toEqual(['*'.repeat(64)])
    expect(paymentSecrets('abc')).toEqual([])
    expect(
      paymentSecrets(encodeBase64Json({ payload: { signature: '0x12', filler: 'x'.repeat(64) } })),
    ).toHaveLength(1)
  })
})

describe('a body', () => {
  test('passes untouched, chunk by chunk, when nothing of a payment is in it', async () => {
    expect(await scrubbed(['data: {}\n\n', 'data: [DONE]\n\n'], paymentSecrets(header))).toEqual([
      'data: {}\n\n',
      'data: [DONE]\n\n',
    ])
  })

  test('loses every copy of a secret, and keeps its length', async () => {
    const out = (await scrubbed([`a${header}b${signature}c${header}`], paymentSecrets(header))).join('')
    expect(out).toBe(
      `a${'*'.repeat(header.length)}b${'*'.repeat(signature.length)}c${'*'.repeat(header.length)}`,
    )
  })

  test('wherever it is cut into chunks: nothing of a secret, and every other byte', async () => {
    const secret = 'aab'.repeat(22)
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(fc.constant(secret), fc.stringMatching(/^[abc\xff]{0,70}$/)), { maxLength: 6 }),
        fc.array(fc.nat(), { maxLength: 12 }),
        async (parts, places) => {
          const text = parts.join('')
          const out = (await scrubbed(cut(text, places), [secret])).join('')
          expect(out).toHaveLength(text.length)
          expect(out).not.toContain(secret)
          expect(out).toBe((await scrubbed([text], [secret])).join(''))
          for (const [index, letter] of [...out].entries()) {
            if (letter !== '*') expect(letter).toBe(text[index])
          }
        },
      ),
    )
  })
})

test('headers that hold a secret are dropped, the others stay', () => {
  const reply = {
    status: 200,
    headers: { 'x-a': `got ${signature}`, 'x-b': ['fine', header], 'x-c': 'fine', 'set-cookie': ['a', 'b'] },
    body: Readable.from([]),
  }
  expect(redactReply(reply, paymentSecrets(header)).headers).toEqual({
    'x-c': 'fine',
    'set-cookie': ['a', 'b'],
  })
})

describe('a signature in another spelling', () => {
  const bytes = Buffer.from(Array.from({ length: 65 }, (_, n) => 255 - n * 3))
  const signed = `0x${bytes.toString('hex')}`
  const sent = Buffer.from(JSON.stringify({ payload: { signature: signed } })).toString('base64')

  test.each([
    ['hex', signed],
    ['upper case', bytes.toString('hex').toUpperCase()],
    ['base64', bytes.toString('base64')],
    ['base64url', bytes.toString('base64url')],
    ['the header as base64url', Buffer.from(sent, 'base64').toString('base64url')],
  ])('as %s reaches nobody', async (_how, spelled) => {
    const reply = {
      status: 200,
      headers: { 'x-echo': spelled, 'x-other': 'kept' },
      body: Readable.from([
        Buffer.from(`{"a":"${spelled.slice(0, 40)}`),
        Buffer.from(`${spelled.slice(40)}"}`),
      ]),
    }
    const clean = redactReply(reply, paymentSecrets(sent))
    let text = ''
    for await (const chunk of clean.body) text += Buffer.from(chunk).toString()
    expect(Object.keys(clean.headers)).toEqual(['x-other'])
    expect(text).toContain('***')
    expect(text).not.toContain(spelled.slice(4, 60))
  })
})
