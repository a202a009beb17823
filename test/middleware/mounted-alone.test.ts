import type { ServerResponse } from 'node:http'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import * as parts from '../../middleware/index.ts'
import type { ClosableHandler, ErrorHandler, Handler, Next, Request } from '../../middleware/index.ts'
import { toyPayer } from '../../src/testing/toy-payer.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'
import { codeOf, messageOf, post, send, serve, type Sent } from './harness.ts'
import { EXPRESS, type Host } from './hosts.ts'

const CHAT = '/v1/chat/completions'
const QUESTION = { model: 'paid/m', messages: [] }
const BUDGETS = [{ name: 'day', limitUsd: '1.00', window: 'day' }]

let directory: string
let seller: ScriptedSeller
const opened: ClosableHandler[] = []

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tollway-alone-'))
  seller = await startScriptedSeller()
})

afterEach(async () => {
  for (const part of opened.splice(0)) await part.close()
  await seller.close()
  await rm(directory, { recursive: true, force: true })
})

/** Sees to it that what a middleware opened is closed. */
function kept<T extends Handler | ErrorHandler>(handler: T): T {
  if ('close' in handler) opened.push(handler as unknown as ClosableHandler)
  return handler
}

const routes = (): parts.PlainRoute[] => [{ modelName: 'paid/*', apiBase: seller.apiBase, payer: 'toy' }]

/** Every factory with the fewest options that its documentation shows. */
const ALONE: Readonly<Record<string, () => Handler | ErrorHandler>> = {
  auditLogger: () => parts.auditLogger({ path: join(directory, 'audit.jsonl') }),
  budgetGuard: () => parts.budgetGuard({ budgets: BUDGETS }),
  caller: () => parts.caller({ callers: [{ id: 'ann', keyDigest: parts.hashKey('key') }] }),
  callerLimits: () => parts.callerLimits(),
  clawrouter: () => parts.clawrouter({ routes: routes() }),
  errorHandler: () => parts.errorHandler(),
  health: () => parts.health(),
  idempotency: () => parts.idempotency(),
  metrics: () => parts.metrics(),
  modelRouter: () => parts.modelRouter({ routes: routes() }),
  models: () => parts.models({ routes: routes() }),
  notFound: () => parts.notFound(),
  originGuard: () => parts.originGuard(),
  passThrough: () => parts.passThrough({ unlisted: 'next' }),
  paymentInterceptor: () => parts.paymentInterceptor({ payers: { toy: toyPayer() } }),
  readBody: () => parts.readBody(),
  sseRestreamer: () => parts.sseRestreamer(),
}

/** What a request meets in an app with one middleware and a handler of the host's behind it: `host` is the latter. */
const SITUATIONS: Readonly<Record<string, (port: number) => Promise<Sent>>> = {
  'a model request': (port) => post(port, CHAT, QUESTION),
  'a page of the host': (port) => send(port, { path: '/page' }),
  'a model list': (port) => send(port, { path: '/v1/models' }),
  'a catalog': (port) => send(port, { path: '/v1/catalog' }),
  'a scrape': (port) => send(port, { path: '/metrics' }),
  'a probe': (port) => send(port, { path: '/health/live' }),
  'a page of another site': (port) =>
    send(port, { path: '/page', headers: { origin: 'https://elsewhere.example.com' } }),
  'an error of the host': (port) => send(port, { path: '/throws' }),
}

const HOSTS_ERROR = "418 the host's own"

/** What differs from `host`, by factory and situation. */
const EXPECTED: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  budgetGuard: {
    'a model request': '500 setup_error: Mount readBody() and modelRouter() before budgetGuard().',
  },
  caller: Object.fromEntries(Object.keys(SITUATIONS).map((name) => [name, '401 invalid_api_key'])),
  clawrouter: { 'a catalog': '200' },
  health: { 'a probe': '200' },
  idempotency: {
    'a model request': '500 setup_error: Mount readBody() and modelRouter() before idempotency().',
  },
  metrics: { 'a scrape': '200' },
  modelRouter: { 'a model request': '500 setup_error: Mount readBody() before modelRouter().' },
  models: { 'a model list': '200' },
  notFound: Object.fromEntries(Object.keys(SITUATIONS).map((name) => [name, '404 not_found'])),
  originGuard: { 'a page of another site': '403 origin_not_allowed' },
  paymentInterceptor: {
    'a model request': '500 setup_error: Mount readBody() and modelRouter() before paymentInterceptor().',
  },
}

