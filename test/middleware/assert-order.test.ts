import express, { Router, type ErrorRequestHandler, type RequestHandler } from 'express'
import { describe, expect, it } from 'vitest'
import { auditLogger } from '../../middleware/audit-logger.ts'
import { caller } from '../../middleware/caller.ts'
import { originGuard } from '../../middleware/origin-guard.ts'
import { errorHandler } from '../../middleware/error-handler.ts'
import { named } from '../../middleware/http/handler.ts'
import { assertOrder } from '../../middleware/assert-order.ts'
import { passThrough } from '../../middleware/pass-through.ts'
import { readBody } from '../../middleware/read-body.ts'
import type { Handler } from '../../middleware/http/handler.ts'
import { takesReply } from '../../middleware/http/chain/part-facts.ts'

const pass = (name: string): Handler => {
  const handler = named<Handler>(name, (_req, _res, next) => next())
  return name === 'sseRestreamer' ? takesReply(handler) : handler
}
const audit = auditLogger({ audit: { append: async () => undefined } })

function appOf(...handlers: (RequestHandler | ErrorRequestHandler)[]): unknown {
  const app = express()
  for (const handler of handlers) app.use(handler)
  return app
}

/** An app as Express 4 builds it: `_router`, layers with `regexp`, and a `router` property that throws. */
function express4(...handlers: { readonly name: string }[]): unknown {
  const stack = handlers.map((handle) => ({ name: handle.name, handle, match: () => true }))
  return Object.defineProperty({ _router: { stack } }, 'router', {
    get() {
      throw new Error("'app.router' is deprecated!")
    },
  })
}

const CHAIN = [
  'auditLogger',
  'originGuard',
  'caller',
  'readBody',
  'modelRouter',
  'idempotency',
  'budgetGuard',
  'paymentInterceptor',
  'sseRestreamer',
  'passThrough',
  'errorHandler',
]

function without(name: string): Handler[] {
  return CHAIN.filter((other) => other !== name).map(pass)
}

describe('the names assertOrder goes by', () => {
  it('are those of the factories', () => {
    const built = {
      originGuard: originGuard(),
      caller: caller(),
      readBody: readBody(),
      auditLogger: audit,
      passThrough: passThrough(),
      errorHandler: errorHandler(),
    }
    for (const [name, handler] of Object.entries(built)) expect(handler.name).toBe(name)
  })
})

