/**
 * Checks the order of the middlewares at start: a wrong order would otherwise fail, or silently cost money, under
 * traffic.
 */
import { ConfigError } from '../src/core/errors.ts'
import { property } from '../src/core/property.ts'

/** Our middlewares in their required order; any of them may be left out. */
const CHAIN: readonly string[] = [
  'auditLogger',
  'originGuard',
  'caller',
  'callerLimits',
  'readBody',
  'modelRouter',
  'idempotency',
  'budgetGuard',
  'paymentInterceptor',
  'sseRestreamer',
  'passThrough',
  'errorHandler',
]

const BODY_PARSERS: ReadonlySet<string> = new Set([
  'jsonParser',
  'urlencodedParser',
  'rawParser',
  'textParser',
])

/** Paths a parser must leave alone; with and without a mount prefix. */
const SAMPLES = ['/v1/chat/completions', '/chat/completions', '/v1/files', '/files'] as const

/** The parts of a router's layer that Express 4 and 5 share. */
interface Layer {
  readonly name?: string
  /** Set on a layer inside a route. */
  readonly method?: string
  readonly handle?: { readonly name?: string; readonly stack?: readonly Layer[] }
  readonly route?: { readonly stack?: readonly Layer[] }
  /** Express 4 answers with a boolean, Express 5 with an object or false. */
  match?(path: string): unknown
}

/**
 * Inspects an Express 4 or 5 app (or router), nested routers included.
 * @throws ConfigError for a body parser or `compression()` before our middlewares, for our middlewares in the
 * wrong order, for a payment interceptor without a budget guard or mounted twice, and for a missing error handler
 */
export function assertOrder(app: unknown): void {
  const names = namesIn(stackOf(app))
  const ours = names.filter(isOurs)
  const first = names.findIndex(isOurs)
  if (first < 0) return
  refuseBefore(names)
  refuseInversions(ours)
  if (ours.includes('paymentInterceptor') && !ours.includes('budgetGuard')) {
    throw new ConfigError(
      'paymentInterceptor() is mounted without budgetGuard(). Mount budgetGuard() before it: nothing may be paid without a budget.',
    )
  }
  if (ours.filter((name) => name === 'paymentInterceptor').length > 1) {
    throw new ConfigError(
      'paymentInterceptor() is mounted twice. Mount it once: what the first hands on unpaid, the second could pay again.',
    )
  }
  if (!ours.includes('errorHandler')) {
    throw new ConfigError('errorHandler() is missing. Mount it last, after every other middleware.')
  }
}

/** Both kinds read or rewrite bytes that must pass unchanged, whichever of ours comes after them. */
function refuseBefore(names: readonly string[]): void {
  const last = names.findLastIndex((name) => name !== 'errorHandler' && isOurs(name))
  for (const [index, name] of names.entries()) {
    if (index > last) return
    const after = names.slice(index).find(isOurs)
    if (BODY_PARSERS.has(name)) {
      throw new ConfigError(
        `A body parser (${name}) is mounted before ${after}(). Mount it after Tollway's middlewares, or only on your own ` +
          'paths: the body is forwarded as the bytes that came.',
      )
    }
    if (name === 'compression') {
      throw new ConfigError(
        `compression() is mounted before ${after}(). Mount it only on your own paths: it holds streams back.`,
      )
    }
  }
}

function refuseInversions(ours: readonly string[]): void {
  for (const [index, name] of ours.entries()) {
    const before = ours
      .slice(0, index)
      .find((earlier) => earlier !== name && CHAIN.indexOf(earlier) > CHAIN.indexOf(name))
    // A part may be mounted in several routers, so only check whether this one ran after its follower.
    if (before !== undefined && !ours.slice(0, ours.indexOf(before)).includes(name)) {
      throw new ConfigError(
        `${before}() is mounted before ${name}(). Mount them in this order: ${CHAIN.join(', ')}.`,
      )
    }
  }
}

function isOurs(name: string): boolean {
  return CHAIN.includes(name)
}

function namesIn(stack: readonly Layer[]): string[] {
  return stack.flatMap((layer) => {
    if (layer.route) return reaches(layer) ? namesIn(oncePerHandler(layer.route.stack ?? [])) : []
    const nested = layer.handle?.stack
    if (Array.isArray(nested)) {
      const inside = namesIn(nested)
      return reaches(layer) || inside.some(isOurs) ? inside : []
    }
    const name = layer.handle?.name ?? layer.name ?? ''
    const foreign = BODY_PARSERS.has(name) || name === 'compression'
    return foreign && !reaches(layer) ? [] : [name]
  })
}

/** `app.all()` creates one layer per method from a single handler. */
function oncePerHandler(stack: readonly Layer[]): readonly Layer[] {
  return stack.filter(
    ({ handle, method }, at) =>
      !stack.slice(0, at).some((earlier) => earlier.handle === handle && earlier.method !== method),
  )
}

/** Whether a layer sees the requests that Tollway serves: one mounted on `/webhooks` does not. */
function reaches(layer: Layer): boolean {
  return typeof layer.match !== 'function' || SAMPLES.some((path) => Boolean(layer.match?.(path)))
}

/**
 * Express 4 keeps `_router` and throws on `router`; Express 5 has `router` only; a bare router holds the stack
 * itself.
 */
function stackOf(app: unknown): readonly Layer[] {
  const router =
    property(app, 'stack') === undefined ? (property(app, '_router') ?? property(app, 'router')) : app
  const stack = property(router, 'stack')
  if (!isStack(stack)) {
    throw new ConfigError(
      'assertOrder() needs an Express app or router: pass the one the middlewares are mounted on.',
    )
  }
  return stack
}

function isStack(value: unknown): value is readonly Layer[] {
  return Array.isArray(value) && value.every((layer) => property(layer, 'handle') !== undefined)
}
