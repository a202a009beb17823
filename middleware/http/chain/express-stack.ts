/** Reads what is mounted on an Express 4 or 5 app or router. */
import { property } from '../../../src/core/property.ts'
import { isBodyParser, isOurs, type Mounted } from './chain-rules.ts'
import { factsOf } from './part-facts.ts'

/** The parts of a router's layer that Express 4 and 5 share. */
export interface Layer {
  readonly name?: string
  /** Set on a layer inside a route. */
  readonly method?: string
  /** The part of the last path that {@link match} matched. */
  readonly path?: string
  readonly handle?: { readonly name?: string; readonly stack?: readonly Layer[] }
  readonly route?: { readonly stack?: readonly Layer[] }
  /** Express 4 answers with a boolean, Express 5 with an object or false. */
  match?(path: string): unknown
}

/** Paths a parser must leave alone; with and without a mount prefix. */
const SAMPLES = ['/v1/chat/completions', '/chat/completions', '/v1/files', '/files'] as const

/**
 * The layers of an app or router; `undefined` for anything else. Express 4 keeps `_router` and throws on `router`;
 * Express 5 has `router` only; a bare router holds the stack itself.
 */
export function stackOf(app: unknown): readonly Layer[] | undefined {
  const router =
    property(app, 'stack') === undefined ? (property(app, '_router') ?? property(app, 'router')) : app
  const stack = property(router, 'stack')
  return isStack(stack) ? stack : undefined
}

/** Everything that is mounted, nested routers included, except parsers on paths that Tollway does not serve. */
export function mountedOn(stack: readonly Layer[]): Mounted[] {
  return stack.flatMap((layer) => {
    if (layer.route) return reaches(layer) ? mountedOn(oncePerHandler(layer.route.stack ?? [])) : []
    const nested = nestedIn(layer)
    if (nested) {
      const inside = mountedOn(nested)
      return reaches(layer) || inside.some(({ name }) => isOurs(name)) ? inside : []
    }
    const mounted = handlerOf(layer)
    return isForOtherPaths(mounted, layer) ? [] : [mounted]
  })
}

/** Whether a handler of the host never sees what Tollway serves. */
function isForOtherPaths({ name, handle }: Mounted, layer: Layer): boolean {
  if (reaches(layer)) return false
  return isBodyParser(name) || (!isOurs(name) && factsOf(handle).takesReply !== true)
}

/** The handlers that a request passes, in order. @param path relative to the stack, without the query */
export function passedBy(stack: readonly Layer[], path: string, method: string): Mounted[] {
  return stack.flatMap((layer) => {
    if (typeof layer.match === 'function' && !layer.match(path)) return []
    if (layer.route) {
      const own = (layer.route.stack ?? []).filter(
        (inner) => inner.method === undefined || inner.method === method.toLowerCase(),
      )
      return own.map(handlerOf)
    }
    const nested = nestedIn(layer)
    if (!nested) return [handlerOf(layer)]
    const rest = path.slice((layer.path ?? '').length)
    return passedBy(nested, rest.startsWith('/') ? rest : `/${rest}`, method)
  })
}

function nestedIn(layer: Layer): readonly Layer[] | undefined {
  const { handle } = layer
  if (Array.isArray(handle?.stack)) return handle.stack
  return undefined
}

function handlerOf(layer: Layer): Mounted {
  return { name: layer.handle?.name ?? layer.name ?? '', handle: layer.handle, method: layer.method }
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

function isStack(value: unknown): value is readonly Layer[] {
  return Array.isArray(value) && value.every((layer) => property(layer, 'handle') !== undefined)
}
