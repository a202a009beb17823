import { Readable } from 'node:stream'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { paymentSecrets } from '../../src/core/x402/payment-secrets.ts'
import { decodeText } from '../../src/core/json/decoded-text.ts'
import { redactBody, redactReply } from '../../src/payment/answer/redact-payment.ts'
import { patternsOf, Scrubber } from '../../src/payment/answer/scrubber.ts'
import { encodeBase58 } from '../../src/core/solana/base58.ts'
import { encodeTransaction } from '../../src/core/solana/transaction.ts'
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

/** Every second letter in upper case. */
const mixed = (text: string): string =>
  Array.from(text, (letter, at) => (at % 2 === 0 ? letter.toUpperCase() : letter)).join('')
const every = (text: string, size: number, between: string): string =>
  text.match(new RegExp(`.{1,${size}}`, 'g'))?.join(between) ?? ''

/** Ways in which a text is written into another. */
const WRAPPINGS: Readonly<Record<string, (text: string) => string>> = {
  'as it is': (text) => text,
  "with JSON's escapes": (text) =>
    Array.from(text, (letter) => `\\u00${letter.charCodeAt(0).toString(16)}`).join(''),
  "with JSON's escapes in JSON": (text) =>
    Array.from(text, (letter) => `\\\\u00${letter.charCodeAt(0).toString(16).toUpperCase()}`).join(''),
  'with slashes escaped': (text) => text.replaceAll('/', '\\/'),
  'URL-encoded': (text) => encodeURIComponent(text),
  'URL-encoded throughout': (text) =>
    Array.from(text, (letter) => `%${letter.charCodeAt(0).toString(16)}`).join(''),
  'split by blanks': (text) => every(text, 8, ' '),
  'split by lines': (text) => every(text, 76, '\r\n'),
  'split by escaped lines': (text) => every(text, 76, '\\n'),
  'split by encoded blanks': (text) => every(text, 10, '%20'),
  'split by empty lines and tabs': (text) => every(text, 5, '\n\n\t'),
}

const evm = Buffer.from(Array.from({ length: 65 }, (_, n) => 255 - n * 3))
const evmText = `0x${evm.toString('hex')}`
const own = Uint8Array.from({ length: 64 }, (_, n) => 7 + n * 5)
const message = Uint8Array.from({ length: 200 }, (_, n) => 200 - n)
const transaction = Buffer.from(encodeTransaction({ signatures: [new Uint8Array(64), own], message }))
const HEADERS = {
  evm: encodeBase64Json({ payload: { signature: evmText } }),
  solana: encodeBase64Json({ payload: { transaction: transaction.toString('base64') } }),
}

const SPELLINGS: Readonly<Record<string, { readonly of: keyof typeof HEADERS; readonly text: string }>> = {
  hex: { of: 'evm', text: evmText },
  'hex without 0x': { of: 'evm', text: evmText.slice(2) },
  'upper case': { of: 'evm', text: evm.toString('hex').toUpperCase() },
  'mixed case': { of: 'evm', text: `0X${mixed(evmText.slice(2))}` },
  base64: { of: 'evm', text: evm.toString('base64') },
  base64url: { of: 'evm', text: evm.toString('base64url') },
  'base64 of JSON with it': {
    of: 'evm',
    text: Buffer.from(JSON.stringify({ signature: evmText })).toString('base64'),
  },
  'base64 of more JSON with it': {
    of: 'evm',
    text: Buffer.from(JSON.stringify({ a: 1, s: evmText })).toString('base64'),
  },
  'base64 of bytes around it': {
    of: 'evm',
    text: Buffer.concat([Buffer.from('ab'), evm, Buffer.from('c')]).toString('base64'),
  },
  'the header': { of: 'evm', text: HEADERS.evm },
  'the header as base64url': { of: 'evm', text: Buffer.from(HEADERS.evm, 'base64').toString('base64url') },
  "Solana's transaction": { of: 'solana', text: transaction.toString('base64') },
  "Solana's transaction in base58": { of: 'solana', text: encodeBase58(transaction) },
  "Solana's signature in base58": { of: 'solana', text: encodeBase58(own) },
  "Solana's signature in base64": { of: 'solana', text: Buffer.from(own).toString('base64') },
  "Solana's signature in hex": { of: 'solana', text: Buffer.from(own).toString('hex') },
  "Solana's message in base64": { of: 'solana', text: Buffer.from(message).toString('base64') },
  "Solana's message in base58": { of: 'solana', text: encodeBase58(message) },
}

