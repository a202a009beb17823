import { describe, expect, test } from 'vitest'
import { relayedHeaders } from '../../src/core/request/header-policy.ts'

type Headers = Readonly<Record<string, string | readonly string[]>>

const paid = (headers: Headers): Record<string, string | string[]> =>
  Object.fromEntries(relayedHeaders({ headers, kind: 'paid' }))

describe('of a paid answer', () => {
  test('only headers that clients need are passed on', () => {
    const kept = {
      'content-type': 'application/json',
      'content-length': '2',
      'cache-control': 'no-store',
      'openai-processing-ms': '5',
      'anthropic-ratelimit-requests-limit': '1',
      'x-ratelimit-limit-requests': '10',
      'request-id': 'req_1',
    }
    const dropped = {
      'x-accel-redirect': '/secret',
      'x-sendfile': '/etc/passwd',
      'x-should-retry': 'true',
      'retry-after': '1',
      'set-cookie': 'a=b',
      'access-control-allow-origin': '*',
      'content-security-policy': 'x',
      'payment-response': 'x',
      'x-litellm-response-cost': '0',
      'x-tollway-charge': 'x',
      'x-request-id': 'x',
      server: 'x',
      connection: 'x',
      link: '</x>; rel=preload',
    }
    expect(paid({ ...dropped, ...kept })).toEqual(kept)
  })

  test('they have 8 kB together, those of the body first', () => {
    const many = Object.fromEntries(
      Array.from({ length: 200 }, (_, n) => [`x-ratelimit-${n}`, 'x'.repeat(90)]),
    )
    const got = paid({ ...many, 'content-type': 'application/json', 'content-length': '2' })
    expect(got).toMatchObject({ 'content-type': 'application/json', 'content-length': '2' })
    const size = Object.entries(got).reduce((sum, [name, value]) => sum + name.length + value.length + 4, 0)
    expect(size).toBeLessThanOrEqual(8192)
    expect(size).toBeGreaterThan(7900)
  })

  test('a header that is repeated counts as often as it is', () => {
    const values = Array.from({ length: 100 }, () => 'x'.repeat(90))
    expect(paid({ 'openai-x': values, 'openai-y': 'y' })).toEqual({ 'openai-y': 'y' })
  })

  test('a body has one type and one length, without parameters that fill the headers', () => {
    expect(paid({ 'content-type': ['application/json', 'text/html'], 'content-length': ['2', '3'] })).toEqual(
      { 'content-type': 'application/json', 'content-length': '2' },
    )
    expect(paid({ 'content-type': `Text/Event-Stream; a=${'x'.repeat(9000)}` })).toEqual({
      'content-type': 'text/event-stream',
    })
  })
})

test('of an unpaid answer all are passed on but those of the connection', () => {
  const headers = { 'x-any': 'x'.repeat(20_000), 'set-cookie': ['a=b', 'c=d'], 'retry-after': '1' }
  const passed = relayedHeaders({
    headers: { ...headers, connection: 'x-hop', 'x-hop': '1', 'transfer-encoding': 'chunked' },
    kind: 'unpaid',
  })
  expect(Object.fromEntries(passed)).toEqual(headers)
})
