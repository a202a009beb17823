import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { isLoopbackHost, isOrigin, parseApiBase, parseListen } from '../../src/app/config/values/addresses.ts'

it('reads host and port, IPv6 in brackets', () => {
  expect(parseListen('127.0.0.1:8402')).toEqual({ host: '127.0.0.1', port: 8402 })
  expect(parseListen('localhost:0')).toEqual({ host: 'localhost', port: 0 })
  expect(parseListen('[::1]:65535')).toEqual({ host: '::1', port: 65_535 })
})

it('refuses addresses that could be read in two ways', () => {
  for (const text of [
    '',
    '8402',
    ':8402',
    '::1:8402',
    '[::1]',
    '127.0.0.1',
    '127.1:1',
    '1:2:3',
    'a:65536',
    'a:-1',
    'a: 1',
    '[a.b]:1',
    'http://a:1',
    'a:1/',
  ]) {
    expect(parseListen(text), text).toBeUndefined()
  }
})

it('knows the addresses that only this machine reaches', () => {
  for (const host of ['localhost', 'LOCALHOST', '127.0.0.1', '127.255.0.1', '::1', '[::1]']) {
    expect(isLoopbackHost(host), host).toBe(true)
  }
  for (const host of [
    '0.0.0.0',
    '::',
    '10.0.0.1',
    '128.0.0.1',
    'localhost.example.com',
    '127.0.0.1.example.com',
    '::ffff:127.0.0.1',
    '',
  ]) {
    expect(isLoopbackHost(host), host).toBe(false)
  }
})

it('brings every accepted api_base into one form that begins with its origin and does not end in a slash', () => {
  fc.assert(
    fc.property(
      fc.webUrl({ validSchemes: ['http', 'https'], withQueryParameters: false }),
      fc.nat(3),
      (text, slashes) => {
        const parsed = parseApiBase(text + '/'.repeat(slashes))
        if (!('apiBase' in parsed)) throw new Error(`refused: ${text}`)
        expect(parsed.apiBase.startsWith(parsed.url.origin)).toBe(true)
        expect(parsed.apiBase.endsWith('/')).toBe(false)
        expect(parseApiBase(parsed.apiBase)).toMatchObject({ apiBase: parsed.apiBase })
      },
    ),
  )
})

it('takes an origin only in the form in which payments are compared', () => {
  expect(isOrigin('https://seller.example.com')).toBe(true)
  expect(isOrigin('http://127.0.0.1:4021')).toBe(true)
  for (const text of [
    'https://seller.example.com/',
    'https://Seller.example.com',
    'https://seller.example.com:443',
    'seller.example.com',
    'https://a@b',
    'null',
    'ftp://x',
  ]) {
    expect(isOrigin(text), text).toBe(false)
  }
})
