/**
 * `/upstream/<name>/…` of a pool: any method and path of an upstream, as x402-buyer serves it. The seller asks for money
 * under `/services/any/paid` and accepts any payment.
 */
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { errorOf, startGateway, type TestGateway } from '../kit/gateway.ts'
import { buyerFiles, signAuths, upstreamFile } from '../kit/obol-pool.ts'
import {
  startScriptedSeller,
  type ScriptedSeller,
  type SellerHandler,
  type SellerRequest,
} from '../kit/scripted-seller.ts'
import { encodeHeader, json, OFFER } from '../kit/seller-answers.ts'

const payTo = '0x90F79bf6EB2c4f870365E785982E1f101E93b906'
const PNG = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 255, 128, 10, 13, 0])

let seller: ScriptedSeller
let seen: SellerRequest[]
const offer = { ...OFFER, maxTimeoutSeconds: 600 }
const challenge = { x402Version: 2, accepts: [offer] }

const serve: SellerHandler = ({ url, payment }, response) => {
  const path = url.replace(/^\/services\/any/, '').split('?', 1)[0] ?? ''
  const status = /^\/free\/(\d+)$/.exec(path)?.[1]
  if (status !== undefined) {
    const headers = { 'content-type': 'text/plain', location: 'http://elsewhere.example' }
    return void response.writeHead(Number(status), headers).end(status === '304' ? undefined : 'as it is')
  }
  if (payment === undefined) return json(challenge, { 'payment-required': encodeHeader(challenge) }, 402)
  if (path === '/paid/lost') return void response.destroy()
  if (path === '/paid/image.png') {
    return void response.writeHead(200, { 'content-type': 'image/png' }).end(PNG)
  }
  const headers = { 'content-type': path === '/paid/events' ? 'text/event-stream' : 'application/json' }
  const body =
    path === '/paid/events'
      ? 'event: tick\ndata: {"usage":{"total_tokens":1}}\n\n'
      : '{ "usage": {"seats": 3},  "id":1 }'
  return { status: 200, headers, body }
}

const files = buyerFiles()
let gateway: TestGateway

beforeAll(async () => {
  seller = await startScriptedSeller(serve)
  seen = seller.requests
  const url = `${seller.url}/services/any/`
  files.write('any', upstreamFile({ url, payTo, model: 'qwen' }), await signAuths(24, { payTo }))
  process.env['TEST_OBOL_ALL'] = 'key-of-the-first-1'
  process.env['TEST_OBOL_ONE'] = 'key-of-the-second'
  process.env['TEST_OBOL_CHEAP'] = 'key-of-the-fourth'
  process.env['TEST_OBOL_UPSTREAM'] = 'key-of-the-third1'
  gateway = await startGateway({
    payers: { obol: { ...files.payer, user_agent: 'my-buyer/2.0' } },
    callers: [
      { id: 'all', key: '${env:TEST_OBOL_ALL}' },
      { id: 'one', key: '${env:TEST_OBOL_ONE}', models: ['paid/qwen'], requests_per_minute: 6 },
      { id: 'cheap', key: '${env:TEST_OBOL_CHEAP}', models: ['paid/cheap', 'cheap'] },
      { id: 'place', key: '${env:TEST_OBOL_UPSTREAM}', models: ['upstream/any'] },
    ],
  })
})
afterAll(async () => {
  await gateway?.close()
  await seller?.close()
  files.remove()
})

async function call(
  method: string,
  path: string,
  more: { headers?: Record<string, string>; body?: Buffer | string; key?: string } = {},
): Promise<Response> {
  const { headers, body, key = 'TEST_OBOL_ALL' } = more
  return await fetch(`${gateway.url}/upstream/any${path}`, {
    method,
    headers: { authorization: `Bearer ${process.env[key]}`, ...headers },
    redirect: 'manual',
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : new Uint8Array(body) }),
  })
}

const last = (): SellerRequest => {
  const one = seen.at(-1)
  if (!one) throw new Error('the seller saw nothing')
  return one
}

