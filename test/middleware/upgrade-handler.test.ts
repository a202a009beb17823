import { connect } from 'node:net'
import { describe, expect, it } from 'vitest'
import { auditLogger } from '../../middleware/audit-logger.ts'
import { caller } from '../../middleware/caller.ts'
import { originGuard } from '../../middleware/origin-guard.ts'
import { errorHandler } from '../../middleware/error-handler.ts'
import { isWebSocketUpgrade, passThrough, type PassThroughOptions } from '../../middleware/pass-through.ts'
import { upgradeHandler } from '../../middleware/upgrade-handler.ts'
import { hashKey } from '../../src/io/callers/hash-key.ts'
import { ManualTimers } from '../kit/manual-timers.ts'
import { raw, serve, untyped } from './harness.ts'
import { startUpstream } from './upstream.ts'

const KEY = 'dGhlIHNhbXBsZSBub25jZQ=='

function handshake(path: string, more: readonly string[] = []): string {
  const lines = [
    `GET ${path} HTTP/1.1`,
    'Host: localhost',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${KEY}`,
    ...more,
  ]
  return `${lines.join('\r\n')}\r\n\r\n`
}

async function gateway(
  options: PassThroughOptions,
  records: Record<string, unknown>[] = [],
): Promise<number> {
  const pass = passThrough(options)
  const callers = [
    { id: 'limited', keyDigest: hashKey('sk-limited'), models: ['gpt-realtime'] },
    { id: 'open', keyDigest: hashKey('sk-open') },
  ]
  const audit = {
    append: async (_type: string, fields: Record<string, unknown>) => {
      records.push(fields)
    },
  }
  const guards = [auditLogger({ audit }), originGuard(), caller({ callers })]
  return await serve(
    (_req, res) => res.writeHead(426).end(),
    (server) =>
      server.on('upgrade', upgradeHandler({ guards, passThrough: pass, errorHandler: errorHandler() })),
  )
}

describe('a websocket to /realtime', () => {
  it('reaches the upstream and carries bytes both ways, as directly', async () => {
    const upstream = await startUpstream()
    const records: Record<string, unknown>[] = []
    const port = await gateway({ upstream: { apiBase: upstream.apiBase, apiKey: 'sk-ours' } }, records)
    const auth = 'Authorization: Bearer sk-open'
    const echoed = (to: number): Promise<string> =>
      new Promise((resolve, reject) => {
        const socket = connect(to, '127.0.0.1', () =>
          socket.write(handshake('/v1/realtime?model=gpt-realtime', [auth])),
        )
        let answer = ''
        socket.setEncoding('latin1')
        socket.on('error', reject)
        socket.on('data', (chunk: string) => {
          if (!answer.includes('\r\n\r\n')) socket.write(Buffer.from([0x82, 0x02, 0x00, 0xff]))
          answer += chunk
          if (answer.endsWith('\x82\x02\x00\xff')) socket.end(() => resolve(answer))
        })
      })
    const passed = await echoed(port)
    expect(passed).toBe(await echoed(upstream.port))
    expect(passed).toMatch(/^HTTP\/1\.1 101 /)
    expect(upstream.seen[0]?.url).toBe('/v1/realtime?model=gpt-realtime')
    expect(upstream.seen[0]?.headers.authorization).toBe('Bearer sk-ours')
    await expect.poll(() => records).toHaveLength(1)
    expect(records[0]).toMatchObject({ status: 101, caller: 'open', endpoint: '/realtime', outcome: 'free' })
  })

  it.each([
    ['without a key', '/v1/realtime', [], 401],
    [
      'from another Origin',
      '/v1/realtime',
      ['Authorization: Bearer sk-open', 'Origin: https://evil.example'],
      403,
    ],
    ['on a path that is not served', '/v1/key/generate', ['Authorization: Bearer sk-open'], 426],
    ['on a path that is served over HTTP', '/v1/responses', ['Authorization: Bearer sk-open'], 426],
    ['on a hidden path', '/v1/realtime/../key', ['Authorization: Bearer sk-open'], 426],
    [
      'for a model the caller may not use',
      '/v1/realtime?model=other',
      ['Authorization: Bearer sk-limited'],
      404,
    ],
    [
      'for two models',
      '/v1/realtime?model=gpt-realtime&model=other',
      ['Authorization: Bearer sk-limited'],
      404,
    ],
  ])('is refused %s', async (_case, path, headers, status) => {
    const upstream = await startUpstream()
    const records: Record<string, unknown>[] = []
    const port = await gateway({ upstream: { apiBase: upstream.apiBase, apiKey: 'sk-ours' } }, records)
    const answer = await raw(port, handshake(path, headers))
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    expect(answer).toContain('"error":{"message"')
    expect(upstream.seen).toEqual([])
    await expect.poll(() => records).toHaveLength(1)
    expect(records[0]).toMatchObject({ status, outcome: 'refused' })
  })

  it('lets a limited caller have the models on its list', async () => {
    const upstream = await startUpstream()
    const port = await gateway({ upstream: { apiBase: upstream.apiBase, apiKey: 'sk-ours' } })
    const answer = await raw(
      port,
      handshake('/v1/realtime?model=gpt-realtime&refuse', ['X-Api-Key: sk-limited']),
    )
    expect(answer).toMatch(/^HTTP\/1\.1 429 /)
    expect(upstream.seen).toHaveLength(1)
  })

  it('does not pass a key that rides in the subprotocol', async () => {
    const upstream = await startUpstream()
    const port = await gateway({ upstream: { apiBase: upstream.apiBase, apiKey: 'sk-ours' } })
    const protocols =
      'Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.sk-client, openai-beta.realtime-v1'
    await raw(port, handshake('/v1/realtime?refuse', ['X-Api-Key: sk-open', protocols]))
    expect(upstream.seen[0]?.headers['sec-websocket-protocol']).toBe('realtime, openai-beta.realtime-v1')
  })

  it.each([
    ['refuses the connection', 'http://127.0.0.1:1/v1', ''],
    ['resets it', undefined, '&reset'],
  ])('answers 503 when the upstream %s', async (_case, apiBase, more) => {
    const upstream = await startUpstream()
    const port = await gateway({ upstream: { apiBase: apiBase ?? upstream.apiBase } })
    const answer = await raw(port, handshake(`/v1/realtime?model=m${more}`, ['X-Api-Key: sk-open']))
    expect(answer).toMatch(/^HTTP\/1\.1 503 /)
    expect(answer).toContain('seller_unavailable')
    expect(answer).not.toContain('ECONN')
  })
})

describe('an upstream that does not answer a websocket request', () => {
  const start = async () => {
    const upstream = await startUpstream()
    const timers = new ManualTimers()
    const records: Record<string, unknown>[] = []
    const timeouts = { idleSeconds: 7 }
    const port = await gateway({ upstream: { apiBase: upstream.apiBase }, timeouts, timers }, records)
    return { port, timers, records }
  }

  it('is given up after the idle time: the client has its 503 and the request its record', async () => {
    const { port, timers, records } = await start()
    const answer = raw(port, handshake('/v1/realtime?model=m&silent', ['X-Api-Key: sk-open']))
    await timers.fire(7000)
    expect(await answer).toMatch(/^HTTP\/1\.1 503 /)
    expect(await answer).toContain('seller_unavailable')
    await expect.poll(() => records).toHaveLength(1)
    expect(records[0]).toMatchObject({ outcome: 'failed', code: 'seller_unavailable' })
  })

  it('is cut off when its refusal stops half way, without words of ours inside it', async () => {
    const { port, timers, records } = await start()
    const socket = connect(port, '127.0.0.1', () =>
      socket.write(handshake('/v1/realtime?model=m&stuck', ['X-Api-Key: sk-open'])),
    )
    let answer = ''
    socket.setEncoding('latin1')
    socket.on('error', () => undefined)
    const half = new Promise<void>((resolve) =>
      socket.on('data', (chunk: string) => {
        answer += chunk
        if (answer.endsWith('\r\n\r\nn')) resolve()
      }),
    )
    const closed = new Promise((resolve) => socket.on('close', resolve))
    await half
    await timers.fire(7000)
    await closed
    expect(answer).toMatch(/^HTTP\/1\.1 429 /)
    expect(answer).not.toContain('503')
    await expect.poll(() => records).toHaveLength(1)
  })

  it('is waited for no longer once the socket is open', async () => {
    const { port, timers } = await start()
    const socket = connect(port, '127.0.0.1', () =>
      socket.write(handshake('/v1/realtime?model=m', ['X-Api-Key: sk-open'])),
    )
    await timers.armed(7000)
    await new Promise((resolve) => socket.once('data', resolve))
    await timers.idle()
    socket.destroy()
  })
})

const of = (method: string, upgrade?: string): boolean =>
  isWebSocketUpgrade(untyped({ method, headers: { upgrade } }))

describe('isWebSocketUpgrade', () => {
  it('tells a websocket from other upgrades, which are served as plain requests', () => {
    expect(of('GET', 'WebSocket')).toBe(true)
    expect(of('GET', 'h2c')).toBe(false)
    expect(of('GET')).toBe(false)
    expect(of('POST', 'websocket')).toBe(false)
  })
})