function appWith(host: Host, ...handlers: (Handler | ErrorHandler)[]): ReturnType<Host['app']> {
  const app = host.app()
  const [errors, own] = [
    handlers.filter(isErrorHandler),
    handlers.filter((handler) => !isErrorHandler(handler)),
  ]
  for (const handler of own) app.use(kept(handler))
  app.use('/throws', (_req: unknown, _res: unknown, next: Next) => next(new Error("the host's own")))
  app.use((_req: unknown, res: ServerResponse) => void res.end('host'))
  for (const handler of errors) app.use(handler)
  const answerErrors: ErrorHandler = (error, _req, res, _next) => {
    const isOurs = error instanceof parts.TollwayError
    res.statusCode = isOurs ? error.status : 418
    res.end(isOurs ? JSON.stringify(error.toBody()) : String(error).replace('Error: ', ''))
  }
  app.use(answerErrors)
  return app
}

function isErrorHandler(handler: Handler | ErrorHandler): handler is ErrorHandler {
  return handler.length === 4
}

function told(answer: Sent, wanted: string): string {
  if (answer.status === 418) return `418 ${answer.body.toString()}`
  if (answer.body.toString() === 'host') return 'host'
  if (answer.status < 400) return String(answer.status)
  const advice = /: (.*)$/.exec(wanted)?.[1]
  const hint = advice !== undefined && messageOf(answer).includes(advice) ? `: ${advice}` : ''
  return `${answer.status} ${String(codeOf(answer))}${hint}`
}

it('has a row for every factory that is exported', () => {
  const factories = Object.entries(parts)
    .filter(([name, value]) => typeof value === 'function' && /^[a-z]/.test(name))
    .map(([name]) => name)
  const helpers = new Set([
    'assertOrder',
    'clientErrorHandler',
    'compileRoutes',
    'createMetrics',
    'createUpstream',
    'exchangeOf',
    'hashKey',
    'isWebSocketUpgrade',
    'mayUse',
    'openLedger',
    'reportUsage',
    'takesReply',
    'upgradeHandler',
    'restream',
  ])
  expect(factories.filter((name) => !helpers.has(name)).toSorted()).toEqual(Object.keys(ALONE).toSorted())
})

describe.each(EXPRESS)('alone in $name', (host) => {
  const table = Object.keys(ALONE).flatMap((name) =>
    Object.keys(SITUATIONS).map((situation) => [name, situation] as const),
  )

  it.each(table)('%s: %s', async (name, situation) => {
    const port = await serve(appWith(host, ALONE[name]?.() ?? parts.notFound()))
    const usual = situation === 'an error of the host' ? HOSTS_ERROR : 'host'
    const wanted = EXPECTED[name]?.[situation] ?? usual
    const answer = await SITUATIONS[situation]?.(port)
    expect(answer && told(answer, wanted)).toBe(wanted)
    expect(seller.payments).toEqual([])
  })
})

it('the table of docs/mounted-alone.md says what the tests above expect', async () => {
  const situations = Object.keys(SITUATIONS)
  const cell = (name: string, situation: string): string => {
    const wanted = EXPECTED[name]?.[situation]
    return wanted === undefined ? 'passes' : wanted.replace(/^(\d+ \w+).*$/, '`$1`')
  }
  const rows = Object.keys(ALONE).map((name) => [
    `\`${name}\``,
    ...situations.map((situation) => cell(name, situation)),
  ])
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  const page = [
    '# Each middleware alone',
    '',
    '<!-- Made by `npx vitest run test/middleware/mounted-alone.test.ts -u` from what that test checks in Express 4 and 5. -->',
    '',
    'What a request meets in an app that has one middleware, with the fewest options that its page shows, and a handler of its own behind it. `passes`: the',
    "handler answers (an error of the host reaches the host's own error handler). `setup_error` names what is missing and where to mount it. Nothing was paid",
    'in any of these.',
    '',
    line(['Middleware', ...situations]),
    line(['---', ...situations.map(() => '---')]),
    ...rows.map(line),
    '',
  ]
  await expect(page.join('\n')).toMatchFileSnapshot('../../docs/mounted-alone.md')
})

