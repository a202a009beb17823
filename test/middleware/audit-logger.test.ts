import { connect } from 'node:net'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { auditLogger } from '../../middleware/audit-logger.ts'
import { caller } from '../../middleware/caller.ts'
import { exchangeOf } from '../../middleware/http/exchange-of.ts'
import { outcomeOf } from '../../src/core/request/outcome.ts'
import { spentOf } from '../../src/core/request/exchange.ts'
import type { Handler } from '../../middleware/http/handler.ts'
import type { ChargeState } from '../../src/core/charge/charge.ts'
import { TollwayError, type ErrorCode } from '../../src/core/errors.ts'
import { ERROR_TABLE } from '../../src/core/error-table.ts'
import type { TollwayEvent } from '../../src/core/telemetry/events.ts'
import { hashKey } from '../../src/io/callers/hash-key.ts'
import { chargeIn, filled, HOSTS, bare, send, serve, untyped } from './harness.ts'

interface Watched {
  readonly records: { readonly type: string; readonly fields: Record<string, unknown> }[]
  readonly events: TollwayEvent[]
  readonly handler: Handler
}

function watched(append?: () => Promise<unknown>): Watched {
  const records: Watched['records'] = []
  const events: TollwayEvent[] = []
  let now = 1000
  const handler = auditLogger({
    audit: {
      append: async (type, fields) => {
        records.push({ type, fields })
        return await append?.()
      },
    },
    observers: [(event) => events.push(event)],
    clock: { now: () => (now += 250) },
  })
  return { records, events, handler }
}

describe.each(HOSTS)('auditLogger in %s', (_name, host) => {
  it('writes one record of an answered request and tells the observers', async () => {
    const { records, events, handler } = watched()
    const fill = filled({
      endpoint: '/chat/completions',
      caller: { id: 'openclaw' },
      request: { model: 'paid/qwen' },
      routing: { route: 'paid/*', payer: 'base' },
      payment: { charge: chargeIn('settled') },
      relay: { usage: { inputTokens: 3, outputTokens: 5 }, firstByteAt: 1375 },
      record: { details: { seller: 'ok\u0000é' } },
    })
    const port = await serve(host(handler, fill, (_req, res) => void res.end('{}')))
    await send(port, { method: 'POST', headers: { 'x-request-id': 'r1' } })
    await expect.poll(() => records).toHaveLength(1)
    expect(records[0]).toEqual({
      type: 'request',
      fields: {
        requestId: 'r1',
        method: 'POST',
        endpoint: '/chat/completions',
        caller: 'openclaw',
        route: 'paid/*',
        payer: 'base',
        model: 'paid/qwen',
        remoteModel: 'paid/qwen',
        status: 200,
        outcome: 'paid',
        code: null,
        conversion: null,
        charge: 'chg_0000000000000000000000AB',
        spent: 'yes',
        inputTokens: 3,
        outputTokens: 5,
        stream: false,
        truncated: false,
        seconds: '0.250',
        firstByteSeconds: '0.125',
        details: { seller: 'ok??' },
      },
    })
    expect(events).toMatchObject([
      { type: 'request', summary: { outcome: 'paid', seconds: 0.25, usage: { outputTokens: 5 } } },
    ])
  })

  it('writes refusals too, with their code', async () => {
    const { records, handler } = watched()
    const port = await serve(host(handler, caller({ callers: [{ id: 'a', keyDigest: hashKey('k') }] })))
    await send(port)
    await expect.poll(() => records).toHaveLength(1)
    expect(records[0]?.fields).toMatchObject({
      status: 401,
      outcome: 'refused',
      code: 'invalid_api_key',
      spent: 'no',
    })
  })
})

