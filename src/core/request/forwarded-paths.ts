/** The closed list of other paths: everything not on it is never forwarded. */
import { ConfigError } from '../errors.ts'
import { plainPath, withoutVersion } from './endpoints.ts'

/** Whether a request may be forwarded: method, and path without `/v1`. */
export type PathRule = (method: string, path: string) => boolean

const ANY: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'DELETE', 'PUT', 'PATCH'])

/** Resources that are forwarded with everything below them. */
const RESOURCES = [
  '/files',
  '/batches',
  '/uploads',
  '/vector_stores',
  '/fine_tuning',
  '/videos',
  '/conversations',
  '/realtime',
]

/** Only the paths below these are forwarded: the path itself is a websocket, or does not exist. */
const ONLY_BELOW: ReadonlySet<string> = new Set(['/fine_tuning', '/realtime'])

const RULES: readonly PathRule[] = [
  ...RESOURCES.map(
    (resource): PathRule =>
      (method, path) =>
        ANY.has(method) && isBelow(path, resource, !ONLY_BELOW.has(resource)),
  ),
  // A stored response by its id. `POST /responses` itself runs a model and goes by the routes.
  (method, path) =>
    (method === 'GET' || method === 'HEAD') && /^\/responses\/[^/]+(?:\/input_items)?$/.test(path),
  (method, path) => method === 'DELETE' && /^\/responses\/[^/]+$/.test(path),
  (method, path) => method === 'POST' && /^\/responses\/[^/]+\/cancel$/.test(path),
]

/** LiteLLM's own paths, which are at the root of its address, not below `/v1`. */
const ROOT_RULES: readonly PathRule[] = [
  (method, path) =>
    (method === 'GET' || method === 'HEAD') &&
    /^\/(?:(?:v[12]\/)?model\/info|model_group\/info|key\/info)$/.test(path),
  (method, path) => ['GET', 'HEAD', 'POST', 'DELETE'].includes(method) && /^\/mcp(?:\/[^?#]*)?$/.test(path),
]

/** Whether a path, with its `/v1` if it has one, is one of the upstream's root. */
export function isRootPath(method: string, path: string): boolean {
  return isUnambiguous(path) && ROOT_RULES.some((rule) => rule(method, path))
}

function isBelow(path: string, resource: string, itself: boolean): boolean {
  return (
    (itself && path === resource) || (path.startsWith(`${resource}/`) && path.length > resource.length + 1)
  )
}

/**
 * The rules for plain requests and for websocket upgrades.
 * @param allowPaths more paths: exact, or ending in `/*`
 * @throws ConfigError for a path that could not be meant
 */
export function passRules(allowPaths: readonly string[]): {
  readonly web: PathRule
  readonly socket: PathRule
} {
  const extra = allowPaths.map(compile)
  const added: PathRule = (_method, path) => extra.some((matches) => matches(path))
  const all = [...RULES, added]
  return {
    web: (method, path) => isUnambiguous(path) && all.some((rule) => rule(method, path)),
    socket: (method, path) => isUnambiguous(path) && (path === '/realtime' || added(method, path)),
  }
}

function compile(entry: string): (path: string) => boolean {
  const open = entry.endsWith('/*')
  const fixed = withoutVersion(open ? entry.slice(0, -2) : entry)
  if (
    fixed === '' ||
    fixed === '/' ||
    fixed.includes('*') ||
    plainPath(fixed) !== fixed ||
    !isUnambiguous(fixed)
  ) {
    throw new ConfigError(
      `passThrough(): allowPaths has "${entry}". Write a whole path such as "/assistants", or "/assistants/*" for ` +
        'all below it.',
    )
  }
  return (path) => (open ? isBelow(path, fixed, false) : path === fixed)
}

/** Whether no server reads another path in it: path parameters (`..;x`) and doubly encoded text differ from server to server. */
export function isUnambiguous(path: string): boolean {
  return !path.includes(';') && !/%25/i.test(path)
}