describe('any path of an upstream', () => {
  test('a paid GET: the prefix is taken off, the rest and the query are appended, the bytes come back as they are', async () => {
    const answer = await call('GET', '/paid/image.png?size=2&a=%20b', {
      headers: { range: 'bytes=0-', cookie: 'a=b' },
    })
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'image/png'])
    expect(Buffer.from(await answer.arrayBuffer())).toEqual(PNG)
    expect(answer.headers.get('x-tollway-spent')).toBe('yes')
    const [probe, paid] = seen.slice(-2)
    expect([probe?.payment, paid?.payment]).toEqual([undefined, expect.any(String)])
    for (const one of [probe, paid]) {
      expect([one?.method, one?.url]).toEqual(['GET', '/services/any/paid/image.png?size=2&a=%20b'])
      const headers = one?.headers
      expect([headers?.authorization, headers?.cookie, headers?.range, headers?.['content-length']]).toEqual([
        undefined,
        undefined,
        'bytes=0-',
        undefined,
      ])
      expect(headers?.['user-agent']).toBe('my-buyer/2.0')
    }
  })

  test('who may use another model gets nothing here by naming it: what is paid is the upstream', async () => {
    const before = seen.length
    for (const model of ['cheap', 'paid/cheap']) {
      const body = JSON.stringify({ model, messages: [] })
      const headers = { 'content-type': 'application/json' }
      const answer = await call('POST', '/v1/chat/completions', { key: 'TEST_OBOL_CHEAP', body, headers })
      expect(answer.status).toBe(404)
    }
    expect(seen.length).toBe(before)
  })

  test('is recorded as every paid request: route and model of the upstream, path, caller, charge, audit and price', async () => {
    const answer = await call('GET', '/paid/x', { headers: { 'x-request-id': 'direct-1' } })
    await answer.text()
    const charge = answer.headers.get('x-tollway-charge')
    const booked = (await gateway.gateway.parts.ledger.store.charges()).find(({ id }) => id === charge)
    expect(booked).toMatchObject({
      state: 'settled',
      amount: 1000n,
      route: 'upstream/any',
      model: 'qwen',
      caller: 'all',
      payer: 'obol',
    })
    await expect
      .poll(async () =>
        (await gateway.audit()).find(({ type, requestId }) => type === 'request' && requestId === 'direct-1'),
      )
      .toMatchObject({
        method: 'GET',
        endpoint: '/upstream',
        route: 'upstream/any',
        model: 'qwen',
        charge,
        status: 200,
        details: { path: '/paid/x' },
      })
  })

  test.each(['PUT', 'PATCH', 'DELETE', 'POST'])(
    '%s sends any body as it came, compressed too, and the answer is not looked at',
    async (method) => {
      const body = gzipSync(`{"model":"x","dry_run":true,"of":"${method}"}`)
      const answer = await call(method, '/paid/things', {
        body,
        headers: { 'content-type': 'application/x-thing', 'content-encoding': 'gzip' },
      })
      expect([answer.status, await answer.text()]).toEqual([200, '{ "usage": {"seats": 3},  "id":1 }'])
      expect([last().method, last().body, last().headers['content-type'], last().payment]).toEqual([
        method,
        body,
        'application/x-thing',
        expect.any(String),
      ])
      expect(last().headers['content-encoding']).toBe('gzip')
    },
  )

  test('a field that means something here is sent like every other', async () => {
    const body = '{"dry_run": true}'
    const answer = await call('POST', '/paid/deploy', {
      body,
      headers: { 'content-type': 'application/json' },
    })
    expect([answer.status, last().body.toString(), last().payment]).toEqual([200, body, expect.any(String)])
  })

  test('HEAD is paid by the header alone, and events are passed on untouched', async () => {
    const head = await call('HEAD', '/paid/x')
    expect([head.status, head.headers.get('x-tollway-spent'), last().method]).toEqual([200, 'yes', 'HEAD'])
    const events = await call('GET', '/paid/events')
    expect(events.headers.get('content-type')).toBe('text/event-stream')
    expect(await events.text()).toBe('event: tick\ndata: {"usage":{"total_tokens":1}}\n\n')
  })

  test('a model endpoint keeps the model that the body names, or names none, with /v1 or without', async () => {
    const headers = { 'content-type': 'application/json' }
    for (const [path, body] of [
      ['/v1/embeddings', '{"model":"text-small","input":"a"}'],
      ['/images/generations', '{"prompt":"a cat"}'],
      ['/chat/completions', '{"model":"m", "messages":[]}'],
    ] as const) {
      expect((await call('POST', path, { headers, body })).status).toBe(200)
      expect([last().url, last().body.toString()]).toEqual([`/services/any${path}`, body])
    }
  })

  test('what is free passes with its status and its words, unpaid, and sends the client nowhere', async () => {
    for (const status of [200, 304, 401, 409, 429, 500, 503]) {
      const answer = await call('GET', `/free/${status}`)
      expect(answer.status).toBe(status)
      expect(await answer.text()).toBe(status === 304 ? '' : 'as it is')
      expect([answer.headers.get('x-tollway-spent'), answer.headers.get('location')]).toEqual(['no', null])
      expect(last().payment).toBeUndefined()
    }
    expect((await call('GET', '/free/302')).status).toBe(503)
  })

  test('one key pays for one request: the same path again is not paid again, another path is refused', async () => {
    const headers = { 'idempotency-key': 'one-get' }
    const first = await call('GET', '/paid/a', { headers })
    const again = await call('GET', '/paid/a', { headers })
    expect(first.status).toBe(200)
    expect(again.headers.get('x-tollway-charge')).toBe(first.headers.get('x-tollway-charge'))
    expect(seen.filter(({ url, payment }) => url.endsWith('/paid/a') && payment !== undefined)).toHaveLength(
      1,
    )
    const other = await call('GET', '/paid/b', { headers })
    expect(other.headers.get('x-tollway-charge')).not.toBe(first.headers.get('x-tollway-charge'))
    expect(last().url).toBe('/services/any/paid/b')
  })

  test('a lost answer is uncertain and quarantines its voucher, whatever the method was', async () => {
    const answer = await call('DELETE', '/paid/lost')
    expect([answer.status, (await errorOf(answer)).code]).toEqual([400, 'payment_uncertain'])
    expect(answer.headers.get('x-tollway-spent')).toBe('unknown')
  })

  test('paths that hide others, unknown upstreams and methods reach nobody', async () => {
    const before = seen.length
    for (const path of ['/%2e%2e/other', '/a//b', '/a%2fb', '/a/..%2fb', '/..;/admin', '/%252e%252e/x']) {
      expect((await call('GET', path)).status, path).toBe(404)
    }
    const headers = { authorization: `Bearer ${process.env['TEST_OBOL_ALL']}` }
    expect((await fetch(`${gateway.url}/upstream/none/x`, { headers })).status).toBe(404)
    expect(seen).toHaveLength(before)
  })

  test('a web page of another site reaches nobody, with the means of an image either', async () => {
    const before = seen.length
    for (const headers of [{ 'sec-fetch-site': 'cross-site' }, { origin: 'http://evil.example' }]) {
      expect((await call('GET', '/paid/image.png', { headers })).status).toBe(403)
    }
    expect(seen).toHaveLength(before)
  })

  test('where callers have keys, neither theirs nor none opens the admin paths', async () => {
    for (const headers of [{}, { authorization: `Bearer ${process.env['TEST_OBOL_ALL']}` }]) {
      const answer = await fetch(`${gateway.url}/admin/remove?name=any`, { method: 'POST', headers })
      expect([answer.status, (await errorOf(answer)).message]).toEqual([
        401,
        expect.stringContaining('Set admin.key'),
      ])
    }
  })

  describe('without callers', () => {
    let open: TestGateway
    beforeAll(async () => {
      open = await startGateway({ payers: { obol: { ...files.payer, state: undefined } } })
    })
    afterAll(async () => await open?.close())

    test.each<[string, RequestInit]>([
      ['a page of this very origin', { headers: { 'sec-fetch-site': 'same-origin' } }],
      [
        'an old browser',
        { headers: { 'user-agent': 'Mozilla/5.0 (Macintosh) Version/15.6 Safari/605.1.15' } },
      ],
      ['somebody behind a proxy', { headers: { 'x-forwarded-for': '10.0.0.1' } }],
    ])(
      '%s may not remove vouchers where no admin key is set, a program of this machine may',
      async (_name, init) => {
        const remove = async (more: RequestInit): Promise<number> =>
          (await fetch(`${open.url}/admin/remove?name=nobody`, { method: 'POST', ...more })).status
        expect([await remove(init), await remove({})]).toEqual([401, 200])
      },
    )

    const BROWSER = { 'user-agent': 'Mozilla/5.0 (Macintosh) Version/15.6 Safari/605.1.15' }
    const JSON_TYPE = 'application/json; charset=utf-8'
    test.each<[string, RequestInit]>([
      ['an image', { headers: BROWSER }],
      ['an image of a browser without a name', { headers: { 'user-agent': '' } }],
      ['an image of a phone', { headers: { 'user-agent': 'Opera/9.80 (J2ME/MIDP)' } }],
      ['an image whose address has a password', { headers: { ...BROWSER, authorization: 'Basic YTpi' } }],
      ['a form', { method: 'POST', body: new URLSearchParams({ a: 'b' }) }],
      ['a form of files', { method: 'POST', body: new FormData() }],
      ['a form of text that looks like JSON', { method: 'POST', body: '{"model":"qwen"}' }],
    ])('what %s of a page could send is refused, and told what to send instead', async (_name, init) => {
      const before = seen.length
      const answer = await fetch(`${open.url}/upstream/any/paid/x`, init)
      const error = await errorOf(answer)
      expect([answer.status, error.code, seen.length]).toEqual([403, 'origin_not_allowed', before])
      expect(error.message).toContain('x-tollway-client')
    })

    test.each<[string, RequestInit]>([
      [
        'JSON, as programs post it to x402-buyer',
        { method: 'POST', body: '{}', headers: { 'content-type': JSON_TYPE } },
      ],
      ['a bearer key', { headers: { ...BROWSER, authorization: 'Bearer unused' } }],
      ["Anthropic's key", { headers: { ...BROWSER, 'x-api-key': 'unused' } }],
      ['a header of ours', { headers: { ...BROWSER, 'x-tollway-client': 'curl' } }],
      ['the name of a program', { headers: { 'user-agent': 'curl/8.5.0' } }],
      ['the name of a library', { headers: { 'user-agent': 'python-requests/2.32.3' } }],
      ['the name of the original', { headers: { 'user-agent': 'Go-http-client/1.1' } }],
    ])('%s shows that it was no page', async (_name, init) => {
      expect((await fetch(`${open.url}/upstream/any/free/200`, init)).status).toBe(200)
    })
  })

  test('a caller with a list of models is held to it and to its limits', async () => {
    const as = async (key: string, body: string | undefined, path: string): Promise<number> =>
      (
        await call(body === undefined ? 'GET' : 'POST', path, {
          key,
          ...(body === undefined ? {} : { body, headers: { 'content-type': 'application/json' } }),
        })
      ).status
    const path = '/v1/chat/completions'
    expect(await as('TEST_OBOL_ONE', '{"model":"qwen"}', path)).toBe(200)
    expect(await as('TEST_OBOL_ONE', undefined, '/paid/x')).toBe(200)
    for (const body of ['{"model":"other"}', '{"model":"qwen","model":"other"}', '{}']) {
      expect(await as('TEST_OBOL_ONE', body, path)).toBe(404)
    }
    expect(await as('TEST_OBOL_UPSTREAM', '{"model":"other"}', path)).toBe(200)
    expect(await as('TEST_OBOL_ONE', undefined, '/free/200')).toBe(200)
    expect(await as('TEST_OBOL_ONE', undefined, '/free/200')).toBe(429)
  })
})
