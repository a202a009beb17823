/** Which path a request asks for, regardless of where the middleware is mounted. */
import { modelEndpoint, plainPath, withoutVersion } from '../../src/core/request/endpoints.ts'
import { isDirect } from './exchange-of.ts'
import type { Request } from './handler.ts'

/**
 * The URLs a middleware can match: relative to its mount path, and in full. `app.use('/v1', …)` and
 * `app.use('/ai', …)` need the first, `app.use('/metrics', …)` needs the second.
 */
function urlsOf(req: Request): readonly string[] {
  const url = req.url ?? ''
  return req.originalUrl === undefined || req.originalUrl === url ? [url] : [url, req.originalUrl]
}

/** The first path without `/v1` that passes the test, or `undefined`; hidden paths (dots, `//`, backslashes) never pass. */
export function findPath(req: Request, test: (path: string) => boolean): string | undefined {
  for (const url of urlsOf(req)) {
    const path = plainPath(url)
    const bare = path === undefined ? undefined : withoutVersion(path)
    if (bare !== undefined && test(bare)) return bare
  }
  return undefined
}

/** The model endpoint a request is for, e.g. `/chat/completions`, or `undefined`. */
export function endpointOf(req: Request): string | undefined {
  for (const url of urlsOf(req)) {
    const endpoint = modelEndpoint(url)
    if (endpoint !== undefined) return endpoint
  }
  return undefined
}

/** Whether a request is for a route: a POST to a model endpoint, or any request that names its seller in its path. */
export function isRouted(req: Request): boolean {
  return isDirect(req) || (req.method === 'POST' && endpointOf(req) !== undefined)
}

/** The paths of a request as they are, `/v1` kept; none that hides another path. */
export function plainPaths(req: Request): string[] {
  return urlsOf(req).flatMap((url) => plainPath(url) ?? [])
}

/** The raw URLs, undecoded and with `/v1` cut off, for paths that may hold encoded slashes. */
export function rawPaths(req: Request): string[] {
  return urlsOf(req).map((url) => withoutVersion(url.split(/[?#]/, 1)[0] ?? ''))
}

/** The values of a request's headers, by their names in lower case. */
export function headersOf(req: Request): (name: string) => string | undefined {
  return (name) => {
    const value = req.headers[name]
    return typeof value === 'string' ? value : value?.join(', ')
  }
}
