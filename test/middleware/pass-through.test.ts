import { request } from 'node:http'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { originGuard } from '../../middleware/origin-guard.ts'
import type { Handler } from '../../middleware/http/handler.ts'
import { passRules } from '../../src/core/request/forwarded-paths.ts'
import { passThrough, type PassThroughOptions } from '../../middleware/pass-through.ts'
import {
  bare,
  codeOf,
  filled,
  HOSTS,
  inExpress,
  raw,
  send,
  serve,
  type Sent,
  type ToSend,
  untyped,
} from './harness.ts'
import { ManualTimers } from '../kit/manual-timers.ts'
import { raw as rawAnswer, startRawSeller } from '../kit/raw-seller.ts'
import { BINARY, startUpstream, type TestUpstream } from './upstream.ts'

/** What differs by nature between two connections. */
const BY_NATURE = new Set(['date', 'connection', 'keep-alive', 'x-request-id', 'x-tollway-spent'])

function comparable(answer: Sent): unknown {
  const headers = Object.entries(answer.headers).filter(([name]) => !BY_NATURE.has(name))
  return { status: answer.status, headers: Object.fromEntries(headers), body: answer.body.toString('base64') }
}

async function through(
  upstream: TestUpstream,
  options: Partial<PassThroughOptions> & { readonly apiKey?: string } = {},
  before: Handler[] = [],
): Promise<number> {
  const { apiKey, ...rest } = options
  const handler = passThrough({ upstream: { apiBase: upstream.apiBase, apiKey }, ...rest })
  return await serve(bare(...before, handler))
}

describe.each(HOSTS)('passThrough in %s', (_name, host) => {
  const cases: [string, ToSend][] = [
    [
      'JSON',
      {
        method: 'POST',
        path: '/v1/batches?limit=2&x=%20',
        headers: { 'content-type': 'application/json' },
        body: '{ "n": 12345678901234567890 }',
      },
    ],
    [
      'multipart',
      {
        method: 'POST',
        path: '/v1/files',
        headers: { 'content-type': 'multipart/form-data; boundary=X' },
        body: `--X\r\nContent-Disposition: form-data; name="file"; filename="é"\r\n\r\n${BINARY.toString('latin1')}\r\n--X--\r\n`,
      },
    ],
    [
      'a chunked binary upload',
      {
        method: 'PUT',
        path: '/v1/uploads/u1/parts',
        headers: { 'content-type': 'application/octet-stream', 'transfer-encoding': 'chunked' },
        body: BINARY,
      },
    ],
    ['a binary download', { path: '/v1/files/content' }],
    ['a stream of events', { path: '/v1/files/stream' }],
    ['an odd status', { path: '/v1/files/teapot' }],
    ['DELETE', { method: 'DELETE', path: '/v1/responses/resp_1' }],
    ['HEAD', { method: 'HEAD', path: '/v1/files/content' }],
  ]

  it.each(cases)('passes %s byte for byte, as if the client had asked directly', async (_case, toSend) => {
    const upstream = await startUpstream()
    const port = await serve(host(passThrough({ upstream: { apiBase: upstream.apiBase } })))
    const headers = {
      authorization: 'Bearer mine',
      'x-custom': 'é'.normalize('NFD').replace(/[^\x20-\x7e]/g, ''),
      ...toSend.headers,
    }
    const direct = await send(upstream.port, { ...toSend, headers })
    const passed = await send(port, { ...toSend, headers })
    expect(comparable(passed)).toEqual(comparable(direct))
    const [first, second] = upstream.seen
    expect(second?.url).toBe(first?.url)
    expect(second?.method).toBe(first?.method)
    expect(second?.body.equals(first?.body ?? Buffer.alloc(0))).toBe(true)
    expect(second?.headers.authorization).toBe('Bearer mine')
    expect(second?.headers['content-type']).toBe(first?.headers['content-type'])
  })

  it('serves the paths without /v1 too', async () => {
    const upstream = await startUpstream()
    const port = await serve(host(passThrough({ upstream: { apiBase: upstream.apiBase } })))
    expect((await send(port, { path: '/files/content' })).body.equals(BINARY)).toBe(true)
    expect(upstream.seen[0]?.url).toBe('/v1/files/content')
  })

  it('answers an upstream that is down with 503 and says nothing of its address', async () => {
    const handler = passThrough({ upstream: { apiBase: 'http://127.0.0.1:1/v1', apiKey: 'sk-secret' } })
    const answer = await send(await serve(host(handler)), { path: '/v1/files' })
    expect([answer.status, codeOf(answer)]).toEqual([503, 'seller_unavailable'])
    expect(Number(answer.headers['retry-after'])).toBeLessThanOrEqual(60)
    expect(answer.body.toString()).not.toMatch(/127\.0\.0\.1|ECONN|sk-secret/)
  })
})