/** The characters of a text, whatever it was written into. */
const bare = (text: string): string =>
  text
    .replaceAll(/\\+u00(..)/gi, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)))
    .replaceAll(/%(..)/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)))
    .replaceAll(/\\+[nrt]|\s|\\/g, '')

describe.each(Object.entries(SPELLINGS))('a payment as %s', (_name, { of, text }) => {
  test.each(Object.entries(WRAPPINGS))('reaches nobody, %s', async (_how, wrap) => {
    const secrets = paymentSecrets(HEADERS[of])
    const sent = wrap(text)
    const around = `{"error":"your payment ${sent} is refused","more":"kept"}`
    for (const size of [around.length, 40, 7]) {
      const out = (
        await scrubbed(
          cut(
            around,
            Array.from({ length: around.length / size }, (_, n) => n * size),
          ),
          secrets,
        )
      ).join('')
      expect(out).toHaveLength(around.length)
      expect(out).toMatch(/^\{"error":"your payment /)
      expect(out.endsWith('is refused","more":"kept"}')).toBe(true)
      // Nowhere stand 60 characters of it.
      const left = bare(out)
      const whole = bare(sent)
      for (let at = 0; at + 60 <= whole.length; at += 1)
        expect(left.includes(whole.slice(at, at + 60))).toBe(false)
    }
    const reply = {
      status: 200,
      headers: { 'x-echo': sent.replaceAll(/[\r\n]/g, ' '), 'x-other': 'kept' },
      body: Readable.from([]),
    }
    expect(Object.keys(redactReply(reply, secrets).headers)).toEqual(['x-other'])
  })
})

test('what begins like a secret and is blank for too long is given up, and covered if it was long', async () => {
  const secrets = paymentSecrets(HEADERS.evm)
  const blanks = ' '.repeat(70_000)
  const short = await scrubbed([`x${evmText.slice(0, 6)}`, blanks, 'more'], secrets)
  expect(short.join('')).toBe(`x${evmText.slice(0, 6)}${blanks}more`)
  const long = (await scrubbed([`x${evmText.slice(0, 100)}`, blanks, evmText.slice(100)], secrets)).join('')
  expect(long).not.toContain(evmText.slice(2, 40))
  expect(long).toHaveLength(1 + evmText.length + blanks.length)
})

describe('a body that comes one byte at a time', () => {
  const secrets = paymentSecrets(HEADERS.evm)
  const start = evmText.slice(0, 100)

  test.each([
    ['nothing of a payment', 'data: {"x": 1}\n\n'.repeat(400)],
    ['the beginning of a signature and blanks', `${start}${' '.repeat(8_000)}`],
    ['the same, in escapes', `${start}${'\\n'.repeat(3_000)}`],
    ['blanks of URLs', `${start}${'%20'.repeat(3_000)}`],
    ['backslashes without end', `${start}${'\\'.repeat(8_000)}`],
    ['beginnings, one after the other', `${start.slice(0, 5)}${' '.repeat(500)}`.repeat(15)],
    ['a whole signature between blanks', every(evmText, 1, ' '.repeat(50))],
  ])('is read once, %s', (_what, text) => {
    let read = 0
    const scrub = new Scrubber(patternsOf(secrets), (piece) => {
      read += piece.length
      // An escape that is not finished is looked at again: at most six bytes.
      if (read > text.length * 7) throw new Error('bytes are read again')
      return decodeText(piece)
    })
    const out: Buffer[] = []
    for (const byte of Buffer.from(text)) out.push(scrub.push(Uint8Array.of(byte)))
    out.push(scrub.flush())
    const whole = new Scrubber(patternsOf(secrets))
    const expected = Buffer.concat([whole.push(Buffer.from(text)), whole.flush()])
    expect(Buffer.concat(out).equals(expected)).toBe(true)
    expect(read).toBeGreaterThanOrEqual(text.length)
  })

  test('passes the same bytes, whatever they are', async () => {
    const piece = fc.oneof(
      fc.constantFrom(
        evmText,
        start,
        ' ',
        '\\',
        '\\\\',
        '\\u',
        '\\u0030',
        '%',
        '%3',
        '%30',
        '\\n',
        '0x',
        'e',
      ),
      fc.stringMatching(/^[a-f0-9x\\%u ]{0,12}$/),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(piece, { maxLength: 12 }),
        fc.array(fc.nat(), { maxLength: 20 }),
        async (parts, places) => {
          const text = parts.join('')
          const out = (await scrubbed(cut(text, places), secrets)).join('')
          expect(out).toBe((await scrubbed([text], secrets)).join(''))
        },
      ),
    )
  })
})
