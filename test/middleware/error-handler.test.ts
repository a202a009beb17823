import * as fc from 'fast-check'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import supertest from 'supertest'
import { clientErrorHandler } from '../../middleware/client-error-handler.ts'
import { errorHandler, notFound } from '../../middleware/error-handler.ts'
import { exchangeOf } from '../../middleware/http/exchange-of.ts'
import type { Handler } from '../../middleware/http/handler.ts'
import { ConfigError, TollwayError, type ErrorCode } from '../../src/core/errors.ts'
import { ERROR_TABLE } from '../../src/core/error-table.ts'
import type { ChargeState } from '../../src/core/charge/charge.ts'
import { stubRun } from '../kit/stub-run.ts'
import {
  bare,
  chargeIn,
  codeOf,
  filled,
  HOSTS,
  inExpress,
  post,
  raw,
  send,
  serve,
  untyped,
} from './harness.ts'

const CODES = untyped<ErrorCode[]>(Object.keys(ERROR_TABLE))

function failing(error: unknown): Handler {
  return (_req, _res, next) => next(error)
}

describe.each(HOSTS)('errorHandler in %s', (_name, host) => {
  it('answers with the status, headers and body of the error', async () => {
    const error = new TollwayError({
      code: 'model_unreadable',
      message: 'No model.',
      advice: ['Name one.'],
      param: 'model',
      headers: { 'x-extra': '1' },
    })
    const answer = await send(await serve(host(failing(error))), { headers: { 'x-request-id': 'mine' } })
    expect(answer.status).toBe(400)
    expect(answer.json()).toEqual({
      error: {
        message: 'No model. Name one.',
        type: 'invalid_request_error',
        param: 'model',
        code: 'model_unreadable',
        docs: 'docs/errors.md#model_unreadable',
      },
    })
    expect(answer.headers).toMatchObject({
      'content-type': 'application/json',
      'x-request-id': 'mine',
      'x-tollway-spent': 'no',
      'x-should-retry': 'false',
      'x-extra': '1',
    })
  })

  it('speaks Anthropic on its endpoints', async () => {
    const error = new TollwayError({ code: 'invalid_api_key', message: 'No key.' })
    for (const path of ['/v1/messages', '/messages/count_tokens']) {
      const answer = await post(await serve(host(failing(error))), path, {})
      expect(answer.json()).toEqual({
        type: 'error',
        error: { type: 'authentication_error', message: 'No key.' },
      })
    }
  })

  it.each([new Error('secret words'), new ConfigError('secret words'), 'secret words', { secret: 'words' }])(
    'says nothing of a fault that is not ours: %s',
    async (fault) => {
      const answer = await send(await serve(host(failing(fault))))
      expect([answer.status, codeOf(answer)]).toEqual([500, 'internal_error'])
      expect(answer.body.toString()).not.toContain('secret')
    },
  )
})

const answerTo = async (error: unknown, state: ChargeState): Promise<supertest.Response> =>
  await supertest(inExpress(filled({ payment: { charge: chargeIn(state) } }), failing(error))).get('/')

describe('errorHandler and money', () => {
  const states: readonly ChargeState[] = ['held', 'authorized', 'settled', 'uncertain', 'released']

  it('never sends a status clients retry on once money may have moved, whatever went wrong', async () => {
    const faults = fc.oneof(
      fc.constantFrom(...CODES).map((code) => new TollwayError({ code, message: 'x' })),
      fc
        .integer({ min: 400, max: 599 })
        .map((status) => new TollwayError({ code: 'seller_error', message: 'x', status })),
      fc.constant(new Error('x')),
    )
    await fc.assert(
      fc.asyncProperty(
        faults,
        fc.constantFrom<ChargeState>('authorized', 'settled', 'uncertain'),
        async (fault, state) => {
          const answer = await answerTo(fault, state)
          expect(answer.status).toBeLessThan(500)
          expect([408, 409, 429]).not.toContain(answer.status)
          expect(answer.headers['x-tollway-spent']).toBe(state === 'settled' ? 'yes' : 'unknown')
          expect(answer.headers['x-tollway-cost-usd']).toBe('0.001')
          expect(answer.headers['retry-after']).toBeUndefined()
        },
      ),
      { numRuns: 60 },
    )
  })

  it.each(states)('answers a fault with a charge that is %s', async (state) => {
    const expected = {
      held: 'internal_error',
      released: 'internal_error',
      authorized: 'payment_uncertain',
      uncertain: 'payment_uncertain',
      settled: 'paid_not_delivered',
    }
    const answer = await answerTo(new Error('x'), state)
    expect(answer.body.error.code).toBe(expected[state])
  })

  it.each(states)(
    'rule 5: tells the ledger before the client that a charge that is %s has no answer',
    async (state) => {
      const happened: string[] = []
      const run = stubRun(() => happened.push('lost'))
      const watch: Handler = (_req, res, next) => {
        res.once('finish', () => happened.push('told'))
        next()
      }
      const chain = inExpress(
        filled({ payment: { charge: chargeIn(state), run } }),
        watch,
        failing(new Error('x')),
      )
      await supertest(chain).get('/')
      const wasSent = state !== 'held' && state !== 'released'
      expect(happened).toEqual(wasSent ? ['lost', 'told'] : ['told'])
    },
  )

  it('keeps an error that already tells of the payment', async () => {
    const answer = await answerTo(
      new TollwayError({ code: 'payment_rejected', message: 'The seller says no.' }),
      'uncertain',
    )
    expect(answer.body.error).toMatchObject({ code: 'payment_rejected', message: 'The seller says no.' })
  })
})

