/** Request bodies in a coding: decoded within bounds where a route needs the model, passed on where nothing is changed. */
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { cash } from '../../providers/cash.ts'
import { startGateway, type TestGateway } from '../kit/gateway.ts'
import { asking, completion, send } from '../kit/seller-answers.ts'
import { startScriptedSeller, type ScriptedSeller, type SellerRequest } from '../kit/scripted-seller.ts'

let seller: ScriptedSeller
let tollway: TestGateway

const LIMIT = 65_536

beforeAll(async () => {
  Object.assign(process.env, {
    ENCODED_WALLET: `0x${'11'.repeat(32)}`,
    ENCODED_ALL: 'all',
    ENCODED_SOME: 'some',
  })
  seller = await startScriptedSeller((request, response) => {
    const isPaid = request.url.startsWith('/v1')
    send(response, isPaid && !request.headers['payment-signature'] ? asking(1_000n) : completion())
  })
  tollway = await startGateway(
    {
      callers: [
        { id: 'all', key: '${env:ENCODED_ALL}' },
        { id: 'some', key: '${env:ENCODED_SOME}', models: ['theirs', 'paid/*'] },
      ],
      payers: { base: { kind: 'direct', key: '${env:ENCODED_WALLET}', networks: ['base-sepolia'] } },
      model_list: [
        { model_name: 'paid/*', model: '*', api_base: seller.apiBase, payer: 'base' },
        { model_name: 'free/*', model: '*', api_base: `${seller.url}/free` },
      ],
      upstream: { api_base: `${seller.url}/up` },
      body_limit: LIMIT / 1024 + 'kb',
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

const CODINGS: readonly (readonly [string, (text: string) => Buffer])[] = [
  ['gzip', gzipSync],
  ['x-gzip', gzipSync],
  ['GZip', gzipSync],
  ['deflate', deflateSync],
  ['deflate', deflateRawSync],
  ['br', brotliCompressSync],
  ['zstd', zstdCompressSync],
  ['gzip, br', (text) => brotliCompressSync(gzipSync(text))],
]

async function post(coding: string, body: Buffer, key = 'all', type = 'application/json'): Promise<Response> {
  return await fetch(`${tollway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': type, 'content-encoding': coding },
    body: new Uint8Array(body),
  })
}

const bodyFor = (model: string, stream = false): string =>
  JSON.stringify({ model, messages: [{ role: 'user', content: 'é' }], ...(stream ? { stream } : {}) })

const last = (): SellerRequest | undefined => seller.requests.at(-1)

describe.each(CODINGS)('a body in %s', (coding, encode) => {
  test.each([
    ['paid/m', false, 'yes'],
    ['paid/m', true, 'yes'],
    ['free/m', false, 'no'],
    ['free/m', true, 'no'],
  ] as const)('is decoded for %s, stream: %s', async (model, stream, spent) => {
    const answer = await post(coding, encode(bodyFor(model, stream)))
    expect([answer.status, answer.headers.get('x-tollway-spent')]).toEqual([200, spent])
    await answer.text()
    expect(last()?.headers['content-encoding']).toBeUndefined()
    expect(JSON.parse(last()?.body.toString() ?? '')).toMatchObject({
      model: 'm',
      messages: [{ content: 'é' }],
    })
  })

  test('is passed on as it came where no route claims the model', async () => {
    const bytes = encode(bodyFor('theirs'))
    expect((await post(coding, bytes)).status).toBe(200)
    expect([last()?.url, last()?.headers['content-encoding']]).toEqual(['/up/chat/completions', coding])
    expect(last()?.body.equals(bytes)).toBe(true)
  })

  test('is decoded for the default upstream too where the caller has a list of models', async () => {
    expect((await post(coding, encode(bodyFor('theirs')), 'some')).status).toBe(200)
    expect(last()?.headers['content-encoding']).toBeUndefined()
    expect(JSON.parse(last()?.body.toString() ?? '')).toMatchObject({ model: 'theirs' })
    expect((await post(coding, encode(bodyFor('other')), 'some')).status).toBe(404)
  })

  test('is refused when it decodes to more than the limit, or to nothing that is read', async () => {
    const bomb = await post(coding, encode(`{"model":"paid/m","pad":"${'x'.repeat(LIMIT)}"}`))
    expect([bomb.status, await bomb.json()]).toMatchObject([413, { error: { code: 'request_too_large' } }])
    const cut = await post(coding, encode(bodyFor('paid/m')).subarray(0, -9))
    expect([cut.status, await cut.json()]).toMatchObject([415, { error: { code: 'unsupported_encoding' } }])
    const twice = await post(coding, encode('{"model":"paid/m","model":"paid/n"}'))
    expect([twice.status, await twice.json()]).toMatchObject([400, { error: { code: 'model_unreadable' } }])
    expect(seller.requests).toEqual([])
  })
})

test.each(['compress', 'gzip, gzip, gzip', 'aes128gcm', '*'])(
  '%s is not read, and the codings that are are named',
  async (coding) => {
    const answer = await post(coding, Buffer.from(bodyFor('paid/m')))
    expect([answer.status, await answer.text()]).toEqual([
      415,
      expect.stringContaining('gzip, deflate, br, zstd'),
    ])
  },
)

test('a form in a coding has its model read', async () => {
  const form = '--X\r\nContent-Disposition: form-data; name="model"\r\n\r\nfree/m\r\n--X--\r\n'
  expect((await post('gzip', gzipSync(form), 'all', 'multipart/form-data; boundary=X')).status).toBe(200)
  expect(last()?.body.toString()).toBe(form.replace('free/m', 'm'))
})

test.each([
  ['/v1/responses', '/v1/responses'],
  ['/v2/rerank', '/v2/rerank'],
  ['/v1/nothing', '/v1/realtime'],
])('a websocket at %s is 426 and names %s', async (path, named) => {
  const { host } = new URL(tollway.url)
  const { createConnection } = await import('node:net')
  const [name = '', port = ''] = host.split(':')
  const answer = await new Promise<string>((resolve) => {
    let text = ''
    const socket = createConnection(Number(port), name, () =>
      socket.write(
        `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer all\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`,
      ),
    )
    socket.on('data', (chunk) => (text += chunk.toString())).on('close', () => resolve(text))
  })
  expect(answer).toMatch(/^HTTP\/1\.1 426 /)
  expect(answer.toLowerCase()).toContain('upgrade: http/1.1')
  expect(answer).toContain(named)
})
