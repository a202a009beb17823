/** Mistakes in the mounting that a first look does not show: each is told before anything is paid. */
import type { ServerResponse } from 'node:http'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import compression from 'compression'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import * as parts from '../../middleware/index.ts'
import type { ErrorHandler, Handler, Next, Request } from '../../middleware/index.ts'
import { tollway } from '../../src/app/embedding/tollway.ts'
import { createLogger } from '../../src/app/logging/logger.ts'
import { toyPayer } from '../../src/testing/toy-payer.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'
import { codeOf, messageOf, post, send, serve, untyped, type Sent } from './harness.ts'
import { EXPRESS, type Host } from './hosts.ts'

const CHAT = '/v1/chat/completions'
const QUESTION = { model: 'paid/m', messages: [] }
const BUDGETS = [{ name: 'day', limitUsd: '1.00', window: 'day' as const }]

let seller: ScriptedSeller
let lines: string[]

beforeEach(async () => {
  seller = await startScriptedSeller()
  lines = []
})

afterEach(async () => await seller.close())

type Part = Handler | ErrorHandler

const PLACES = ['readBody', 'modelRouter', 'budgetGuard', 'paymentInterceptor', 'sseRestreamer'] as const
type Place = (typeof PLACES)[number]

/** A chain that works, with other handlers in some places. */
function chain(change: Partial<Record<Place | 'last', readonly Part[]>> = {}): Part[] {
  const routes = [{ modelName: 'paid/*', apiBase: seller.apiBase, payer: 'toy' }]
  const sound: Record<Place, () => Part> = {
    readBody: () => parts.readBody(),
    modelRouter: () => parts.modelRouter({ routes, unclaimed: 'next' }),
    budgetGuard: () => parts.budgetGuard({ budgets: BUDGETS, store: 'memory' }),
    paymentInterceptor: () => parts.paymentInterceptor({ payers: { toy: toyPayer() } }),
    sseRestreamer: () => parts.sseRestreamer(),
  }
  const log = { error: (_fields: object, line: string) => void lines.push(line), warn: () => undefined }
  return [
    ...PLACES.flatMap((place) => change[place] ?? [sound[place]()]),
    ...(change.last ?? []),
    parts.errorHandler({ log }),
  ]
}

function appOf(host: Host, ...handlers: readonly Part[]): ReturnType<Host['app']> {
  const app = host.app()
  for (const handler of handlers) app.use(handler)
  return app
}

/**
 * Stands in for a middleware of a second copy of the package, as npm installs one where two versions are asked for: it is
 * marked as such a one, has seen the request, and left nothing that this copy could read.
 */
function ofAnotherCopy(name: string): Handler {
  const copy = Symbol('another copy')
  const handler: Handler = (req, _res, next) => {
    const { [SEEN_BY]: seen = new Set() } = untyped<{ [SEEN_BY]?: Set<symbol> }>(req)
    Object.defineProperty(req, SEEN_BY, { configurable: true, value: seen.add(copy) })
    next()
  }
  Object.defineProperty(handler, 'name', { value: name })
  const marked = name === 'sseRestreamer' ? parts.takesReply(handler) : handler
  return Object.defineProperty(marked, Symbol.for('tollway.copy'), { configurable: true, value: copy })
}

const SEEN_BY: unique symbol = Symbol.for('tollway.copies')

function expectRefused(answer: Sent, fix: string): void {
  expect([answer.status, codeOf(answer)]).toEqual([500, 'setup_error'])
  expect(messageOf(answer)).toContain(fix)
  expect(messageOf(answer)).toContain('Nothing was paid')
  expect(lines).toEqual(['the middlewares are mounted wrongly'])
  expect(seller.requests).toEqual([])
}

