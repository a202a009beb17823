/** Refuses a chain that cannot work before anything is paid, where `assertOrder()` was not called. */
import type { Request } from '../handler.ts'
import { property } from '../../../src/core/property.ts'
import { faultsOf, type Mounted } from './chain-rules.ts'
import { passedBy, stackOf } from './express-stack.ts'
import { setupError } from '../setup-error.ts'

/** Handlers of lists that passed `assertOrder()`. */
const ASSERTED = new WeakSet<object>()

/** The numbers of handlers and the paths that were found to work, by app. */
const SOUND = new WeakMap<object, Set<string>>()
const MOST_PATHS = 256

/** Notes that these handlers run in an order that works. */
export function markAsserted(handlers: readonly object[]): void {
  for (const handler of handlers) ASSERTED.add(handler)
}

/**
 * Checks the chain that a request is on its way through. A path that passed once costs only a look-up.
 * @param handler the payment interceptor itself
 * @throws TollwayError `setup_error` with every fault and its fix
 */
export function refuseBrokenChain(req: Request, handler: object): void {
  if (ASSERTED.has(handler)) return
  const app = property(req, 'app')
  const path = pathIn(req)
  const stack = stackOf(app)
  // What is mounted or taken away later makes it another chain.
  const place = `${stack?.length} ${path}`
  const sound = typeof app === 'function' ? SOUND.get(app) : undefined
  if (sound?.has(place) === true) return
  const chain = stack ? passedBy(stack, path, req.method ?? 'POST') : []
  if (!chain.some(({ handle }) => handle === handler)) {
    throw setupError(
      'paymentInterceptor() cannot see what is mounted behind it, because another function calls it. Nothing was paid.',
      'Mount it on the Express app or router itself, or call assertOrder([…]) once with all handlers in their order.',
    )
  }
  const [fault, ...more] = faultsOf(withHandlerOfErrors(chain))
  if (fault !== undefined)
    throw setupError(
      'The middlewares cannot work as they are mounted. Nothing was paid.',
      [fault, ...more].join(' '),
    )
  if (typeof app === 'function') remember(app, place)
}

/** At request time the host may answer errors as it likes: they carry their own status. */
function withHandlerOfErrors(chain: readonly Mounted[]): Mounted[] {
  return [...chain.filter(({ name }) => name !== 'errorHandler'), { name: 'errorHandler' }]
}

/** The path as the app matches it: without its own mount path and the query. */
function pathIn(req: Request): string {
  const path = (req.originalUrl ?? req.url ?? '/').split(/[?#]/, 1)[0] ?? '/'
  const mount = mountOf(property(req, 'app'))
  return path.startsWith(mount) ? path.slice(mount.length) || '/' : path
}

/** Where the apps that hold this one have mounted it, together. */
function mountOf(app: unknown): string {
  const own = property(app, 'mountpath')
  const parent = property(app, 'parent')
  if (typeof own !== 'string' || parent === undefined) return ''
  return `${mountOf(parent)}${own === '/' ? '' : own}`
}

function remember(app: object, place: string): void {
  const known = SOUND.get(app) ?? new Set<string>()
  if (known.size >= MOST_PATHS) known.clear()
  known.add(place)
  SOUND.set(app, known)
}
