/** The closed list of paths the gateway serves with a model in the body. */

/** Paths (without `/v1`) whose body names a model and which a route may claim. */
export const MODEL_ENDPOINTS: ReadonlySet<string> = new Set([
  '/chat/completions',
  '/completions',
  '/embeddings',
  '/responses',
  '/responses/input_tokens',
  '/moderations',
  '/images/generations',
  '/images/edits',
  '/images/variations',
  '/audio/speech',
  '/audio/transcriptions',
  '/audio/translations',
  '/messages',
  '/messages/count_tokens',
  '/rerank',
  '/v2/rerank',
])

/** A path that hides nothing and has no query, as nearly all have: words between single slashes. */
const PLAIN = /^(?:\/[\w-]+)+$/

/** The path of a URL without its query, or `undefined` when it hides another path (dots, encoded separators, backslashes). */
export function plainPath(url: string): string | undefined {
  if (PLAIN.test(url)) return url
  const path = url.split(/[?#]/, 1)[0] ?? ''
  if (!path.startsWith('/') || path.includes('//') || path.includes('\\')) return undefined
  if (/%(?:2e|2f|5c|00)/i.test(path) || path.split('/').some((part) => part === '.' || part === '..'))
    return undefined
  return path
}

/** Where an endpoint is below an `api_base`: `/v2/rerank` is next to `/v1`, not below it. */
export function endpointUrl(apiBase: string, endpoint: string): string {
  return `${endpoint.startsWith('/v2/') ? apiBase.replace(/\/v1$/, '') : apiBase}${endpoint}`
}

/** The path without a leading `/v1`: both spellings are served. */
export function withoutVersion(path: string): string {
  return path === '/v1' || path.startsWith('/v1/') ? path.slice(3) || '/' : path
}

/** The model endpoint of a URL, e.g. `/chat/completions` for `/v1/chat/completions?x=1`, or `undefined`. */
export function modelEndpoint(url: string): string | undefined {
  const path = plainPath(url)
  const endpoint = path === undefined ? undefined : withoutVersion(path)
  // `/v1/v2/rerank` is no path.
  if (endpoint === undefined || (endpoint !== path && endpoint.startsWith('/v2/'))) return undefined
  return MODEL_ENDPOINTS.has(endpoint) ? endpoint : undefined
}