/** A chain of parts with plain options only. */
function chain(change: Readonly<Record<string, Handler | undefined>> = {}): Handler[] {
  const all: Readonly<Record<string, Handler | undefined>> = {
    auditLogger: parts.auditLogger({ path: join(directory, 'audit.jsonl') }),
    readBody: parts.readBody(),
    modelRouter: parts.modelRouter({ routes: routes(), unclaimed: 'next' }),
    idempotency: parts.idempotency({ store: `sqlite:${join(directory, 'tollway.db')}` }),
    budgetGuard: parts.budgetGuard({ budgets: BUDGETS }),
    paymentInterceptor: parts.paymentInterceptor({ payers: { toy: toyPayer() } }),
    sseRestreamer: parts.sseRestreamer(),
    ...change,
  }
  return Object.values(all).filter((handler) => handler !== undefined)
}

async function audit(): Promise<string[]> {
  const text = await readFile(join(directory, 'audit.jsonl'), 'utf8')
  return text
    .trimEnd()
    .split('\n')
    .map((line) => String((JSON.parse(line) as Record<string, unknown>)['type']))
}

describe.each(EXPRESS)('parts with plain options in $name', (host) => {
  it('pay, and record every step before it happens', async () => {
    const port = await serve(appWith(host, ...chain(), parts.errorHandler()))
    const answer = await post(port, CHAT, QUESTION)
    expect([answer.status, answer.headers['x-tollway-spent'], answer.headers['x-tollway-cost-usd']]).toEqual([
      200,
      'yes',
      '0.001',
    ])
    expect(seller.payments).toHaveLength(1)
    await vi.waitFor(async () => expect(await audit()).toContain('request'))
    expect(await audit()).toEqual([
      'instance.started',
      'charge.held',
      'charge.authorized',
      'charge.settled',
      'request',
    ])
  })

  it('hand on what no route claims, unread: to a parser, and parsed as req.body', async () => {
    const app = host.app()
    for (const handler of chain()) app.use(kept(handler))
    app.post('/v1/chat/completions', (req, _res, next) => {
      expect(req.body).toEqual({ model: 'other', n: 1 })
      next()
    })
    app.use(
      host.json({ verify: (req: object, _res: object, bytes: Buffer) => Object.assign(req, { bytes }) }),
    )
    app.use(
      (req: Request, res: ServerResponse) =>
        void res.end(Buffer.from((req as unknown as { bytes: Buffer }).bytes)),
    )
    const answer = await post(await serve(app), CHAT, '{ "model": "other",  "n": 1 }')
    expect(answer.body.toString()).toBe('{ "model": "other",  "n": 1 }')
    expect(seller.requests).toEqual([])
  })

  it.each([
    ['the re-streamer is missing', { sseRestreamer: undefined }, 'Mount sseRestreamer() behind it'],
    [
      'an own handler stands in its place',
      { sseRestreamer: (_q: unknown, _s: unknown, next: () => void) => next() },
      'takesReply()',
    ],
    [
      'the budget guard is missing',
      { budgetGuard: undefined },
      'Mount budgetGuard() before paymentInterceptor()',
    ],
    ['the router is missing', { modelRouter: undefined }, 'Mount readBody() and modelRouter() before'],
    ['the body is not read', { readBody: undefined }, 'Mount readBody() before modelRouter()'],
  ])('refuse the first request before anything is asked or signed: %s', async (_case, change, fix) => {
    const lines: string[] = []
    const log = { error: (_fields: object, line: string) => void lines.push(line), warn: () => undefined }
    const handlers = chain(change)
    const port = await serve(appWith(host, ...handlers, parts.errorHandler({ log })))
    const answer = await post(port, CHAT, QUESTION)
    expect([answer.status, codeOf(answer)]).toEqual([500, 'setup_error'])
    expect(messageOf(answer)).toContain(fix)
    expect(lines).toEqual(['the middlewares are mounted wrongly'])
    expect(seller.requests).toEqual([])
  })

  it('refuse a second interceptor, express.json() in front, and a chain that nobody can look at', async () => {
    const plain = {
      auditLogger: undefined,
      idempotency: undefined,
      budgetGuard: parts.budgetGuard({ budgets: BUDGETS, store: 'memory' }),
    }
    const twice = chain(plain)
    twice.splice(3, 0, parts.paymentInterceptor({ payers: { toy: toyPayer() } }))
    const parsed = [host.json(), ...chain(plain)]
    const hidden = chain(plain).map(
      (handler): Handler =>
        (req, res, next) =>
          handler(req, res, next),
    )
    const cases = [
      [twice, 'mounted twice'],
      [parsed, 'Mount readBody() before express.json()'],
      [hidden, 'call assertOrder([…]) once'],
    ] as const
    for (const [handlers, fix] of cases) {
      const answer = await post(await serve(appWith(host, ...handlers, parts.errorHandler())), CHAT, QUESTION)
      expect([answer.status, codeOf(answer)]).toEqual([500, 'setup_error'])
      expect(messageOf(answer)).toContain(fix)
    }
    expect(seller.requests).toEqual([])
  })

  it('work in a router under a path, and behind express.json() where readBody takes what it read', async () => {
    const app = host.app()
    const router = host.router()
    for (const handler of chain()) router.use(kept(handler))
    app.use('/ai', router)
    expect((await post(await serve(app), `/ai${CHAT}`, QUESTION)).status).toBe(200)
    await rm(join(directory, 'audit.jsonl.lock'), { force: true })
    const raw = host.json({
      verify: (req: object, _res: object, rawBody: Buffer) => Object.assign(req, { rawBody }),
    })
    for (const [parser, sent] of [
      [raw, '{ "model": "paid/m", "seed": 9007199254740993 }'],
      [host.json(), '{"model":"paid/m","seed":9007199254740992}'],
    ] as const) {
      const handlers = chain({
        readBody: parts.readBody({ parsedBody: true }),
        auditLogger: undefined,
        idempotency: undefined,
        budgetGuard: parts.budgetGuard({ budgets: BUDGETS, store: 'memory' }),
      })
      const port = await serve(appWith(host, parser, ...handlers, parts.errorHandler()))
      seller.requests.length = 0
      const answer = await post(port, CHAT, '{ "model": "paid/m", "seed": 9007199254740993 }')
      expect(answer.status).toBe(200)
      // The route renames the model to what its pattern matched.
      expect(seller.payments[0]?.body.toString()).toBe(sent)
    }
  })

  it('refuse to pay from a ledger that nobody asked to keep in memory, and pay from one that somebody did', async () => {
    const without = chain({ idempotency: undefined })
    const refused = await post(await serve(appWith(host, ...without, parts.errorHandler())), CHAT, QUESTION)
    expect([refused.status, codeOf(refused)]).toEqual([500, 'setup_error'])
    expect(messageOf(refused)).toContain("store: 'sqlite:./tollway.db'")
    expect(seller.requests).toEqual([])
    const named = chain({ auditLogger: undefined, idempotency: parts.idempotency({ store: 'memory' }) })
    expect(
      (await post(await serve(appWith(host, ...named, parts.errorHandler())), CHAT, QUESTION)).status,
    ).toBe(200)
  })

  it('refuse two ledgers in one chain: a repeat would be looked for in the wrong one', async () => {
    const two = chain({ budgetGuard: parts.budgetGuard({ budgets: BUDGETS, store: 'memory' }) })
    const answer = await post(await serve(appWith(host, ...two, parts.errorHandler())), CHAT, QUESTION)
    expect([answer.status, codeOf(answer)]).toEqual([500, 'setup_error'])
    expect(messageOf(answer)).toContain('Give both the same store')
    expect(seller.requests).toEqual([])
  })
})