describe('auditLogger', () => {
  it('writes one record, as 499, of a client that left before the answer', async () => {
    const { records, handler } = watched()
    const arrived = Promise.withResolvers<void>()
    const port = await serve(bare(handler, () => arrived.resolve()))
    const socket = connect(port, '127.0.0.1', () => socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'))
    await arrived.promise
    socket.destroy()
    await expect.poll(() => records).toHaveLength(1)
    expect(records[0]?.fields).toMatchObject({ status: 499, outcome: 'failed' })
  })

  it('calls a request uncertain whose client left while its payment was under way', async () => {
    const { records, handler } = watched()
    const arrived = Promise.withResolvers<void>()
    const port = await serve(
      bare(handler, filled({ payment: { charge: chargeIn('authorized') } }), () => arrived.resolve()),
    )
    const socket = connect(port, '127.0.0.1', () => socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'))
    await arrived.promise
    socket.destroy()
    await expect.poll(() => records).toHaveLength(1)
    expect(records[0]?.fields).toMatchObject({ outcome: 'uncertain', spent: 'unknown' })
  })

  it.each([
    () => Promise.reject(new Error('disk full')),
    () => {
      throw new Error('disk full')
    },
  ])('counts and survives a record that cannot be written', async (append) => {
    const { events, handler } = watched(append)
    const port = await serve(bare(handler, (_req, res) => void res.end('fine')))
    expect((await send(port)).body.toString()).toBe('fine')
    await expect.poll(() => events.map(({ type }) => type)).toEqual(['request', 'audit_failed'])
    expect((await send(port)).status).toBe(200)
  })

  it('survives an observer that throws, and still tells the others', async () => {
    const told: string[] = []
    const handler = auditLogger({
      audit: { append: () => Promise.resolve() },
      observers: [
        () => {
          throw new Error('x')
        },
        (event) => void told.push(event.type),
      ],
    })
    expect((await send(await serve(bare(handler, (_req, res) => void res.end())))).status).toBe(200)
    await expect.poll(() => told).toEqual(['request'])
  })

  it('keeps details short and few', async () => {
    const { records, handler } = watched()
    const details = Object.fromEntries(
      Array.from({ length: 100 }, (_, at) => [`k${at}`, at === 0 ? 'x'.repeat(9000) : Number.NaN]),
    )
    await send(await serve(bare(handler, filled({ record: { details } }), (_req, res) => void res.end())))
    await expect.poll(() => records).toHaveLength(1)
    const kept = untyped<Record<string, unknown>>(records[0]?.fields['details'])
    expect(Object.keys(kept)).toHaveLength(32)
    expect(kept['k0']).toHaveLength(500)
    expect(kept['k1']).toBe('NaN')
  })

  it('tells the fix for options that cannot be meant', () => {
    expect(() => auditLogger({ audit: untyped({}) })).toThrow(/audit: give the audit file/)
    expect(() => auditLogger(untyped({ audits: {} }))).toThrow('Did you mean "audit"?')
    expect(() => auditLogger({ audit: { append: async () => undefined }, observers: [untyped(1)] })).toThrow(
      /observers\.0/,
    )
  })
})

const of = (code: ErrorCode): string =>
  outcomeOf(untyped({ payment: {}, record: { code } }), new TollwayError({ code, message: 'x' }).status)

describe('outcomeOf', () => {
  it('never calls a request free, refused or failed when money may have moved', async () => {
    const port = await serve((req, res) => {
      const states: (ChargeState | undefined)[] = [
        undefined,
        'held',
        'authorized',
        'settled',
        'uncertain',
        'released',
      ]
      const codes: (ErrorCode | undefined)[] = [undefined, ...untyped<ErrorCode[]>(Object.keys(ERROR_TABLE))]
      fc.assert(
        fc.property(
          fc.constantFrom(...states),
          fc.constantFrom(...codes),
          fc.integer({ min: 100, max: 599 }),
          (state, code, status) => {
            const exchange = exchangeOf(req)
            exchange.payment.charge = state && chargeIn(state)
            exchange.record.code = code
            const outcome = outcomeOf(exchange, status)
            expect(['paid', 'uncertain'].includes(outcome)).toBe(spentOf(exchange) !== 'no')
          },
        ),
      )
      res.end('held')
    })
    expect((await send(port)).body.toString()).toBe('held')
  })

  it('tells refusals from failures', () => {
    expect(of('budget_exhausted')).toBe('refused')
    expect(of('price_above_limit')).toBe('refused')
    expect(of('seller_unavailable')).toBe('failed')
    expect(of('seller_error')).toBe('failed')
    expect(of('internal_error')).toBe('failed')
  })
})
