import { describe, expect, test } from 'vitest'
import {
  decideRepeat,
  REPEAT_MS,
  type RepeatableRequest,
  type Presented,
} from '../../src/core/request/idempotency.ts'

const NOW = 1_000_000_000
const plain: Presented = { named: undefined, isRetry: false }
const again: Presented = { named: undefined, isRetry: true }
const keyed: Presented = { named: 'idempotency-key', isRetry: false }
const identified: Presented = { named: 'x-request-id', isRetry: false }

function attempt(changes: Partial<RepeatableRequest> = {}): RepeatableRequest {
  const endedAt = NOW - 1000
  return { body: 'b', state: 'delivered', abandoned: false, startedAt: NOW - 5000, endedAt, ...changes }
}
const running = attempt({ state: 'running', endedAt: undefined })
const abandoned = attempt({ state: 'running', abandoned: true, endedAt: undefined })
const failed = attempt({ state: 'failed' })
const unpaid = attempt({ state: 'unpaid' })
const delivered = attempt()
const old = (of: RepeatableRequest): RepeatableRequest => ({ ...of, endedAt: NOW - REPEAT_MS - 1 })
const justInTime = (of: RepeatableRequest): RepeatableRequest => ({ ...of, endedAt: NOW - REPEAT_MS })
const otherBody = (of: RepeatableRequest): RepeatableRequest => ({ ...of, body: 'other' })

type Row = [
  string,
  Presented,
  RepeatableRequest | undefined,
  RepeatableRequest | undefined,
  'fresh' | 'same' | 'conflict',
]

describe('who is taken for whom', () => {
  const rows: Row[] = [
    ['nothing came before', plain, undefined, undefined, 'fresh'],

    ['a key that is on its way', keyed, running, undefined, 'same'],
    ['a key that was answered, however long ago', keyed, old(delivered), undefined, 'same'],
    ['a key whose payment failed', keyed, old(failed), undefined, 'same'],
    ['a key that paid nothing', keyed, unpaid, undefined, 'fresh'],
    ['a key with another body', keyed, otherBody(delivered), undefined, 'conflict'],
    [
      'a key with another body while the first is on its way',
      keyed,
      otherBody(running),
      undefined,
      'conflict',
    ],
    ['a key with another body that paid nothing', keyed, otherBody(unpaid), undefined, 'fresh'],
    ['a new key, whatever came before', keyed, undefined, failed, 'fresh'],
    ['a new key on a retry', { ...keyed, isRetry: true }, undefined, running, 'fresh'],

    ['a request id on its way', identified, running, running, 'same'],
    ['a request id that was answered', identified, old(delivered), old(delivered), 'same'],
    ['a new request id after a delivered answer', identified, undefined, delivered, 'fresh'],
    ['a new request id beside one on its way', identified, undefined, running, 'fresh'],
    ['a new request id after a failed payment', identified, undefined, failed, 'same'],
    ['a new request id on a retry', { ...identified, isRetry: true }, undefined, delivered, 'same'],

    ['a retry of one on its way', again, undefined, running, 'same'],
    ['a retry of one that was answered', again, undefined, justInTime(delivered), 'same'],
    ['a retry too late', again, undefined, old(delivered), 'fresh'],
    ['a retry of one that failed', again, undefined, failed, 'same'],
    ['a retry of one that paid nothing', again, undefined, unpaid, 'fresh'],
    ['a retry without a first attempt', again, undefined, undefined, 'fresh'],

    ['the same body beside one on its way', plain, undefined, running, 'fresh'],
    ['the same body after an answer', plain, undefined, delivered, 'fresh'],
    ['the same body while nobody waits for the first', plain, undefined, abandoned, 'same'],
    ['the same body after a failed payment', plain, undefined, justInTime(failed), 'same'],
    ['the same body long after a failed payment', plain, undefined, old(failed), 'fresh'],
    ['the same body after one that paid nothing', plain, undefined, unpaid, 'fresh'],
  ]

  test.each(rows)('%s', (_what, presented, named, newest, expected) => {
    expect(decideRepeat(presented, 'b', named, newest, undefined, NOW).kind).toBe(expected)
  })

  test.each<[string, Presented, RepeatableRequest, string]>([
    ['after a failed payment for another model', plain, justInTime(failed), 'same'],
    ['with a new request id, after a failed payment for another model', identified, failed, 'same'],
    ['with a key of its own, after a failed payment for another model', keyed, failed, 'fresh'],
    ['long after a failed payment for another model', plain, old(failed), 'fresh'],
    ['while nobody waits for the one to another model', plain, abandoned, 'same'],
    ['beside one to another model', plain, running, 'fresh'],
    ['on a retry, after an answer of another model', again, delivered, 'fresh'],
    ['after one to another model that paid nothing', plain, unpaid, 'fresh'],
  ])('rule 5: the same call %s', (_what, presented, other, expected) => {
    const otherModel = { ...other, body: 'of another model' }
    expect(decideRepeat(presented, 'b', undefined, undefined, otherModel, NOW).kind).toBe(expected)
    // An answer of the model itself does not change it: the other one is still without.
    expect(
      decideRepeat({ ...presented, isRetry: false }, 'b', undefined, delivered, otherModel, NOW).kind,
    ).toBe(expected)
  })

  test('the attempt under the name wins over the newest one', () => {
    const named = attempt({ startedAt: 1 })
    const decision = decideRepeat(keyed, 'b', named, attempt({ startedAt: 2 }), undefined, NOW)
    expect(decision).toEqual({ kind: 'same', attempt: named })
  })
})
