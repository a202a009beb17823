/** What becomes of a client's connection: after refused uploads, when it asks for its end, and when it is half closed. */
import { connect } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { cash } from '../../providers/cash.ts'
import { startGateway, type TestGateway } from '../kit/gateway.ts'
import { asking, completion, events, receiptV2, RECEIPT, send } from '../kit/seller-answers.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'

const LIMIT = 2 * 1024 * 1024
const CHUNK = '{"choices":[{"index":0,"delta":{"content":"yes"},"finish_reason":"stop"}]}'

let seller: ScriptedSeller
let tollway: TestGateway

beforeAll(async () => {
  Object.assign(process.env, { CONNECTIONS_WALLET: `0x${'11'.repeat(32)}`, CONNECTIONS_KEY: 'mine' })
  seller = await startScriptedSeller((request, response) => {
    const isPaid = request.url.startsWith('/v1')
    if (isPaid && !request.headers['payment-signature']) return send(response, asking(1_000n))
    if (!request.body.includes('"stream":true')) return send(response, completion())
    send(response, events([CHUNK, '[DONE]'], isPaid ? receiptV2(RECEIPT) : {}))
  })
  tollway = await startGateway(
    {
      callers: [{ id: 'me', key: '${env:CONNECTIONS_KEY}' }],
      payers: { base: { kind: 'direct', key: '${env:CONNECTIONS_WALLET}', networks: ['base-sepolia'] } },
      model_list: [
        { model_name: 'paid', model: 'm', api_base: seller.apiBase, payer: 'base' },
        { model_name: 'free', model: 'm', api_base: `${seller.url}/free` },
      ],
      upstream: { api_base: `${seller.url}/up` },
      body_limit: '2mb',
    },
    { payers: new Map([['base', cash()]]) },
  )
})

afterAll(async () => {
  await tollway?.close()
  await seller?.close()
})

beforeEach(() => {
  seller.requests.length = 0
})

interface Raw {
  readonly path?: string
  readonly body?: string
  readonly key?: string
  readonly headers?: readonly string[]
  readonly version?: '1.0' | '1.1'
}

function requestText({
  path = '/v1/chat/completions',
  body = '',
  key = 'mine',
  headers = [],
  version = '1.1',
}: Raw): string {
  const isChunked = headers.some((line) => /^transfer-encoding/i.test(line))
  const lines = [
    `POST ${path} HTTP/${version}`,
    'Host: localhost',
    `Authorization: Bearer ${key}`,
    'Content-Type: application/json',
    ...(isChunked ? [] : [`Content-Length: ${Buffer.byteLength(body)}`]),
    ...headers,
  ]
  const sent = isChunked ? `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n` : body
  return `${lines.join('\r\n')}\r\n\r\n${sent}`
}

/** Writes everything, closes its own side if asked to, and gives what comes until the gateway closes too. */
async function talk(text: string, halfClose: boolean): Promise<string> {
  const { hostname, port } = new URL(tollway.url)
  return await new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true })
    let answer = ''
    socket.on('data', (chunk) => (answer += chunk.toString('latin1')))
    socket.on('error', reject)
    socket.on('end', () => {
      socket.end()
      resolve(answer)
    })
    socket.write(text)
    if (halfClose) socket.end()
  })
}

const statuses = (answer: string): string[] =>
  [...answer.matchAll(/HTTP\/1\.1 (\d{3})/g)]
    .map((match) => match[1] ?? '')
    .filter((status) => status !== '100')
const headOf = (answer: string): string => (answer.split('\r\n\r\n')[0] ?? '').toLowerCase()
const bodyFor = (model: string, stream = false): string =>
  JSON.stringify({ model, messages: [], ...(stream ? { stream } : {}) })
const last = requestText({ body: bodyFor('free'), headers: ['Connection: close'] })
const large = 'x'.repeat(LIMIT + 1_048_576)

describe('an upload that is refused', () => {
  test.each([
    ['413 by its length', { body: large }, '413'],
    ['413 in chunks', { body: large, headers: ['Transfer-Encoding: chunked'] }, '413'],
    ['401', { body: large, key: 'wrong' }, '401'],
    ['401 in chunks', { body: large, key: 'wrong', headers: ['Transfer-Encoding: chunked'] }, '401'],
    ['404', { body: large, path: '/v1/nothing' }, '404'],
  ])(
    'is answered whole with %s and the end of the connection, to a client that writes everything first',
    async (_name, raw, status) => {
      const answer = await talk(requestText(raw), false)
      expect(statuses(answer)).toEqual([status])
      expect(headOf(answer)).toContain('connection: close')
      expect(answer).toMatch(/"error":\{"message":.*\}$/)
      expect(seller.requests).toEqual([])
    },
  )

  test.each([
    ['401', { body: 'x'.repeat(500_000), key: 'wrong' }, '401'],
    ['404', { body: 'x'.repeat(500_000), path: '/v1/nothing' }, '404'],
    ['400', { body: 'x'.repeat(500_000) }, '400'],
  ])(
    'keeps the connection after %s when little is left, and the next request on it is served',
    async (_name, raw, status) => {
      const answer = await talk(requestText(raw) + last, false)
      expect(statuses(answer)).toEqual([status, '200'])
      expect(headOf(answer)).not.toContain('connection: close')
    },
  )
})

describe('a path that is passed through', () => {
  test('ends the connection when the client asks for it, and keeps it otherwise', async () => {
    const closing = await talk(
      requestText({ path: '/v1/files', body: 'x', headers: ['Connection: close'] }),
      false,
    )
    expect([statuses(closing), headOf(closing).includes('connection: close')]).toEqual([['200'], true])
    const kept = await talk(requestText({ path: '/v1/files', body: 'x' }) + last, false)
    expect([statuses(kept), headOf(kept).includes('connection: close')]).toEqual([['200', '200'], false])
  })
})

describe('a client that has closed its side', () => {
  test.each([
    ['paid', false],
    ['paid', true],
    ['free', false],
    ['free', true],
  ])('gets its answer from %s, stream: %s', async (model, stream) => {
    const answer = await talk(requestText({ body: bodyFor(model, stream) }), true)
    expect(statuses(answer)).toEqual(['200'])
    expect(answer).toContain('yes')
    expect(seller.requests.filter(({ headers }) => headers['payment-signature'])).toHaveLength(
      model === 'paid' ? 1 : 0,
    )
  })

  test('gets a refusal, a passed answer and one in HTTP/1.0', async () => {
    expect(statuses(await talk(requestText({ body: bodyFor('free'), key: 'wrong' }), true))).toEqual(['401'])
    expect(statuses(await talk(requestText({ path: '/v1/files', body: 'x' }), true))).toEqual(['200'])
    expect(await talk(requestText({ body: bodyFor('paid'), version: '1.0' }), true)).toContain('yes')
  })
})
