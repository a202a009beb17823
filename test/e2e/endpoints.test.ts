/** Every endpoint with a model in it, with and without /v1, paid and unpaid; and one shape for every error. */
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { MODEL_ENDPOINTS } from '../../src/core/request/endpoints.ts'
import { COUNTING_ENDPOINTS } from '../../src/core/routing/paid-endpoints.ts'
import { cash } from '../../providers/cash.ts'
import { startGateway, type TestGateway } from '../kit/gateway.ts'
import { challengeV2, receiptV2, send } from '../kit/seller-answers.ts'
import { startScriptedSeller } from '../kit/scripted-seller.ts'
import { type ScriptedSeller } from '../kit/scripted-seller.ts'
import { offerV2 } from '../kit/quotes.ts'

/** Every byte value: any text decoding on the way would show. */
const BINARY = Buffer.from(Uint8Array.from({ length: 2048 }, (_, at) => at % 256))
const EVENTS = 'data: {"choices":[{"text":"y","delta":{"content":"y"}}]}\n\ndata: [DONE]\n\n'

let seller: ScriptedSeller
let tollway: TestGateway

beforeAll(async () => {
  process.env['ENDPOINTS_WALLET'] = `0x${'11'.repeat(32)}`
  seller = await startScriptedSeller((request, response) => {
    const paid = !request.url.startsWith('/free')
    if (paid && request.headers['payment-signature'] === undefined) {
      send(response, challengeV2([offerV2]))
      return
    }
    const receipt = paid ? receiptV2({ success: true }) : {}
    if (request.url.includes('/audio/speech')) {
      response.writeHead(200, { 'content-type': 'audio/mpeg', ...receipt }).end(BINARY)
    } else if (request.body.includes('"stream":true')) {
      response.writeHead(200, { 'content-type': 'text/event-stream', ...receipt }).end(EVENTS)
    } else {
      response.writeHead(200, { 'content-type': 'application/json', ...receipt }).end('{"ok":true}')
    }
  })
  tollway = await startGateway(
    {
      payers: { base: { kind: 'direct', key: '${env:ENDPOINTS_WALLET}', networks: ['base-sepolia'] } },
      model_list: [
        { model_name: 'paid/*', model: '*', api_base: seller.apiBase, payer: 'base' },
        { model_name: 'free/*', model: '*', api_base: `${seller.url}/free` },
      ],
      body_limit: '64kb',
    },
    { payers: new Map([['base', cash()]]) },
  )
})

afterAll(async () => {
  await tollway?.close()
  await seller?.close()
})

const FORMS = new Set(['/images/edits', '/images/variations', '/audio/transcriptions', '/audio/translations'])

function bodyFor(endpoint: string, model: string, stream: boolean): RequestInit {
  if (!FORMS.has(endpoint)) {
    const body = JSON.stringify({ model, ...(stream ? { stream } : {}), seed: Math.random() })
    return { body, headers: { 'content-type': 'application/json' } }
  }
  const form = new FormData()
  form.set('file', new Blob([BINARY]), 'a.bin')
  form.set('model', model)
  return { body: form }
}

describe.each([
  ['paid', 'yes'],
  ['free', 'no'],
])('%s routes', (kind, spent) => {
  const PATHS = [...MODEL_ENDPOINTS].flatMap((endpoint) => [endpoint, `/v1${endpoint}`])

  test.each(PATHS.filter((path) => !path.startsWith('/v1/v2/')))(
    'serve %s, and the seller gets its own name of the model',
    async (path) => {
      const endpoint = path.replace(/^\/v1/, '')
      seller.requests.length = 0
      const answer = await fetch(`${tollway.url}${path}`, {
        method: 'POST',
        ...bodyFor(endpoint, `${kind}/m-1`, false),
      })
      const isCounting = COUNTING_ENDPOINTS.has(endpoint)
      expect([answer.status, answer.headers.get('x-tollway-spent')]).toEqual([200, isCounting ? 'no' : spent])
      const bytes = Buffer.from(await answer.arrayBuffer())
      if (endpoint === '/audio/speech') expect(bytes.equals(BINARY)).toBe(true)
      else if (isCounting && kind === 'paid')
        expect(JSON.parse(bytes.toString())).toHaveProperty('input_tokens')
      else expect(JSON.parse(bytes.toString())).toMatchObject({ ok: true })
      const sent = seller.requests.at(-1)
      expect(sent?.url).toBe(
        `${kind === 'free' ? '/free' : endpoint.startsWith('/v2') ? '' : '/v1'}${endpoint}`,
      )
      expect(sent?.body.includes('m-1')).toBe(true)
      expect(sent?.body.includes(`${kind}/m-1`)).toBe(false)
      if (FORMS.has(endpoint)) expect(sent?.body.includes(BINARY)).toBe(true)
    },
  )

  test.each(['/chat/completions', '/v1/completions'])('stream at %s', async (path) => {
    const answer = await fetch(`${tollway.url}${path}`, {
      method: 'POST',
      ...bodyFor(path, `${kind}/m`, true),
    })
    expect(answer.headers.get('content-type')).toContain('text/event-stream')
    expect(await answer.text()).toContain('data: [DONE]\n\n')
  })
})

