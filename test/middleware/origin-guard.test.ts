import { describe, expect, it } from 'vitest'
import { originGuard } from '../../middleware/origin-guard.ts'
import { bare, codeOf, HOSTS, raw, send, serve, tellExchange, untyped } from './harness.ts'

describe.each(HOSTS)('originGuard in %s', (_name, host) => {
  it.each(['localhost', 'localhost:8402', '127.0.0.1', '127.0.0.1:1', '[::1]', '[::1]:8402', 'LOCALHOST:80'])(
    'serves the loopback name %s',
    async (name) => {
      const port = await serve(host(originGuard(), tellExchange))
      const answer = await send(port, { headers: { host: name } })
      expect(answer.status).toBe(200)
      expect(answer.headers['x-tollway-spent']).toBe('no')
      expect(answer.headers['x-request-id']).toMatch(/^req_/)
    },
  )

  it.each([
    'evil.example',
    'localhost.evil.example',
    'localhost.',
    '127.0.0.1.nip.io',
    '127.0.0.1:8402:1',
    'localhost:999999',
    'user@localhost',
    'localhost/x',
    '[::2]',
    '0.0.0.0',
  ])('refuses the Host %j', async (name) => {
    const port = await serve(host(originGuard(), tellExchange))
    const answer = await send(port, { headers: { host: name } })
    expect(answer.status).toBe(403)
    expect(codeOf(answer)).toBe('origin_not_allowed')
    expect(answer.headers['x-tollway-spent']).toBe('no')
  })
})

describe('originGuard', () => {
  it('serves the configured names, in any letter case, and still not others', async () => {
    const port = await serve(bare(originGuard({ hosts: ['Gateway.Internal', '[fd00::1]'] }), tellExchange))
    expect((await send(port, { headers: { host: 'gateway.internal:9' } })).status).toBe(200)
    expect((await send(port, { headers: { host: 'GATEWAY.internal' } })).status).toBe(200)
    expect((await send(port, { headers: { host: '[fd00::1]:9' } })).status).toBe(200)
    expect((await send(port, { headers: { host: 'internal' } })).status).toBe(403)
  })

  it('refuses a second Host header, of which another server on the way might take the other', async () => {
    const port = await serve(bare(originGuard(), tellExchange))
    const answer = await raw(
      port,
      'GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n',
    )
    expect(answer).toMatch(/^HTTP\/1\.1 (?:403|400) /)
  })

  it('refuses a request without a Host header, or with an empty one', async () => {
    const port = await serve(bare(originGuard(), tellExchange))
    expect(await raw(port, 'GET / HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n')).toMatch(
      /^HTTP\/1\.1 403 /,
    )
    expect(await raw(port, 'GET / HTTP/1.0\r\n\r\n')).toMatch(/^HTTP\/1\.1 403 /)
  })

  it('refuses a whole URL as the target, which names a second host', async () => {
    const port = await serve(bare(originGuard(), tellExchange))
    const answer = await raw(
      port,
      'GET http://evil.example/v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n',
    )
    expect(answer).toMatch(/^HTTP\/1\.1 403 /)
  })

  it('with allowAnyHost serves any name, and still refuses a foreign Origin', async () => {
    const port = await serve(bare(originGuard({ allowAnyHost: true }), tellExchange))
    expect((await send(port, { headers: { host: 'gw.example.com' } })).status).toBe(200)
    const foreign = await send(port, { headers: { host: 'gw.example.com', origin: 'https://evil.example' } })
    expect(foreign.status).toBe(403)
  })

  it.each([
    ['http://localhost:8402', 200],
    ['https://localhost:8402', 200],
    ['HTTP://LOCALHOST:8402', 200],
    ['http://localhost:8403', 403],
    ['http://localhost', 403],
    ['http://evil.example', 403],
    ['null', 403],
    ['', 403],
    ['http://localhost:8402.evil.example', 403],
    ['http://localhost:8402, http://evil.example', 403],
  ])('answers the Origin %j with %i', async (origin, status) => {
    const port = await serve(bare(originGuard(), tellExchange))
    expect((await send(port, { headers: { host: 'localhost:8402', origin } })).status).toBe(status)
  })

  it.each([
    ['cross-site', 403],
    ['same-site', 403],
    ['same-origin', 200],
    ['none', 200],
  ])('answers Sec-Fetch-Site: %s with %i', async (site, status) => {
    const port = await serve(bare(originGuard(), tellExchange))
    expect((await send(port, { headers: { host: 'localhost', 'sec-fetch-site': site } })).status).toBe(status)
  })

  it('tells the fix for options that cannot be meant', () => {
    expect(() => originGuard(untyped({ host: ['a'] }))).toThrow(
      '"host" is not an option. Did you mean "hosts"?',
    )
    expect(() => originGuard({ hosts: ['http://a'] })).toThrow(/hosts\.0: write the host name only/)
    expect(() => originGuard({ hosts: ['a:8402'] })).toThrow(/hosts\.0: write the host name only/)
  })
})

describe('a form without Origin', () => {
  const form = { 'content-type': 'multipart/form-data; boundary=x' }

  it.each<[string, Record<string, string>]>([
    ['by its fetch metadata', { 'sec-fetch-site': 'none' }],
    ['by its name', { 'user-agent': 'Mozilla/5.0 (X11; Linux x86_64) Firefox/150.0' }],
    ['whatever the spelling of the type', { 'content-type': 'Multipart/Mixed', 'user-agent': 'mozilla/4.0' }],
  ])('is refused from a browser, known %s', async (_how, headers) => {
    const port = await serve(bare(originGuard(), tellExchange))
    const answer = await send(port, { method: 'POST', headers: { host: 'localhost', ...form, ...headers } })
    expect([answer.status, codeOf(answer)]).toEqual([403, 'origin_not_allowed'])
  })

  it.each<[string, Record<string, string>]>([
    ['a program', { 'user-agent': 'OpenAI/JS 7.15.0' }],
    ["Node's fetch", { 'user-agent': 'node', 'sec-fetch-mode': 'cors' }],
    ['a page of ours', { 'user-agent': 'Mozilla/5.0', origin: 'http://localhost' }],
  ])('is served from %s', async (_who, headers) => {
    const port = await serve(bare(originGuard(), tellExchange))
    const answer = await send(port, { method: 'POST', headers: { host: 'localhost', ...form, ...headers } })
    expect(answer.status).toBe(200)
  })
})
