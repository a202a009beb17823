/** What the pages of `docs/middlewares/` say beside what is read from the code: order, errors and an example that runs. */
import type { ErrorCode } from '../../../src/core/errors.ts'

/** One middleware's page. The example is a whole program; it is run, and asked {@link Facts.ask}. */
export interface Facts {
  /** The factory, which is also the name of the exported function. */
  readonly name: string
  /** `middleware/<file>.ts`, and its page `docs/middlewares/<file>.md`. */
  readonly file: string
  /** The interface of its options, where it takes any. */
  readonly options?: string
  /** Codes that its requests can end with; {@link ERROR_TABLE} has their meaning. */
  readonly errors: readonly ErrorCode[]
  /** Codes in its source files that none of its requests ends with. */
  readonly mentions?: readonly ErrorCode[]
  readonly order: string
  readonly example: string
  /** A request to the example, and what its answer must be. */
  readonly ask: {
    readonly method?: string
    readonly path: string
    readonly headers?: Readonly<Record<string, string>>
    readonly body?: string
    readonly status: number
    readonly says: RegExp
  }
}

const CHAT = '/v1/chat/completions'
const QUESTION = '{"model":"paid/m","messages":[]}'
const ROUTES = "[{ modelName: 'paid/*', apiBase: 'https://seller.example.com/v1', payer: 'wallet' }]"

/** A program that mounts middlewares of `tollway/middleware`. */
function app(names: string, lines: string, imports = ''): string {
  return `import express from 'express'
import { ${names} } from 'tollway/middleware'
${imports}
const app = express()
${lines}
app.listen(8402, '127.0.0.1')
`.replace('\n\n\n', '\n\n')
}

const PAYER = `import { direct } from 'tollway/providers'

const wallet = await direct({ key: { source: 'env', name: 'TOLLWAY_WALLET_KEY' }, networks: ['base-sepolia'] })`

const CHAIN = `app.use(readBody(), modelRouter({ routes: ${ROUTES} }))
app.use(budgetGuard({ store: 'memory', budgets: [{ name: 'day', limitUsd: '5.00', window: 'day' }] }))
app.use(paymentInterceptor({ payers: { wallet } }), sseRestreamer(), errorHandler())`

const PAID = {
  method: 'POST',
  path: CHAT,
  body: QUESTION,
  status: 200,
  says: /"object":"chat.completion"/,
} as const