describe.each([
  ['Express 5', appOf],
  ['Express 4', express4],
])('assertOrder on %s', (_name, compose) => {
  it('accepts the whole chain, parts of it, and an app without any of ours', () => {
    expect(() => assertOrder(compose(...CHAIN.map(pass)))).not.toThrow()
    expect(() =>
      assertOrder(compose(...['readBody', 'passThrough', 'notFound', 'errorHandler'].map(pass))),
    ).not.toThrow()
    expect(() => assertOrder(compose(pass('jsonParser'), pass('other')))).not.toThrow()
  })

  it.each(CHAIN.slice(1).map((name, at) => [CHAIN[at] ?? '', name]))(
    'refuses %s after %s',
    (first, second) => {
      const swapped = CHAIN.map((name) => (name === first ? second : name === second ? first : name))
      expect(() => assertOrder(compose(...swapped.map(pass)))).toThrow(
        `${second}() is mounted before ${first}(). Mount them in this order: auditLogger, originGuard`,
      )
    },
  )

  it.each(['jsonParser', 'urlencodedParser', 'rawParser', 'textParser'])(
    'refuses the body parser %s before ours',
    (parser) => {
      expect(() => assertOrder(compose(pass(parser), ...CHAIN.map(pass)))).toThrow(
        /body parser .* is mounted before auditLogger\(\)/,
      )
      const between = [...CHAIN.slice(0, 9), parser, ...CHAIN.slice(9)]
      expect(() => assertOrder(compose(...between.map(pass)))).toThrow(/is mounted before passThrough\(\)/)
    },
  )

  it('accepts a body parser after ours', () => {
    const after = [...CHAIN.slice(0, 9), 'jsonParser', 'errorHandler']
    expect(() => assertOrder(compose(...after.map(pass)))).not.toThrow()
  })

  it('accepts compression before ours: it leaves no-transform alone', () => {
    expect(() => assertOrder(compose(pass('compression'), ...CHAIN.map(pass)))).not.toThrow()
  })

  it.each([
    ['readBody', 'modelRouter() is mounted without readBody(). Mount readBody() before it'],
    ['modelRouter', 'idempotency() is mounted without modelRouter(). Mount modelRouter() before it'],
    ['sseRestreamer', 'Nothing behind paymentInterceptor() takes the answer'],
  ])('refuses a chain without %s', (name, message) => {
    expect(() => assertOrder(compose(...without(name)))).toThrow(message)
  })

  it('refuses an own handler behind the interceptor, unless it is marked as one that takes the answer', () => {
    const own = pass('own')
    const chain = (handler: Handler): Handler[] =>
      CHAIN.map((name) => (name === 'sseRestreamer' ? handler : pass(name)))
    expect(() => assertOrder(compose(...chain(own)))).toThrow('mark a handler of your own with takesReply()')
    expect(() => assertOrder(compose(...chain(takesReply(own))))).not.toThrow()
  })

  it('tells every fault at once', () => {
    const broken = ['paymentInterceptor', 'paymentInterceptor'].map(pass)
    expect(() => assertOrder(compose(...broken))).toThrow(
      /without readBody.*without modelRouter.*without budgetGuard.*mounted twice.*takes the answer.*errorHandler\(\) is missing/,
    )
  })

  it('accepts a body parser before a readBody that takes what it read', () => {
    const chain = CHAIN.map((name) => (name === 'readBody' ? readBody({ parsedBody: true }) : pass(name)))
    expect(() => assertOrder(compose(pass('jsonParser'), ...chain))).not.toThrow()
  })

  it('refuses a second payment interceptor: it could pay again', () => {
    const twice = [...CHAIN.slice(0, 8), 'paymentInterceptor', ...CHAIN.slice(8)]
    expect(() => assertOrder(compose(...twice.map(pass)))).toThrow(
      /paymentInterceptor\(\) is mounted twice\. Mount it once/,
    )
  })

  it('refuses paying without a budget, and a chain without an error handler', () => {
    expect(() => assertOrder(compose(...without('budgetGuard')))).toThrow(
      /without budgetGuard\(\)\. Mount budgetGuard\(\) before it/,
    )
    expect(() => assertOrder(compose(...without('errorHandler')))).toThrow(
      /errorHandler\(\) is missing\. Mount it last/,
    )
  })
})

describe('assertOrder on real apps', () => {
  it('finds express.json() before ours', () => {
    expect(() => assertOrder(appOf(express.json(), readBody(), errorHandler()))).toThrow(/jsonParser/)
  })

  it('looks into nested routers', () => {
    const router = Router()
    router.use(express.json())
    router.use(readBody())
    expect(() => assertOrder(appOf(router, errorHandler()))).toThrow(/jsonParser/)
  })

  it('finds a payment interceptor in each of two routers, and one under every method of a route only once', () => {
    const router = (): Router => {
      const made = Router()
      for (const name of CHAIN.slice(0, 9)) made.use(pass(name))
      return made
    }
    expect(() => assertOrder(appOf(router(), errorHandler()))).not.toThrow()
    expect(() => assertOrder(appOf(router(), router(), errorHandler()))).toThrow(/mounted twice/)
    const app = express()
    app.all('/v1/chat/completions', ...CHAIN.slice(0, 9).map(pass))
    app.use(errorHandler())
    expect(() => assertOrder(app)).not.toThrow()
  })

  it('accepts parsers on paths that are not ours', () => {
    const app = express()
    app.use('/webhooks', express.json())
    app.post('/hook', express.json(), (_req, res) => void res.end())
    const other = Router()
    other.use(express.json())
    app.use('/other', other)
    app.use(readBody())
    app.use(errorHandler())
    expect(() => assertOrder(app)).not.toThrow()
  })

  it('refuses a parser on a path that is ours', () => {
    const app = express()
    app.use('/v1', express.json())
    app.use(readBody())
    app.use(errorHandler())
    expect(() => assertOrder(app)).toThrow(/jsonParser/)
  })

  it('says what it needs when it gets something else', () => {
    for (const wrong of [undefined, null, {}, () => undefined, { stack: [1] }]) {
      expect(() => assertOrder(wrong)).toThrow(/needs an Express app or router/)
    }
  })
})
