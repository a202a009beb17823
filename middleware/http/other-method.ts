import { TollwayError } from '../../src/core/errors.ts'
import { printable } from '../../src/core/printable.ts'
import type { Request } from './handler.ts'
import { endpointOf, findPath } from './paths.ts'

/** Our paths that are read-only. */
const READ_ONLY =
  /^\/(?:models(?:\/.*)?|catalog|usage|tollway\/requests\/[^/]+|status|metrics|healthz|health\/[a-z]+)$/

/** 405 `method_not_allowed` if the path is ours but does not accept the method; else `undefined`. */
export function otherMethod(req: Request): TollwayError | undefined {
  const allow = allowedMethods(req)
  const method = req.method ?? ''
  if (allow === undefined || allow.includes(method)) return undefined
  const path = (req.originalUrl ?? req.url ?? '').split(/[?#]/, 1)[0] ?? ''
  return new TollwayError({
    code: 'method_not_allowed',
    message: `${printable(path)} is not served for ${printable(method)}.`,
    advice: [`Use ${allow.join(' or ')}.`],
    headers: { allow: allow.join(', ') },
  })
}

function allowedMethods(req: Request): readonly string[] | undefined {
  if (endpointOf(req) !== undefined) return ['POST']
  return findPath(req, (path) => READ_ONLY.test(path)) === undefined ? undefined : ['GET', 'HEAD']
}