describe('passThrough and paths', () => {
  it.each([
    ['POST', '/key/generate'],
    ['POST', '/v1/key/generate'],
    ['GET', '/v1/files/../../key/generate'],
    ['GET', '/v1/files/%2e%2e/key/generate'],
    ['GET', '/v1/files/%2E%2E%2fkey'],
    ['GET', '/v1/files/..%2f..%2fkey/generate'],
    ['GET', '/v1/files/%252e%252e/key'],
    ['GET', '/v1/files/..;/key/generate'],
    ['GET', '/v1/files//../key'],
    ['GET', '//evil.example/v1/files'],
    ['GET', '/v1/files\\..\\key'],
    ['GET', '/v1/files/%5c..%5ckey'],
    ['GET', '/v1/filesystem'],
    ['GET', '/v1/%66iles'],
    ['GET', '/V1/files'],
    ['GET', '/v1/v1/files'],
    ['GET', '/v1/files/'],
    ['POST', '/v1/responses/resp_1'],
    ['POST', '/v1/responses/a/b/cancel'],
    ['POST', '/v1/responses'],
    ['POST', '/v1/chat/completions'],
    ['GET', '/v1/realtime'],
    ['OPTIONS', '/v1/files'],
    ['CONNECT_', '/v1/files'],
    ['GET', '/'],
  ])('never forwards %s %s', async (method, path) => {
    const upstream = await startUpstream()
    const port = await through(upstream)
    const answer = await raw(
      port,
      `${method} ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`,
    )
    expect(answer).toMatch(/^HTTP\/1\.1 40[04] /)
    expect(upstream.seen).toEqual([])
  })

  it('forwards what allowPaths adds, exact or below, and nothing beside it', async () => {
    const upstream = await startUpstream()
    const port = await through(upstream, { allowPaths: ['/v1/assistants', '/threads/*', '/model/info'] })
    for (const path of ['/v1/assistants', '/assistants', '/v1/threads/t1/runs', '/model/info']) {
      expect((await send(port, { path })).status).toBe(200)
    }
    for (const path of [
      '/v1/assistants/a1',
      '/v1/threads',
      '/v1/threads/',
      '/model/info/x',
      '/v1/threads/../key',
    ]) {
      expect((await send(port, { path })).status).toBe(404)
    }
    expect(upstream.seen).toHaveLength(4)
  })

  it('forwards nothing without an upstream', async () => {
    const answer = await send(await serve(bare(passThrough())), { path: '/v1/files' })
    expect([answer.status, codeOf(answer)]).toEqual([404, 'not_found'])
  })

  it('never sends a path with a way up, a double slash or an escape of one, whatever is asked', () => {
    const { web } = passRules(['/extra/*'])
    const part = fc.constantFrom(
      'files',
      'v1',
      '..',
      '.',
      '%2e%2e',
      '%252e',
      '..;x',
      '',
      '\\',
      'key',
      'extra',
      'a',
    )
    fc.assert(
      fc.property(fc.array(part, { maxLength: 6 }), (parts) => {
        const path = `/${parts.join('/')}`
        if (web('GET', path)) expect(path).toMatch(/^\/(?:files|extra)(?:\/|$)/)
      }),
    )
  })

  it('tells the fix for options that cannot be meant', () => {
    const upstream = { apiBase: 'http://127.0.0.1:4000/v1' }
    expect(() => passThrough(untyped({ upstream: { apibase: 'x' } }))).toThrow(/Did you mean "apiBase"\?/)
    expect(() => passThrough({ upstream: { apiBase: 'localhost:4000' } })).toThrow(
      /write an http or https URL/,
    )
    for (const path of ['/*', '*', 'files', '/a*b', '/a/../b', '/v1', '/v1/*', '/a//b', '/a?x']) {
      expect(() => passThrough({ upstream, allowPaths: [path] })).toThrow(/allowPaths has/)
    }
  })
})

