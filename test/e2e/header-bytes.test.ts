/** Header bytes above 0x7F: they pass as they are, from the client and from the seller. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { cash } from '../../providers/cash.ts'
import { startGateway, type TestGateway } from '../kit/gateway.ts'
import { raw, startRawSeller, type RawSeller } from '../kit/raw-seller.ts'
import { challengeV2, completion, OFFER, receiptV2, RECEIPT } from '../kit/seller-answers.ts'

/** UTF-8, latin1 that is no UTF-8, and bytes that are neither; as latin1, one character for each byte. */
const VALUES = [
  Buffer.from('Grüße 中 🦆').toString('latin1'),
  Buffer.from('Gr\u00fc\u00dfe', 'latin1').toString('latin1'),
  Buffer.from([0x80, 0xff, 0xc3, 0x28, 0xa0, 0x7e]).toString('latin1'),
]
const EVENTS = `data: {"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n`

let seller: RawSeller
let gateway: TestGateway

beforeAll(async () => {
  process.env['HEADER_BYTES_KEY'] = `0x${'11'.repeat(32)}`
  const challenge = challengeV2([OFFER])
  seller = await startRawSeller((socket, { head, isPaid }) => {
    if (head.includes('/paid/') && !isPaid) {
      const body = challenge.body
      const headers = { ...challenge.headers, 'content-length': String(Buffer.byteLength(body)) }
      socket.write(raw(402, headers, body))
      return
    }
    const isStream = head.includes('text/event-stream')
    const body = isStream ? EVENTS : completion().body
    const headers = {
      'content-type': isStream ? 'text/event-stream' : 'application/json',
      ...(isPaid ? receiptV2(RECEIPT) : {}),
      'content-length': String(Buffer.byteLength(body)),
    }
    const own = VALUES.map((value) => `openai-note: ${value}\r\n`).join('')
    const [first, ...rest] = raw(200, headers).split('\r\n')
    socket.write(Buffer.from(`${first}\r\n${own}${rest.join('\r\n')}`, 'latin1'))
    socket.write(body)
  })
  gateway = await startGateway(
    {
      upstream: { api_base: `${seller.url}/v1`, allow_paths: ['/anything'] },
      payers: { base: { kind: 'direct', key: '${env:HEADER_BYTES_KEY}', networks: ['base-sepolia'] } },
      model_list: [
        { model_name: 'paid', model: 'm', api_base: `${seller.url}/paid/v1`, payer: 'base' },
        { model_name: 'free', model: 'm', api_base: `${seller.url}/free/v1` },
      ],
    },
    { payers: new Map([['base', cash()]]) },
  )
})
afterAll(async () => {
  await gateway?.close()
  await seller?.close()
})

/** The head of the answer to raw bytes; both as latin1. */
async function ask(method: string, path: string, body: string, headers: string): Promise<string> {
  const { port, host } = new URL(gateway.url)
  const socket = connect(Number(port), '127.0.0.1')
  await once(socket, 'connect')
  const length =
    method === 'GET' ? '' : `content-type: application/json\r\ncontent-length: ${body.length}\r\n`
  const head = `${method} ${path} HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n${length}${headers}\r\n`
  socket.write(Buffer.from(head + body, 'latin1'))
  const parts: Buffer[] = []
  for await (const part of socket) {
    parts.push(Buffer.from(part))
    if (Buffer.concat(parts).includes('\r\n\r\n')) break
  }
  return Buffer.concat(parts).toString('latin1')
}

const valuesOf = (head: string, name: string): string[] =>
  head.split('\r\n').flatMap((line) => {
    const colon = line.indexOf(':')
    return line.slice(0, colon).toLowerCase() === name ? [line.slice(colon + 1).trim()] : []
  })

const chat = (model: string, stream: boolean): string =>
  JSON.stringify({ model, stream, messages: [{ role: 'user', content: `${model} ${stream}` }] })

describe.each([
  ['a paid answer', 'POST', '/v1/chat/completions', chat('paid', false), 'anthropic-beta'],
  ['a paid stream', 'POST', '/v1/chat/completions', chat('paid', true), 'anthropic-beta'],
  ['an unpaid answer', 'POST', '/v1/chat/completions', chat('free', false), 'x-note'],
  ['an unpaid stream', 'POST', '/v1/chat/completions', chat('free', true), 'x-note'],
  ['a path that is passed through', 'GET', '/v1/files', '', 'x-note'],
])('%s', (_name, method, path, body, name) => {
  test('keeps every byte of the headers, both ways', async () => {
    const before = seller.heads.length
    const accept = body.includes('"stream":true') ? 'text/event-stream' : 'application/json'
    for (const value of VALUES) {
      const answer = await ask(method, path, body, `accept: ${accept}\r\n${name}: ${value}\r\n`)
      const head = answer.slice(0, answer.indexOf('\r\n\r\n'))
      expect(head).toMatch(/^HTTP\/1\.1 200 /)
      // Repeated values may be joined (RFC 9110, 5.3).
      expect(valuesOf(head, 'openai-note').join(', ')).toBe(VALUES.join(', '))
      const sent = seller.heads.slice(before).at(-1) ?? ''
      expect(valuesOf(sent, name)).toEqual([value])
    }
  })
})
