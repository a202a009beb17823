import { describe, expect, test } from 'vitest'
import { newExchange } from '../../src/core/request/exchange.ts'
import { isDryRun, withoutDryRun } from '../../src/payment/dry-run.ts'

function asks(body: string): boolean {
  const exchange = newExchange({ id: 'req_1', startedAt: 0, begunAt: 0 })
  exchange.endpoint = '/chat/completions'
  exchange.request.body = Buffer.from(body)
  return isDryRun(exchange)
}

describe('a request only asks for its price', () => {
  test.each([
    '{"dry_run":true}',
    '{"dry\\u005frun":true}',
    '{"\\u0064ry_run" : true , "model":"m"}',
    '{"dry_run":false,"dry_run":true}',
    '{"dry\\u005Frun":true,"dry_run":false}',
  ])('%s', (body) => {
    expect(asks(body)).toBe(true)
    expect(withoutDryRun(Buffer.from(body)).toString()).not.toMatch(/run/)
  })
})

test.each([
  '{"dry_run":"true"}',
  '{"dry_run":1}',
  '{"a":{"dry_run":true}}',
  '{"a":"\\"dry_run\\":true"}',
  '[]',
])('%s does not', (body) => {
  expect(asks(body)).toBe(false)
})