describe('passThrough and credentials', () => {
  const mine = {
    authorization: 'Bearer caller-key',
    'x-api-key': 'caller-key',
    'api-key': 'k',
    cookie: 'session=1',
    'proxy-authorization': 'Basic x',
  }

  it('sends our key in place of everything the client sent', async () => {
    const upstream = await startUpstream()
    await send(await through(upstream, { apiKey: 'sk-ours' }), {
      path: '/v1/files',
      headers: { ...mine, expect: '100-continue' },
    })
    const headers = upstream.seen[0]?.headers
    expect(headers?.authorization).toBe('Bearer sk-ours')
    expect(JSON.stringify(headers)).not.toMatch(/caller-key|session=1|Basic x/)
    expect(headers?.host).toBe(`127.0.0.1:${upstream.port}`)
  })

  it('drops caller keys with stripCredentials, also without a key of ours', async () => {
    const upstream = await startUpstream()
    await send(await through(upstream, { stripCredentials: true }), { path: '/v1/files', headers: mine })
    expect(JSON.stringify(upstream.seen[0]?.headers)).not.toMatch(/caller-key|session=1|Basic x/)
    expect(upstream.seen[0]?.headers).not.toHaveProperty('authorization')
  })

  it('leaves the client its own Authorization otherwise', async () => {
    const upstream = await startUpstream()
    await send(await through(upstream), { path: '/v1/files', headers: mine })
    expect(upstream.seen[0]?.headers.authorization).toBe('Bearer caller-key')
    expect(upstream.seen[0]?.headers).not.toHaveProperty('proxy-authorization')
  })

  it('lends our key only to callers whose models are not limited', async () => {
    const upstream = await startUpstream()
    const limited = [filled({ caller: { id: 'openclaw', allowedModels: ['paid/*'] } })]
    const answer = await send(await through(upstream, { apiKey: 'sk-ours' }, limited), { path: '/v1/files' })
    expect([answer.status, codeOf(answer)]).toEqual([404, 'not_found'])
    expect(upstream.seen).toEqual([])
    const open = [filled({ caller: { id: 'ops', allowedModels: ['paid/*', '*'] } })]
    expect(
      (await send(await through(upstream, { apiKey: 'sk-ours' }, open), { path: '/v1/files' })).status,
    ).toBe(200)
  })

  it('keeps an upstream from speaking in our name, and our session from the caller', async () => {
    const upstream = await startUpstream()
    const answer = await send(await through(upstream, { apiKey: 'sk-ours' }, [originGuard()]), {
      path: '/v1/files/forger',
      headers: { 'x-request-id': 'mine-1' },
    })
    expect(answer.headers['x-tollway-spent']).toBe('no')
    expect(answer.headers['x-tollway-cost-usd']).toBeUndefined()
    expect(answer.headers['x-request-id']).toBe('mine-1')
    expect(answer.headers['set-cookie']).toBeUndefined()
    const own = await send(await through(upstream), { path: '/v1/files/forger' })
    expect(own.headers['set-cookie']).toEqual(['a=1', 'b=2'])
  })
})

describe('passThrough and streams', () => {
  it('hands on each event when it comes, not when the stream ends', async () => {
    const upstream = await startUpstream()
    const port = await through(upstream)
    const text = await new Promise<string>((resolve, reject) => {
      const req = request({ port, host: '127.0.0.1', path: '/v1/files/slow', agent: false }, (res) => {
        let got = ''
        res.setEncoding('utf8')
        res.on('data', (chunk: string) => {
          got += chunk
          // The second event is only sent once the first has arrived: a proxy that waits for the end hangs here.
          upstream.goOn()
        })
        res.on('end', () => resolve(got))
      })
      req.on('error', reject)
      req.end()
    })
    expect(text).toBe('data: 1\n\ndata: 2\n\n')
  })
})

describe('passThrough and faults', () => {
  it.each(['/v1/files/reset', '/v1/files/silent'])(
    'answers 503 when the upstream goes quiet on %s',
    async (path) => {
      const upstream = await startUpstream()
      const answer = await send(await through(upstream, { timeouts: { idleSeconds: 0.1 } }), { path })
      expect([answer.status, codeOf(answer)]).toEqual([503, 'seller_unavailable'])
    },
  )

  it.each([100, 102, 103])(
    'answers 503 when the upstream only sends interim responses of status %i',
    async (status) => {
      const upstream = await startRawSeller((socket) => {
        const more = (): boolean =>
          !socket.destroyed && socket.write(rawAnswer(status, {}), () => setImmediate(more))
        more()
      })
      const timers = new ManualTimers()
      const port = await serve(
        inExpress(
          passThrough({ upstream: { apiBase: upstream.apiBase }, timers, timeouts: { idleSeconds: 7 } }),
        ),
      )
      const answer = send(port, { path: '/v1/files/content' })
      await timers.fire(7000)
      expect([(await answer).status, codeOf(await answer)]).toEqual([503, 'seller_unavailable'])
      await upstream.close()
    },
  )

  it('cuts off an answer that the upstream cuts off, and goes on serving', async () => {
    const upstream = await startUpstream()
    const port = await serve(inExpress(passThrough({ upstream: { apiBase: upstream.apiBase } })))
    await expect(send(port, { path: '/v1/files/broken' })).rejects.toThrow(/aborted|ECONNRESET/)
    expect((await send(port, { path: '/v1/files/content' })).status).toBe(200)
  })

  it('lets go of the upstream when the client leaves', async () => {
    const upstream = await startUpstream()
    const closed = Promise.withResolvers<void>()
    const watch: Handler = (_req, res, next) => {
      res.on('close', () => closed.resolve())
      next()
    }
    const port = await through(upstream, {}, [watch])
    const req = request({ port, host: '127.0.0.1', path: '/v1/files/silent' })
    req.on('error', () => undefined)
    req.end()
    await expect.poll(() => upstream.seen.length).toBe(1)
    req.destroy()
    await closed.promise
    expect((await send(port, { path: '/v1/files/content' })).status).toBe(200)
  })

  it('uses its connections to the upstream again', async () => {
    const upstream = await startUpstream()
    const port = await through(upstream)
    for (let count = 0; count < 3; count += 1) await send(port, { path: '/v1/files/content' })
    expect(upstream.seen.map(({ headers }) => headers.connection)).toEqual([
      'keep-alive',
      'keep-alive',
      'keep-alive',
    ])
  })
})
