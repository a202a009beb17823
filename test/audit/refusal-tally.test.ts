/** Refusals cost their sender nothing, so no number of them may fill a disk. */
import { EventEmitter } from 'node:events'
import { statSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { ServerResponse } from 'node:http'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { auditLogger, tallyRefusals } from '../../middleware/audit-logger.ts'
import { exchangeOf } from '../../middleware/http/exchange-of.ts'
import type { Request } from '../../middleware/http/handler.ts'
import { requestLog } from '../../src/app/logging/request-log.ts'
import { type ErrorCode } from '../../src/core/errors.ts'
import { ERROR_TABLE } from '../../src/core/error-table.ts'
import { LogLimit } from '../../src/core/log-limit.ts'
import type { TollwayEvent } from '../../src/core/telemetry/events.ts'
import { DEFAULT_EACH, DEFAULT_INTERVAL_MS, REFUSALS } from '../../src/io/audit/refusal-tally.ts'
import { verifyAudit } from '../../src/io/audit/audit-verify.ts'
import { ManualTimers } from '../kit/manual-timers.ts'
import { auditPlace, fragileDisk, NOW, systemError } from './kit.ts'

const place = auditPlace()
const tick = async (): Promise<void> => await new Promise((resolve) => setImmediate(resolve))

/** An audit logger on a real audit file, and requests that end without a server. */
async function world({ fs } = fragileDisk()) {
  const audit = await place.open(fs)
  const timers = new ManualTimers()
  const clock = { now: () => NOW }
  const lines: unknown[][] = []
  const note = (...line: unknown[]): void => void lines.push(line)
  const log = { warn: note, error: note }
  const refusals = tallyRefusals({ audit, clock, log, timers })
  const events: TollwayEvent[] = []
  const handler = auditLogger({ audit, clock, log, refusals, observers: [(event) => events.push(event)] })
  return {
    audit,
    timers,
    refusals,
    events,
    lines,
    end: (status: number, code?: ErrorCode, change: (request: Request) => void = () => undefined) => {
      const req = Object.assign(new EventEmitter(), { method: 'POST', url: '/v1/x', headers: {} })
      const request = req as unknown as Request
      const res = new ServerResponse(request)
      handler(request, res, () => undefined)
      const exchange = exchangeOf(request)
      exchange.record.code = code
      change(request)
      res.statusCode = status
      Object.defineProperty(res, 'headersSent', { value: true })
      res.emit('finish')
    },
    records: async (): Promise<Record<string, unknown>[]> => {
      await audit.check()
      const text = await readFile(place.path, 'utf8')
      return text === ''
        ? []
        : text
            .trimEnd()
            .split('\n')
            .map((line) => JSON.parse(line) as Record<string, unknown>)
    },
  }
}

const LONG = 'x'.repeat(5000)

/** What the door answers, without a model or a seller having been asked. */
const DOOR: readonly ErrorCode[] = [
  'invalid_api_key',
  'origin_not_allowed',
  'model_not_found',
  'not_found',
  'request_too_large',
  'unsupported_encoding',
  'invalid_json',
  'rate_limit_exceeded',
  'budget_exhausted',
]

describe('refusals', () => {
  test(
    '100,000 of them write a bounded number of bytes, and every one is counted',
    { timeout: 240_000 },
    async () => {
      const { end, timers, records, refusals } = await world()
      const total = 100_000
      for (let n = 0; n < total; n += 1) {
        const code = DOOR[n % DOOR.length] ?? 'not_found'
        end(ERROR_TABLE[code].status, code, (request) => {
          // The sender chooses names as long as it likes.
          exchangeOf(request).request.model = `m-${n}-${LONG}`
        })
        if (n % 10_000 === 0) await tick()
      }
      await timers.fire(DEFAULT_INTERVAL_MS)
      await refusals.flush()
      const written = await records()
      expect(statSync(place.path).size).toBeLessThan(DOOR.length * (DEFAULT_EACH + 1) * 3000)
      const counts = written.filter(({ type }) => type === REFUSALS)
      expect(counts.map(({ code }) => String(code)).toSorted()).toEqual([...DOOR].toSorted())
      const counted = counts.reduce((sum, { count }) => sum + Number(count), 0)
      expect(counted + written.filter(({ type }) => type === 'request').length).toBe(total)
      expect(counts[0]).toMatchObject({ status: 401, outcome: 'refused', since: new Date(NOW).toISOString() })
      expect(counts[0]?.['samples']).toHaveLength(5)
      expect(await verifyAudit(place.path)).toMatchObject({ ok: true })
    },
  )

  test('the first of a kind in each interval have a record of their own', async () => {
    const { end, timers, records, refusals } = await world()
    for (let round = 0; round < 2; round += 1) {
      for (let n = 0; n < DEFAULT_EACH + 2; n += 1) end(403, 'origin_not_allowed')
      end(401, 'invalid_api_key')
      await timers.fire(DEFAULT_INTERVAL_MS)
      await refusals.flush()
    }
    const types = (await records()).map(({ type, code, count }) => [type, code, count].join(' ').trim())
    const round = [
      ...Array.from({ length: DEFAULT_EACH }, () => 'request origin_not_allowed'),
      'request invalid_api_key',
      `${REFUSALS} origin_not_allowed 2`,
    ]
    expect(types).toEqual([...round, ...round])
  })

  test('what an interval counted is not lost at shutdown, or while the disk refuses', async () => {
    const { disk, fs } = fragileDisk()
    const { end, records, refusals } = await world({ disk, fs })
    for (let n = 0; n < DEFAULT_EACH + 7; n += 1) end(401, 'invalid_api_key')
    disk.writes = [
      () => {
        throw systemError('ENOSPC')
      },
    ]
    await expect(refusals.flush()).rejects.toMatchObject({ code: 'audit_unavailable' })
    for (let n = 0; n < DEFAULT_EACH + 1; n += 1) end(401, 'invalid_api_key')
    await refusals.flush()
    expect((await records()).at(-1)).toMatchObject({ type: REFUSALS, code: 'invalid_api_key', count: 8 })
    await refusals.flush()
    expect((await records()).filter(({ type }) => type === REFUSALS)).toHaveLength(1)
  })

  test('requests that money was reserved for, or that were served, always have their own record', async () => {
    const { end, records } = await world()
    const paid = (request: Request): void => {
      exchangeOf(request).payment.charge = { id: 'chg_1', state: 'uncertain' } as never
    }
    for (let n = 0; n < 3 * DEFAULT_EACH; n += 1) {
      end(200)
      end(400, 'payment_uncertain', paid)
    }
    expect((await records()).filter(({ type }) => type === 'request')).toHaveLength(6 * DEFAULT_EACH)
  })

  test('log lines and events are bounded and complete likewise', async () => {
    const { end, events, lines, refusals } = await world()
    for (let n = 0; n < 1000; n += 1) end(401, 'invalid_api_key')
    await refusals.flush()
    const logged: unknown[] = []
    const info = (line: unknown): void => void logged.push(line)
    const observe = requestLog({ isLevelEnabled: () => true, info, debug: info } as never)
    for (const event of events) observe(event)
    expect([events.length, logged.length, lines.length]).toEqual([1000, DEFAULT_EACH, 1])
    expect(lines[0]?.[0]).toMatchObject({ code: 'invalid_api_key', count: 1000 - DEFAULT_EACH })
  })

  test('a record that the disk refuses is logged once a minute, not once for each request', async () => {
    const { disk, fs } = fragileDisk()
    const { end, lines } = await world({ disk, fs })
    disk.writes = Array.from({ length: 500 }, () => () => {
      throw systemError('ENOSPC')
    })
    for (let n = 0; n < 500; n += 1) end(200)
    await tick()
    expect(lines).toHaveLength(1)
  })

  test('whatever comes in whatever order, the counts add up and each kind has one record an interval', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(fc.constantFrom(...DOOR), fc.constant('interval' as const)), { maxLength: 120 }),
        async (steps) => {
          const written: [string, Record<string, unknown>][] = []
          const append = async (type: string, fields: Record<string, unknown>): Promise<void> =>
            void written.push([type, fields])
          const clock = { now: () => NOW }
          const log = { warn: () => undefined, error: () => undefined }
          const refusals = tallyRefusals({ audit: { append }, clock, log, timers: new ManualTimers() })
          let own = 0
          for (const step of steps) {
            if (step === 'interval') await refusals.flush()
            else if (refusals.takes(refusedWith(step))) own += 1
          }
          await refusals.flush()
          const intervals = steps.filter((step) => step === 'interval').length + 1
          const counted = written.reduce((sum, [, { count }]) => sum + Number(count), 0)
          expect(own + counted).toBe(steps.length - intervals + 1)
          expect(written.length).toBeLessThanOrEqual(intervals * DOOR.length)
        },
      ),
      { numRuns: 50 },
    )
  })
})

test('a limited log says how many messages it held back', () => {
  let now = NOW
  const limit = new LogLimit({ now: () => now })
  const seen: object[] = []
  const pass = (kind: string): void => limit.pass(kind, (more) => seen.push({ kind, ...more }))
  for (const kind of ['a', 'a', 'b', 'a']) pass(kind)
  now += 60_000
  pass('a')
  pass('b')
  expect(seen).toEqual([{ kind: 'a' }, { kind: 'b' }, { kind: 'a', held_back: 2 }, { kind: 'b' }])
})

function refusedWith(code: ErrorCode) {
  return {
    requestId: 'req_1',
    method: 'POST',
    endpoint: 'other',
    caller: 'anonymous',
    route: 'none',
    payer: 'none',
    model: undefined,
    status: ERROR_TABLE[code].status,
    outcome: 'refused' as const,
    code,
    charge: undefined,
    spent: 'no' as const,
    usage: undefined,
    stream: false,
    truncated: false,
    seconds: 0,
    firstByteSeconds: undefined,
    details: {},
  }
}