describe.each(EXPRESS)('mounted wrongly in $name', (host) => {
  const between: readonly (readonly [string, Handler])[] = [
    ['answers', (_req, res) => void res.end('own')],
    [
      'throws',
      () => {
        throw new Error('own')
      },
    ],
    ['stops', () => undefined],
    ['leaves the router', (_req, _res, next) => next('router')],
    ['would compress', untyped<Handler>(compression())],
    ['ends with 404', parts.notFound()],
  ]
  it.each(between)('a handler that %s in front of the re-streamer is refused', async (_what, own) => {
    const handlers = chain({ sseRestreamer: [own, parts.sseRestreamer()] })
    const answer = await post(await serve(appOf(host, ...handlers)), CHAT, QUESTION)
    expectRefused(answer, 'stands between paymentInterceptor() and what takes the answer')
    expect(() => parts.assertOrder(appOf(host, ...handlers))).toThrow('Mount it before paymentInterceptor()')
  })

  it('handlers there for other paths, other methods and errors are none of its business', async () => {
    const app = host.app()
    const [restreamer, ...last] = chain().slice(4)
    for (const handler of chain().slice(0, 4)) app.use(handler)
    app.use('/admin', (_req: Request, res: ServerResponse) => void res.end('own'))
    app.post('/elsewhere', (_req: Request, res: ServerResponse) => void res.end('own'))
    const passError: ErrorHandler = (error, _req, _res, next) => next(error)
    app.use(passError)
    for (const handler of [restreamer, ...last]) if (handler) app.use(handler)
    expect(() => parts.assertOrder(app)).not.toThrow()
    expect((await post(await serve(app), CHAT, QUESTION)).status).toBe(200)
    expect(seller.payments).toHaveLength(1)
  })

  it('a chain is looked at again when something was taken from it', async () => {
    const handlers = chain()
    const app = appOf(host, ...handlers)
    const port = await serve(app)
    expect((await post(port, CHAT, QUESTION)).status).toBe(200)
    const { stack } = untyped<Record<string, { stack: object[] }>>(app)[
      host.name === 'Express 4' ? '_router' : 'router'
    ] ?? { stack: [] }
    stack.splice(
      stack.findIndex((layer) => 'handle' in layer && layer.handle === handlers[4]),
      1,
    )
    seller.requests.length = 0
    expectRefused(await post(port, CHAT, QUESTION), 'Mount sseRestreamer() behind it')
  })

  it('a payer that no route can find is a mistake of the mounting, not an internal error', async () => {
    for (const [payers, has] of [
      [{}, 'it has none'],
      [{ other: toyPayer() }, 'other'],
    ] as const) {
      lines = []
      const handlers = chain({ paymentInterceptor: [parts.paymentInterceptor({ payers })] })
      const answer = await post(await serve(appOf(host, ...handlers)), CHAT, QUESTION)
      expectRefused(answer, `name one of its payers in the route: ${has}`)
    }
  })

  it('a handler that answers and calls next() as well costs nothing', async () => {
    const began: Handler = (_req, res, next) => {
      res.write('own')
      next()
    }
    const handlers = chain()
    const port = await serve(appOf(host, began, ...handlers))
    await expect(post(port, CHAT, QUESTION)).rejects.toThrow()
    expect(lines).toEqual(['the middlewares are mounted wrongly'])
    expect(seller.requests).toEqual([])
  })

  it('factories that were not called say so, in an answer of their own', async () => {
    const { budgetGuard, notFound, sseRestreamer, auditLogger } = parts
    for (const [name, factory] of Object.entries({ budgetGuard, notFound, sseRestreamer, auditLogger })) {
      lines = []
      const mounted = untyped<Handler>((...call: [Request, ServerResponse, Next]) =>
        untyped<(...call: unknown[]) => void>(factory)(...call),
      )
      const answer = await post(await serve(appOf(host, mounted, ...chain())), CHAT, QUESTION)
      expectRefused(answer, `Write app.use(${name}(...))`)
    }
    lines = []
    const answer = await post(
      await serve(
        appOf(
          host,
          untyped<Handler>((req: Request) => tollway(req)),
          ...chain(),
        ),
      ),
      CHAT,
      QUESTION,
    )
    expectRefused(answer, 'Write app.use(tollway(...))')
  })

  it('a body of the host that nobody may set stays the host’s', async () => {
    const fixed: Handler = (req, _res, next) => {
      Object.defineProperty(req, 'body', { get: () => undefined })
      next()
    }
    const answer = await post(await serve(appOf(host, fixed, ...chain())), CHAT, QUESTION)
    expect([answer.status, lines]).toEqual([200, []])
  })

  it.each(['readBody', 'modelRouter', 'budgetGuard', 'sseRestreamer'] as const)(
    'a %s() of a second copy of the package is refused by name of the cause',
    async (place) => {
      const handlers = chain({ [place]: [ofAnotherCopy(place)] })
      expectRefused(
        await post(await serve(appOf(host, ...handlers)), CHAT, QUESTION),
        'Two copies of the package tollway are installed',
      )
    },
  )

  it('never answers with a status that is tried again when a changed response throws after the payment', async () => {
    const changed: Handler = (_req, res, next) => {
      const setHeader = res.setHeader.bind(res)
      res.setHeader = (name, value) => {
        if (name === 'x-tollway-cost-usd') throw new Error('own')
        return setHeader(name, value)
      }
      next()
    }
    const port = await serve(appOf(host, changed, ...chain()))
    await expect(post(port, CHAT, QUESTION)).rejects.toThrow()
    expect(seller.payments).toHaveLength(1)
    expect(lines).toEqual(['a request failed with an internal error'])
  })
})

describe.each(EXPRESS)('tollway(config) mounted wrongly in $name', (host) => {
  let directory: string
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tollway-wrong-'))
  })
  afterEach(async () => await rm(directory, { recursive: true, force: true }))

  const open = (audit: string): ReturnType<typeof tollway> =>
    tollway(
      {
        store: 'memory',
        audit: { path: join(directory, audit) },
        model_list: [{ model_name: 'paid/*', model: '*', api_base: seller.apiBase, payer: 'toy' }],
      },
      { payers: { toy: toyPayer() }, log: createLogger({ level: 'fatal', format: 'json' }) },
    )

  it('an audit file that another has open is told without its path', async () => {
    const first = await open('audit.jsonl')
    const second = open('audit.jsonl')
    const answer = await post(await serve(appOf(host, second)), CHAT, QUESTION)
    expect([answer.status, codeOf(answer)]).toEqual([500, 'setup_error'])
    expect(messageOf(answer)).toContain('The log says what is wrong')
    expect(messageOf(answer)).not.toContain(directory)
    await second.close()
    await first.close()
  })

  it.each(['text', 'raw'] as const)('a body that express.%s() has read is told', async (parser) => {
    const own = await open('audit.jsonl')
    const read: Handler = (req, _res, next) => {
      const chunks: Buffer[] = []
      req.on('data', (chunk: Buffer) => chunks.push(chunk))
      req.on('end', () => {
        const bytes = Buffer.concat(chunks)
        req.body = parser === 'text' ? bytes.toString() : bytes
        next()
      })
    }
    const answer = await post(await serve(appOf(host, read, own)), CHAT, QUESTION)
    expect([answer.status, codeOf(answer)]).toEqual([500, 'setup_error'])
    expect(messageOf(answer)).toContain('Mount readBody() before express.json()')
    const behind: Handler = (_req, res) => void res.end('own')
    const others = await send(await serve(appOf(host, read, own, behind)), {
      method: 'POST',
      path: CHAT,
      headers: { 'content-type': 'application/json' },
      body: '{"model":"other"}',
    })
    expect(others.body.toString()).toBe('own')
    await own.close()
  })
})