export const MIDDLEWARES: readonly Facts[] = [
  {
    name: 'auditLogger',
    file: 'audit-logger',
    options: 'AuditLoggerOptions',
    errors: [],
    order:
      'First, so that it sees how every request ends. A ledger that a middleware behind it opens writes its records into the same file, before money moves.',
    example: app(
      'auditLogger',
      "app.use(auditLogger({ path: './audit.jsonl' }))\napp.get('/hello', (req, res) => res.json({ hello: 'world' }))",
    ),
    ask: { path: '/hello', status: 200, says: /world/ },
  },
  {
    name: 'budgetGuard',
    file: 'budget-guard',
    options: 'BudgetGuardOptions',
    errors: [
      'budget_exhausted',
      'model_not_found',
      'payee_not_allowed',
      'store_unavailable',
      'audit_unavailable',
      'setup_error',
    ],
    order:
      'Behind `readBody()`, `modelRouter()` and `idempotency()`, before `paymentInterceptor()`, which needs it: without a guard nothing is paid. With `prices`, behind `readBody()` and before the handler that sends: see [Handlers that send themselves](../budgets.md#handlers-that-send-themselves).',
    example: app(
      'budgetGuard, errorHandler, modelRouter, paymentInterceptor, readBody, sseRestreamer',
      CHAIN,
      PAYER,
    ),
    ask: PAID,
  },
  {
    name: 'callerLimits',
    file: 'caller-limits',
    options: 'CallerLimitsOptions',
    errors: ['rate_limit_exceeded'],
    order:
      'Behind `caller()`, which finds the limits, and before `readBody()`: nothing was read or paid when it refuses.',
    example: app(
      'caller, callerLimits, errorHandler, hashKey',
      `const callers = [{ id: 'ci', keyDigest: hashKey('sk-test'), limits: { requestsPerMinute: 60, parallel: 4 } }]
app.use(caller({ callers }), callerLimits())
app.post('/v1/chat/completions', (req, res) => res.json({ mine: true }))
app.use(errorHandler())`,
    ),
    ask: {
      method: 'POST',
      path: CHAT,
      headers: { authorization: 'Bearer sk-test' },
      body: QUESTION,
      status: 200,
      says: /mine/,
    },
  },
  {
    name: 'caller',
    file: 'caller',
    options: 'CallerOptions',
    errors: ['invalid_api_key'],
    order:
      'Behind `originGuard()`, before everything that costs something. Handlers behind read `exchangeOf(req).caller`.',
    example: app(
      'caller, errorHandler, exchangeOf, hashKey',
      `app.use(caller({ callers: [{ id: 'ci', keyDigest: hashKey('sk-test'), models: ['paid/*'] }] }))
app.get('/me', (req, res) => res.json({ caller: exchangeOf(req).caller.id }))
app.use(errorHandler())`,
    ),
    ask: { path: '/me', headers: { authorization: 'Bearer sk-test' }, status: 200, says: /"ci"/ },
  },
  {
    name: 'clawrouter',
    file: 'clawrouter',
    options: 'ClawrouterOptions',
    errors: ['store_unavailable', 'audit_unavailable', 'setup_error'],
    order: 'Behind `caller()`, whose models and spending it lists.',
    example: app(
      'clawrouter',
      `app.use(clawrouter({ routes: [{ modelName: 'paid/m', apiBase: 'https://seller.example.com/v1', payer: 'wallet' }] }))`,
    ),
    ask: { path: '/v1/catalog', status: 200, says: /paid\/m/ },
  },
  {
    name: 'errorHandler',
    file: 'error-handler',
    options: 'ErrorHandlerOptions',
    errors: ['internal_error', 'setup_error', 'not_found', 'payment_uncertain', 'paid_not_delivered'],
    mentions: ['request_too_large'],
    order:
      'Last. `notFound()`, which takes no options, stands right before it and ends what no handler served with 404 `not_found` or 405 `method_not_allowed`.',
    example: app('errorHandler, notFound', 'app.use(notFound(), errorHandler())'),
    ask: { path: '/nothing', status: 404, says: /not_found/ },
  },
  {
    name: 'health',
    file: 'health',
    options: 'HealthOptions',
    errors: [],
    mentions: ['internal_error'],
    order: 'Before `caller()`: probes have no key.',
    example: app('health', 'app.use(health({ checks: { upstream: () => Promise.resolve() } }))'),
    ask: { path: '/health/ready', status: 200, says: /"status":"ok"/ },
  },
  {
    name: 'idempotency',
    file: 'idempotency',
    options: 'IdempotencyOptions',
    errors: [
      'payment_uncertain',
      'payment_rejected',
      'paid_not_delivered',
      'terms_changed',
      'seller_error',
      'idempotency_conflict',
      'request_in_progress',
      'store_unavailable',
      'audit_unavailable',
      'setup_error',
    ],
    order:
      'Behind `modelRouter()` and before `budgetGuard()`, so that no budget refuses the repeat of a paid request.',
    example: app(
      'budgetGuard, errorHandler, idempotency, modelRouter, paymentInterceptor, readBody, sseRestreamer',
      CHAIN.replace(
        'app.use(budgetGuard({ store',
        "app.use(idempotency({ store: 'memory' }))\napp.use(budgetGuard({ store",
      ),
      PAYER,
    ),
    ask: PAID,
  },
  {
    name: 'metrics',
    file: 'metrics',
    options: 'MetricsOptions',
    errors: ['invalid_api_key'],
    order: 'Before `auditLogger()`, which counts the requests; everything behind it reports to it.',
    example: app(
      'auditLogger, metrics',
      "app.use(metrics(), auditLogger({ path: './audit.jsonl' }))\napp.get('/hello', (req, res) => res.json({ hello: 'world' }))",
    ),
    ask: { path: '/metrics', status: 200, says: /tollway_/ },
  },
  {
    name: 'modelRouter',
    file: 'model-router',
    options: 'ModelRouterOptions',
    errors: ['model_not_found', 'model_unreadable', 'setup_error'],
    order: 'Behind `caller()` and `readBody()`, before `idempotency()` and `budgetGuard()`.',
    example: app(
      'errorHandler, exchangeOf, modelRouter, readBody',
      `app.use(readBody(), modelRouter({ routes: ${ROUTES} }))
app.use((req, res) => res.json({ candidates: exchangeOf(req).routing.candidates.length }))
app.use(errorHandler())`,
    ),
    ask: { method: 'POST', path: CHAT, body: QUESTION, status: 200, says: /"candidates":1/ },
  },
  {
    name: 'models',
    file: 'models',
    options: 'ModelsOptions',
    errors: ['model_not_found'],
    order: 'Behind `caller()`: it lists what the caller may use.',
    example: app('models', `app.use(models({ routes: ${ROUTES} }))`),
    ask: { path: '/v1/models', status: 200, says: /paid\/\*/ },
  },
  {
    name: 'originGuard',
    file: 'origin-guard',
    options: 'OriginGuardOptions',
    errors: ['origin_not_allowed'],
    order:
      'Behind `auditLogger()`, before everything else: web pages can reach a local address, and what stands behind can pay.',
    example: app(
      'errorHandler, originGuard',
      "app.use(originGuard({ origins: ['https://app.example.com'] }))\napp.get('/hello', (req, res) => res.json({ hello: 'world' }))\napp.use(errorHandler())",
    ),
    ask: {
      path: '/hello',
      headers: { origin: 'https://evil.example.com' },
      status: 403,
      says: /origin_not_allowed/,
    },
  },
  {
    name: 'passThrough',
    file: 'pass-through',
    options: 'PassThroughOptions',
    errors: [
      'not_found',
      'method_not_allowed',
      'model_not_found',
      'seller_unavailable',
      'websocket_not_served',
    ],
    order: 'Behind `caller()` and `readBody()`, which leaves these paths alone.',
    example: app(
      'errorHandler, passThrough',
      "app.use(passThrough({ upstream: { apiBase: 'https://seller.example.com/v1' } }), errorHandler())",
    ),
    ask: { path: '/v1/elsewhere', status: 404, says: /not_found/ },
  },
  {
    name: 'paymentInterceptor',
    file: 'payment-interceptor',
    options: 'PaymentInterceptorOptions',
    errors: [
      'price_above_limit',
      'payee_not_allowed',
      'asset_not_allowed',
      'network_not_allowed',
      'host_not_allowed',
      'budget_exhausted',
      'payment_uncertain',
      'payment_rejected',
      'paid_not_delivered',
      'terms_changed',
      'seller_error',
      'seller_unavailable',
      'signer_unavailable',
      'store_unavailable',
      'audit_unavailable',
      'setup_error',
    ],
    order:
      'Behind `budgetGuard()`; behind it `sseRestreamer()`, or a handler of yours in `takesReply()`. `assertOrder(app)` tells at start what is missing.',
    example: app(
      'budgetGuard, errorHandler, modelRouter, paymentInterceptor, readBody, sseRestreamer',
      CHAIN.replace('payers: { wallet }', "payers: { wallet }, policy: { maxUsdPerRequest: '0.05' }"),
      PAYER,
    ),
    ask: PAID,
  },
  {
    name: 'readBody',
    file: 'read-body',
    options: 'ReadBodyOptions',
    errors: ['request_too_large', 'unsupported_encoding', 'invalid_json', 'model_unreadable', 'setup_error'],
    order:
      'Behind `originGuard()` and `caller()`. Body parsers of yours stand behind it; where one must stand before, `parsedBody: true`.',
    example: app(
      'errorHandler, exchangeOf, readBody',
      "app.use(readBody({ limit: '1mb' }))\napp.post('/v1/chat/completions', (req, res) => res.json({ model: exchangeOf(req).request.model, body: req.body }))\napp.use(errorHandler())",
    ),
    ask: { method: 'POST', path: CHAT, body: QUESTION, status: 200, says: /"model":"paid\/m","body":\{/ },
  },
  {
    name: 'sseRestreamer',
    file: 'sse-restreamer',
    options: 'SseRestreamerOptions',
    errors: ['paid_not_delivered', 'seller_error'],
    order: 'Behind `paymentInterceptor()`, whose answer it sends; without one it calls the next handler.',
    example: app(
      'budgetGuard, errorHandler, modelRouter, paymentInterceptor, readBody, sseRestreamer',
      CHAIN.replace('sseRestreamer()', 'sseRestreamer({ keepaliveMs: 15_000 })'),
      PAYER,
    ),
    ask: PAID,
  },
]
