import { createHash } from 'node:crypto'
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startGateway, type TestGateway } from '../kit/gateway.ts'
import { startScriptedSeller } from '../kit/scripted-seller.ts'
import { type ScriptedSeller } from '../kit/scripted-seller.ts'

let upstream: ScriptedSeller
let tollway: TestGateway

const BINARY = Buffer.from(Array.from({ length: 100_000 }, (_, index) => (index * 7919) % 256))
const SSE = 'data: {"a":1,"usage":{"cost":5}}\r\n\r\n: comment\n\ndata: ünïcode ☂\n\nid: 7\ndata: [DONE]\n\n'

beforeAll(async () => {
  upstream = await startScriptedSeller((request, response) => {
    if (request.url.includes('sse')) {
      response.writeHead(200, { 'content-type': 'text/event-stream', 'x-own': 'kept' })
      for (const byte of Buffer.from(SSE)) response.write(Buffer.from([byte]))
      response.end()
    } else if (request.url.includes('content')) {
      response
        .writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': BINARY.length })
        .end(BINARY)
    } else if (request.url.includes('teapot')) {
      response.writeHead(418, { 'content-type': 'text/plain', 'retry-after': '3600' }).end('short and stout')
    } else {
      // The request's own bytes, so that both directions are compared at once.
      response
        .writeHead(200, { 'content-type': request.headers['content-type'] ?? 'text/plain' })
        .end(request.body)
    }
  })
  tollway = await startGateway({
    upstream: { api_base: upstream.apiBase, api_key: '${env:UNPAID_KEY}', allow_paths: ['/v1/extra/*'] },
  })
})

afterAll(async () => {
  await tollway?.close()
  await upstream?.close()
})

process.env['UNPAID_KEY'] = 'upstream-key'

interface Raw {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

/** A bare client: nothing is decoded, decompressed or retried. */
async function raw(
  url: string,
  method: string,
  headers: Record<string, string>,
  body?: Buffer,
): Promise<Raw> {
  return await new Promise((resolve, reject) => {
    const request = httpRequest(
      url,
      { method, headers: { ...headers, ...(body && { 'content-length': String(body.length) }) } },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(chunks),
          }),
        )
        response.on('error', reject)
      },
    )
    request.on('error', reject)
    request.end(body)
  })
}

const json = Buffer.from(
  '{ "model":"local",\n"seed": 12345678901234567890, "x":1.0, "u":"\\u00fc", "messages":[] }',
)
const multipart = Buffer.concat([
  Buffer.from(
    '--b\r\ncontent-disposition: form-data; name="model"\r\n\r\nwhisper\r\n--b\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n',
  ),
  BINARY,
  Buffer.from('\r\n--b--\r\n'),
])
const asJson = { 'content-type': 'application/json' }
const asMultipart = { 'content-type': 'multipart/form-data; boundary=b' }

describe('what no route claims is the same through the gateway as directly, to the byte', () => {
  test.each<[string, string, string, Record<string, string>, Buffer | undefined]>([
    ['JSON', 'POST', '/v1/chat/completions', asJson, json],
    ['JSON without /v1', 'POST', '/chat/completions', asJson, json],
    ['SSE', 'POST', '/v1/completions?sse', asJson, json],
    ['multipart with a model', 'POST', '/v1/audio/transcriptions', asMultipart, multipart],
    ['multipart files', 'POST', '/v1/files', asMultipart, multipart],
    ['binary', 'GET', '/v1/files/a/content', {}, undefined],
    ['an error of its own', 'POST', '/v1/embeddings?teapot', asJson, json],
    ['a path of allow_paths', 'POST', '/v1/extra/thing', asJson, json],
  ])('%s', async (_what, method, path, headers, body) => {
    upstream.requests.length = 0
    const direct = await raw(
      `${upstream.url}${path.startsWith('/v1') ? path : `/v1${path}`}`,
      method,
      headers,
      body,
    )
    const through = await raw(`${tollway.url}${path}`, method, headers, body)
    expect(createHash('sha256').update(through.body).digest('hex')).toBe(
      createHash('sha256').update(direct.body).digest('hex'),
    )
    expect(through.status).toBe(direct.status)
    for (const name of ['content-type', 'content-length', 'retry-after', 'x-own'])
      expect(through.headers[name]).toBe(direct.headers[name])
    expect(through.headers['x-tollway-spent']).toBe('no')
    expect(through.headers['x-request-id']).toMatch(/^req_/)
    const [asked, forwarded] = upstream.requests
    expect(forwarded?.url).toBe(asked?.url)
    expect(forwarded?.body.equals(asked?.body ?? Buffer.alloc(0))).toBe(true)
    expect(forwarded?.headers['content-type']).toBe(asked?.headers['content-type'])
    expect(forwarded?.headers.authorization).toBe('Bearer upstream-key')
  })
})

test.each([
  ['POST', '/key/generate'],
  ['POST', '/v1/key/generate'],
  ['GET', '/config/yaml'],
  ['POST', '/v1/files/../../key/generate'],
  ['POST', '/v1/files/%2e%2e/%2e%2e/key/generate'],
  ['POST', '/v1/files/..%2f..%2fkey/generate'],
  ['POST', '//key/generate'],
])('%s %s never reaches the upstream', async (method, path) => {
  upstream.requests.length = 0
  const answer = await raw(`${tollway.url}${path}`, method, asJson, method === 'GET' ? undefined : json)
  expect(answer.status).toBe(404)
  expect(JSON.parse(answer.body.toString())).toMatchObject({
    error: { type: 'invalid_request_error', code: 'not_found' },
  })
  expect(upstream.requests).toEqual([])
})

test.each([
  ['DELETE', '/v1/models/x', 'GET, HEAD'],
  ['POST', '/models', 'GET, HEAD'],
  ['GET', '/v1/chat/completions', 'POST'],
  ['PUT', '/audio/speech', 'POST'],
])('%s %s is answered with the methods there are', async (method, path, allow) => {
  upstream.requests.length = 0
  const answer = await raw(`${tollway.url}${path}`, method, asJson)
  expect([answer.status, answer.headers.allow]).toEqual([405, allow])
  expect(JSON.parse(answer.body.toString())).toMatchObject({
    error: { type: 'invalid_request_error', code: 'method_not_allowed' },
  })
  expect(upstream.requests).toEqual([])
})
