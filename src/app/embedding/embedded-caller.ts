/** Who asks, where Tollway is part of another application. */
import { caller, type CallerOptions } from '../../../middleware/caller.ts'
import { exchangeOf } from '../../../middleware/http/exchange-of.ts'
import type { Handler, Request } from '../../../middleware/http/handler.ts'
import { named } from '../../../middleware/http/handler.ts'
import { TollwayError } from '../../core/errors.ts'
import { cameThroughProxy } from '../admin/behind-proxy.ts'
import { isLoopbackPeer } from '../admin/is-local.ts'

/** Tells the caller's id, or `undefined` for a request that may not ask. */
export type HostCaller = (req: Request) => string | undefined

const CALLER_ID = /^[A-Za-z0-9._-]{1,64}$/

/** The application knows its callers. */
export function callerOfHost(callerOf: HostCaller): Handler {
  return named<Handler>('caller', (req, _res, next) => {
    const id: unknown = callerOf(req)
    if (typeof id !== 'string' || !CALLER_ID.test(id)) {
      return next(refuse('The application does not know who sent this request.', 'Sign in, or send its key.'))
    }
    exchangeOf(req).caller.id = id
    next()
  })
}

/** The configuration has keys. */
export function callerByKey(options: CallerOptions): Handler {
  return caller(options)
}

/** No caller has a key, so anyone who reaches the application could spend: only this machine may send requests. */
export const thisMachineOnly: Handler = named<Handler>('caller', (req, _res, next) => {
  if (isLocal(req)) return next()
  next(
    refuse(
      'This server pays for requests from its own machine only, because no callers are configured.',
      'Add callers with keys to the configuration, or give tollway() a caller function.',
    ),
  )
})

/** A proxy on the same machine forwards requests of others, and marks them by its headers. The guard before has looked at the name. */
function isLocal({ socket, headers }: Request): boolean {
  return !cameThroughProxy(headers) && isLoopbackPeer(socket.remoteAddress)
}

function refuse(message: string, advice: string): TollwayError {
  return new TollwayError({ code: 'invalid_api_key', message, advice: [advice] })
}
