import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { LookupAddress } from 'node:dns'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { isPublicAddress } from '../../src/io/transport/public-address.ts'
import type { LookupAll } from '../../src/io/transport/public-connector.ts'
import { createUpstream, readBounded } from '../../src/io/transport/upstream.ts'
import { UpstreamError } from '../../src/io/transport/upstream-error.ts'

describe('an address', () => {
  test.each([
    '8.8.8.8',
    '1.1.1.1',
    '172.15.255.255',
    '172.32.0.0',
    '100.63.255.255',
    '100.128.0.0',
    '192.167.255.255',
    '223.255.255.255',
    '2606:4700::1111',
    '2001:4860:4860::8888',
  ])('%s is public', (address) => {
    expect(isPublicAddress(address)).toBe(true)
  })

  test.each([
    '0.0.0.0',
    '10.1.2.3',
    '100.64.0.1',
    '127.0.0.1',
    '127.255.255.254',
    '169.254.169.254',
    '172.16.0.1',
    '172.31.255.255',
    '192.0.0.170',
    '192.0.2.1',
    '192.168.1.1',
    '198.18.0.1',
    '198.51.100.1',
    '203.0.113.1',
    '224.0.0.1',
    '255.255.255.255',
    '::',
    '::1',
    '::ffff:8.8.8.8',
    '::ffff:10.0.0.1',
    '::ffff:7f00:1',
    '::7f00:1',
    '64:ff9b::808:808',
    '100::1',
    '2001::1',
    '2001:db8::1',
    '2002:7f00:1::',
    '3fff::1',
    'fc00::1',
    'fd12:3456::1',
    'fe80::1',
    'fe80::1%eth0',
    '2606:4700::1111%eth0',
    'fec0::1',
    'ff02::1',
    'localhost',
    '127.1',
    '',
  ])('%s is not public', (address) => {
    expect(isPublicAddress(address)).toBe(false)
  })
})

describe('a seller held to the public internet', () => {
  let server: Server
  let port: number
  let requests: number
  beforeAll(async () => {
    requests = 0
    server = createServer((_req, res) => {
      requests += 1
      res.end('hello')
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    port = typeof address === 'object' && address !== null ? address.port : 0
  })
  afterAll(() => {
    server.closeAllConnections()
    server.close()
  })

  const timeouts = { connectMs: 60_000, firstByteMs: 60_000, totalMs: 120_000 }
  const four = (address: string): LookupAddress => ({ address, family: 4 })

  async function ask(host: string, lookup: LookupAll, toSeller = true): Promise<string> {
    const upstream = createUpstream(timeouts, { publicSellers: true, lookup })
    try {
      const url = `http://${host}:${port}/`
      const answer = await upstream.send({ method: 'GET', url, headers: {}, body: undefined, toSeller })
      return `${answer.status} ${(await readBounded(answer.body, 100, 60_000)).bytes.toString()}`
    } catch (error) {
      return error instanceof UpstreamError ? error.reason : String(error)
    } finally {
      await upstream.close()
    }
  }

  const never: LookupAll = () => {
    throw new Error('a literal address is not looked up')
  }

  test.each([
    '127.0.0.1',
    '[::1]',
    '[::ffff:127.0.0.1]',
    '2130706433',
    '0x7f.1',
    '10.0.0.1',
    '169.254.169.254',
  ])('is refused at the literal address %s without a connection', async (host) => {
    const before = requests
    expect(await ask(host, never)).toBe('private')
    expect(requests).toBe(before)
  })

  test('is refused when its name resolves to a private address, or to both a private and a public one', async () => {
    const before = requests
    expect(await ask('seller.test', (_host, done) => done(null, [four('127.0.0.1')]))).toBe('private')
    const both = [four('93.184.216.34'), four('127.0.0.1')]
    expect(await ask('seller.test', (_host, done) => done(null, both))).toBe('private')
    expect(
      await ask('seller.test', (_host, done) => done(null, [{ address: '::ffff:7f00:1', family: 6 }])),
    ).toBe('private')
    expect(requests).toBe(before)
  })

  test('is looked up once per connection: a name that points elsewhere the second time changes nothing', async () => {
    let lookups = 0
    const rebinding: LookupAll = (_host, done) => {
      lookups += 1
      done(null, [four(lookups === 1 ? '192.0.2.1' : '127.0.0.1')])
    }
    expect(await ask('seller.test', rebinding)).toBe('private')
    expect(lookups).toBe(1)
  })

  test('a name that does not resolve is an ordinary failure to connect', async () => {
    const error = Object.assign(new Error('no such name'), { code: 'ENOTFOUND' })
    expect(await ask('seller.test', (_host, done) => done(error, []))).toBe('connect')
    expect(await ask('seller.test', (_host, done) => done(null, []))).toBe('connect')
  })

  test('who is not paid is not held to it', async () => {
    expect(await ask('127.0.0.1', never, false)).toBe('200 hello')
  })
})