const cutOff: Handler = (_req, res, next) => {
  res.writeHead(200, { 'content-length': '100' })
  res.write('half', () => next(new Error('broken')))
}

const begin: Handler = (_req, res, next) => {
  res.setHeader('content-encoding', 'gzip')
  res.setHeader('content-length', '5')
  res.setHeader('etag', '"x"')
  res.setHeader('strict-transport-security', 'max-age=1')
  next(new Error('broken'))
}

const finish: Handler = (_req, res, next) => {
  res.end('whole', () => next(new Error('late')))
}

describe('errorHandler and the answer under way', () => {
  it('cuts an answer that has begun, so that it cannot pass for a whole one', async () => {
    await expect(send(await serve(bare(cutOff)))).rejects.toThrow(/aborted|ECONNRESET/)
  })

  it('drops the headers of the answer that did not come', async () => {
    const answer = await send(await serve(bare(begin)))
    expect(answer.headers).not.toHaveProperty('content-encoding')
    expect(answer.headers).not.toHaveProperty('etag')
    expect(answer.headers['strict-transport-security']).toBe('max-age=1')
    expect(codeOf(answer)).toBe('internal_error')
  })

  it('leaves a finished answer alone', async () => {
    expect((await send(await serve(bare(finish)))).body.toString()).toBe('whole')
  })

  it('records code, outcome and facts, and logs faults of ours with the request id', async () => {
    const logged: Readonly<Record<string, unknown>>[] = []
    const onError = errorHandler({
      log: { error: (fields) => void logged.push(fields), warn: () => undefined },
      hostErrors: 'answer',
    })
    const told: unknown[] = []
    const answerWith = async (error: unknown): Promise<void> => {
      const port = await serve((req, res) => {
        onError(error, req, res, () => undefined)
        const { code, outcome, details } = exchangeOf(req).record
        told.push({ code, outcome, details })
      })
      await send(port, { headers: { 'x-request-id': 'r1' } })
    }
    await answerWith(new TollwayError({ code: 'price_above_limit', message: 'x', details: { asked: '9' } }))
    await answerWith(new TollwayError({ code: 'seller_unavailable', message: 'x' }))
    const fault = new TypeError('x')
    await answerWith(fault)
    expect(told).toEqual([
      { code: 'price_above_limit', outcome: 'refused', details: { asked: '9' } },
      { code: 'seller_unavailable', outcome: 'failed', details: {} },
      { code: 'internal_error', outcome: 'failed', details: { fault: 'TypeError' } },
    ])
    expect(logged).toEqual([{ err: fault, requestId: 'r1' }])
  })

  it('without a log writes one line to standard error for a fault of its own, and none for refusals', async () => {
    const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
    onTestFinished(() => write.mockRestore())
    const onError = errorHandler({ hostErrors: 'answer' })
    const errors = [
      new TypeError('two\nlines'),
      new TollwayError({ code: 'price_above_limit', message: 'x' }),
    ]
    const port = await serve((req, res) => onError(errors.shift(), req, res, () => undefined))
    for (const id of ['r1', 'r2']) await send(port, { headers: { 'x-request-id': id } })
    const lines = write.mock.calls.map(([text]) => String(text)).filter((text) => text.startsWith('tollway:'))
    expect(lines).toEqual([
      'tollway: a request failed with an internal error: TypeError: two lines (request r1)\n',
    ])
  })

  it('tells the fix for options that cannot be meant', () => {
    expect(() => errorHandler(untyped({ logger: console }))).toThrow('Did you mean "log"?')
    expect(() => errorHandler({ log: untyped({}) })).toThrow(/log: give a log with error/)
  })
})

describe('notFound', () => {
  it('answers every path with 404 not_found', async () => {
    const answer = await supertest(inExpress(notFound())).post('/v1/nothing?key=sk-1')
    expect(answer.status).toBe(404)
    expect(answer.body.error.code).toBe('not_found')
    expect(answer.body.error.message).toContain('POST /v1/nothing is not served here')
    expect(answer.body.error.message).not.toContain('sk-1')
  })
})

const hang: Handler = (_req, res) => {
  res.writeHead(200, { 'content-length': '10' }).write('half')
}

describe('clientErrorHandler', () => {
  it.each([
    ['GARBAGE\r\n\r\n', 400],
    [`GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, 431],
  ])('answers what the parser refuses in our shape: %#', async (text, status) => {
    const port = await serve(bare(), (server) => server.on('clientError', clientErrorHandler))
    const answer = await raw(port, text)
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    expect(answer).toContain('x-tollway-spent: no')
    const { error } = untyped<{ error: { type: string } }>(JSON.parse(answer.split('\r\n\r\n')[1] ?? ''))
    expect(error.type).toBe('invalid_request_error')
  })

  it('writes nothing into an answer that is under way', async () => {
    const port = await serve(bare(hang), (server) => server.on('clientError', clientErrorHandler))
    const answer = await raw(port, 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGARBAGE\r\n\r\n')
    expect(answer).not.toContain('invalid_request_error')
  })
})
