import supertest from 'supertest'
import { describe, expect, it } from 'vitest'
import { TollwayError } from '../../src/core/errors.ts'
import { health } from '../../middleware/health.ts'
import { metrics } from '../../middleware/metrics.ts'
import { HOSTS, inExpress, untyped } from './harness.ts'

describe.each(HOSTS)('health in %s', (_name, host) => {
  it.each(['/health/live', '/health/liveliness', '/healthz'])(
    'answers 200 at %s while the process lives',
    async (path) => {
      const broken = { store: () => Promise.reject(new Error('gone')) }
      const answer = await supertest(host(health({ checks: broken, isShuttingDown: () => true }))).get(path)
      expect([answer.status, answer.body]).toEqual([200, { status: 'ok' }])
    },
  )

  it.each(['/health/ready', '/health/readiness'])(
    'tells at %s what works, and stays 200 when a part does not',
    async (path) => {
      const works = { store: () => Promise.resolve() }
      const ok = await supertest(host(health({ checks: works }))).get(path)
      expect([ok.status, ok.body]).toEqual([200, { status: 'ok', checks: { store: 'ok' } }])
      const checks = { ...works, signer: () => Promise.reject(new Error('secret path')) }
      const degraded = await supertest(host(health({ checks }))).get(path)
      expect([degraded.status, degraded.body]).toEqual([
        200,
        { status: 'degraded', checks: { store: 'ok', signer: 'failed' } },
      ])
      expect(degraded.text).not.toContain('secret')
    },
  )
})

describe('health', () => {
  it('answers readiness with 503 and the code that paid calls get while a required check fails', async () => {
    const refusal = new TollwayError({ code: 'audit_unavailable', message: 'secret path' })
    const required = { ledger: () => Promise.reject(refusal), signer: () => Promise.resolve() }
    const checks = { disk: () => Promise.reject(new Error('low')) }
    const answer = await supertest(inExpress(health({ required, checks }))).get('/health/ready')
    expect([answer.status, answer.body]).toEqual([
      503,
      {
        status: 'unavailable',
        reason: 'audit_unavailable',
        checks: { ledger: 'failed', signer: 'ok', disk: 'failed' },
      },
    ])
  })

  it.each([
    ['hangs', () => new Promise(() => undefined), 'timeout'],
    ['fails without a code', () => Promise.reject(new Error('x')), 'internal_error'],
  ])('answers 503 when a required check %s', async (_name, check, reason) => {
    const options = { required: { ledger: check }, timeoutSeconds: 0.05 }
    const answer = await supertest(inExpress(health(options))).get('/health/ready')
    expect([answer.status, answer.body]).toMatchObject([503, { reason }])
  })

  it('answers readiness with 503 while shutting down', async () => {
    const answer = await supertest(inExpress(health({ isShuttingDown: () => true }))).get('/health/ready')
    expect([answer.status, answer.body]).toEqual([503, { status: 'shutting_down' }])
  })

  it('counts a check as failed that hangs or throws', async () => {
    const checks = {
      hangs: () => new Promise(() => undefined),
      throws: () => {
        throw new Error('x')
      },
    }
    const answer = await supertest(inExpress(health({ checks, timeoutSeconds: 0.05 }))).get('/health/ready')
    expect(answer.body).toEqual({ status: 'degraded', checks: { hangs: 'failed', throws: 'failed' } })
  })

  it('runs its checks once for probes that come together', async () => {
    const release = Promise.withResolvers<void>()
    let runs = 0
    const check = (): Promise<void> => {
      runs += 1
      return release.promise
    }
    const handler = health({ checks: { check } })
    let entered = 0
    const app = inExpress((_req, _res, next) => {
      entered += 1
      next()
      if (entered === 3) release.resolve()
    }, handler)
    const answers = await Promise.all([1, 2, 3].map(() => supertest(app).get('/health/ready')))
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200])
    expect(runs).toBe(1)
    await supertest(app).get('/health/ready')
    expect(runs).toBe(2)
  })

  it('leaves other paths and methods to the next', async () => {
    const app = inExpress(health(), (_req, res) => res.writeHead(204).end())
    expect((await supertest(app).get('/health')).status).toBe(204)
    expect((await supertest(app).post('/healthz')).status).toBe(204)
  })

  it('tells the fix for options that cannot be meant', () => {
    expect(() => health(untyped({ check: {} }))).toThrow('Did you mean "checks"?')
    expect(() => health({ checks: { a: untyped(true) } })).toThrow(/checks\.a: a check is a function/)
    expect(() => health({ timeoutSeconds: 0 })).toThrow(/timeoutSeconds/)
  })
})

describe('metrics middleware', () => {
  it('serves the text at /metrics, whole or mounted there, and nothing else', async () => {
    const source = {
      contentType: 'text/plain; version=0.0.4; charset=utf-8',
      text: () => Promise.resolve('a 1\n'),
    }
    const app = inExpress(metrics({ metrics: source }), (_req, res) => res.writeHead(204).end())
    const answer = await supertest(app).get('/metrics')
    expect([answer.status, answer.text, answer.headers['content-type']]).toEqual([
      200,
      'a 1\n',
      source.contentType,
    ])
    expect((await supertest(app).get('/metrics/x')).status).toBe(204)
    expect((await supertest(app).post('/metrics')).status).toBe(204)
  })

  it('hands a failing source to the error handler', async () => {
    const source = { contentType: 'text/plain', text: () => Promise.reject(new Error('x')) }
    expect((await supertest(inExpress(metrics({ metrics: source }))).get('/metrics')).status).toBe(500)
  })
})
