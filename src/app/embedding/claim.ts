/** Which requests of an application a configuration claims. */
import type { ServerResponse } from 'node:http'
import { exchangeOf } from '../../../middleware/http/exchange-of.ts'
import type { Handler, Request } from '../../../middleware/http/handler.ts'
import { endpointOf } from '../../../middleware/http/paths.ts'
import { readBody } from '../../../middleware/read-body.ts'
import { TollwayError } from '../../core/errors.ts'
import { property } from '../../core/property.ts'
import { matchesPattern } from '../../core/name-pattern.ts'
import type { RouteTable } from '../../core/routing/route.ts'

/** What decides. */
export interface ClaimRules {
  readonly routes: RouteTable
  /** The configuration names an upstream for everything that no route claims. */
  readonly hasUpstream: boolean
  /** Bytes; a request with a longer body is not claimed. */
  readonly bodyLimit: number
  readonly parsedBody: boolean
}

/** A decision: it calls one of the two. */
export type Claim = (
  req: Request,
  res: ServerResponse,
  claimed: (error?: unknown) => void,
  unclaimed: () => void,
) => void

/** Whether a request has the method and path of a model endpoint; cheap. */
export function mayBeClaimed(req: Request): boolean {
  return req.method === 'POST' && endpointOf(req) !== undefined
}

/**
 * Reads the model of a request and decides. A request that it does not claim is passed on unchanged: a body that is not
 * Tollway's to read (another type, too long, not JSON) included.
 */
export function claimer(rules: ClaimRules): Claim {
  const { routes, hasUpstream, bodyLimit, parsedBody } = rules
  const read: Handler = readBody({ limit: bodyLimit, parsedBody })
  const claims = (model: unknown): boolean => {
    if (typeof model !== 'string') return false
    const name = routes.resolve(model)
    return hasUpstream || routes.routes.some(({ modelName }) => matchesPattern(modelName, name))
  }
  return (req, res, claimed, unclaimed) => {
    if (Number(req.headers['content-length'] ?? 0) > bodyLimit) return unclaimed()
    read(req, res, (error) => {
      if (error === undefined) return claims(exchangeOf(req).request.model) ? claimed() : unclaimed()
      // A parser of the host was first: what it found says whether this is ours to complain about.
      const isTaken = error instanceof TollwayError && error.code === 'setup_error'
      const isOurs = isTaken ? claims(modelTaken(req)) : isOverLimit(error)
      if (isOurs) claimed(error)
      else unclaimed()
    })
  }
}

/** The model in what a parser of the host has read: parsed, or as text or bytes. */
function modelTaken(req: Request): unknown {
  const { body } = req
  if (typeof body !== 'string' && !(body instanceof Uint8Array)) return property(body, 'model')
  try {
    return property(JSON.parse(Buffer.from(body).toString()), 'model')
  } catch {
    return undefined
  }
}

/** Without a Content-Length the length shows while reading: what was read cannot be handed on. */
function isOverLimit(error: unknown): boolean {
  return error instanceof TollwayError && error.code === 'request_too_large'
}