describe('every error', () => {
  const json = { 'content-type': 'application/json' }
  const cases: readonly (readonly [string, number, string, string, RequestInit])[] = [
    ['an unknown path', 404, 'not_found', '/v1/nothing', {}],
    ['another method', 405, 'method_not_allowed', '/v1/chat/completions', {}],
    [
      'an unknown model',
      404,
      'model_not_found',
      '/v1/chat/completions',
      { method: 'POST', headers: json, body: '{"model":"x"}' },
    ],
    [
      'a body too large',
      413,
      'request_too_large',
      '/v1/chat/completions',
      { method: 'POST', headers: json, body: `{"model":"${'x'.repeat(70_000)}"}` },
    ],
    [
      'a compressed body',
      415,
      'unsupported_encoding',
      '/v1/chat/completions',
      { method: 'POST', headers: { ...json, 'content-encoding': 'gzip' }, body: 'x' },
    ],
    [
      'another content type',
      415,
      'unsupported_encoding',
      '/v1/chat/completions',
      { method: 'POST', headers: { 'content-type': 'text/plain' }, body: '{}' },
    ],
    [
      'broken JSON',
      400,
      'invalid_json',
      '/v1/chat/completions',
      { method: 'POST', headers: json, body: '{' },
    ],
    [
      'a foreign page',
      403,
      'origin_not_allowed',
      '/v1/models',
      { headers: { origin: 'https://evil.example' } },
    ],
  ]
  test.each(cases)('is told in one shape: %s', async (_what, status, code, path, init) => {
    const answer = await fetch(`${tollway.url}${path}`, init)
    expect([
      answer.status,
      answer.headers.get('content-type'),
      answer.headers.get('x-tollway-spent'),
    ]).toEqual([status, 'application/json', 'no'])
    expect(await answer.json()).toEqual({
      error: {
        message: expect.any(String),
        type: 'invalid_request_error',
        param: code === 'model_not_found' ? 'model' : null,
        code,
        docs: `docs/errors.md#${code}`,
      },
    })
  })

  test.each(['/v1/messages', '/messages/count_tokens'])("has Anthropic's shape at %s", async (path) => {
    const answer = await fetch(`${tollway.url}${path}`, {
      method: 'POST',
      headers: json,
      body: '{"model":"x"}',
    })
    expect(answer.status).toBe(404)
    expect(await answer.json()).toEqual({
      type: 'error',
      error: { type: 'not_found_error', message: expect.any(String) },
    })
  })

  test.each([
    [
      'headers too large',
      `GET /v1/models HTTP/1.1\r\nhost: localhost\r\nx: ${'a'.repeat(70_000)}\r\n\r\n`,
      431,
    ],
    ['no HTTP at all', 'nonsense\r\n\r\n', 400],
    ['no Host', 'GET /v1/models HTTP/1.1\r\nconnection: close\r\n\r\n', 403],
    [
      'an expectation nobody knows',
      'POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nexpect: magic\r\nconnection: close\r\ncontent-length: 0\r\n\r\n',
      415,
    ],
  ])('of the HTTP parser too: %s', async (_what, text, status) => {
    const answer = await raw(Number(new URL(tollway.url).port), text)
    const [head = '', body = ''] = answer.split('\r\n\r\n')
    expect(head).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
    expect(head.toLowerCase()).toContain('content-type: application/json')
    expect(head.toLowerCase()).toContain('x-tollway-spent: no')
    expect(JSON.parse(body)).toMatchObject({
      error: { message: expect.any(String), type: 'invalid_request_error' },
    })
  })
})

/** Everything that comes back until the other side closes. */
async function raw(port: number, text: string): Promise<string> {
  return await new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(text))
    let answer = ''
    socket.setEncoding('latin1')
    socket.on('data', (chunk: string) => (answer += chunk))
    socket.on('close', () => resolve(answer))
    // A server that closes while we still write resets the connection; what it said stands.
    socket.on('error', (error) => (answer === '' ? reject(error) : resolve(answer)))
  })
}
