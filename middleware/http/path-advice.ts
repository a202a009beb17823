/** Names the path that was meant: most wrong ones come from a base URL with too much or too little in it. */
import { MODEL_ENDPOINTS } from '../../src/core/request/endpoints.ts'
import { isUnambiguous } from '../../src/core/request/forwarded-paths.ts'
import { nearestName } from '../../src/io/names/nearest-name.ts'
import type { Request } from './handler.ts'

/** Paths without `/v1` that clients request; for the last ones the paths below them too. */
const KNOWN: readonly string[] = [...MODEL_ENDPOINTS, '/models']
const RESOURCES: readonly string[] = [
  '/models',
  '/files',
  '/batches',
  '/uploads',
  '/vector_stores',
  '/fine_tuning/jobs',
  '/videos',
  '/conversations',
  '/realtime',
]

/** Path prefixes in the base URLs of other services. */
const PREFIX = /^\/(?:v1|openai|api|litellm|anthropic|proxy)(?=\/)/

/** Azure's form, with the model in the path. */
const DEPLOYMENT = /^\/(?:deployments|engines)\/[^/]+(?=\/)/

const MOST = 512

/** `Did you mean /v1/chat/completions?`, or nothing. */
export function pathAdvice(req: Request): string[] {
  const path = (req.originalUrl ?? req.url ?? '').split(/[?#]/, 1)[0] ?? ''
  const meant = path.length > MOST ? undefined : meantPath(path)
  return meant === undefined || meant === path ? [] : [`Did you mean ${meant}?`]
}

function meantPath(path: string): string | undefined {
  if (!/^[\w./:-]+$/.test(path) || path.includes('..') || !isUnambiguous(path)) return undefined
  let bare = path.replaceAll(/\/{2,}/g, '/').replace(/(?<=.)\/+$/, '')
  for (let next = bare; ; bare = next) {
    next = bare.replace(PREFIX, '').replace(DEPLOYMENT, '')
    if (next === bare) break
  }
  const lower = bare.toLowerCase()
  const below = RESOURCES.find((resource) => lower === resource || lower.startsWith(`${resource}/`))
  if (below !== undefined) return `/v1${below}${bare.slice(below.length)}`
  const known = KNOWN.includes(lower) ? lower : nearestName(lower, KNOWN)
  if (known === undefined) return undefined
  return known.startsWith('/v2/') ? known : `/v1${known}`
}
