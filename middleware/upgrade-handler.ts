/** Websocket requests bypass an app's middlewares; this runs the ones that must see them. */
import { ServerResponse, type IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { ErrorHandler, Handler, Next, Request } from './http/handler.ts'
import type { PassThrough } from './pass-through.ts'

/** What {@link upgradeHandler} is made of. */
export interface UpgradeContext {
  /** Run in order before the upgrade: `auditLogger`, `originGuard`, `caller`. */
  readonly guards: readonly Handler[]
  readonly passThrough: Pick<PassThrough, 'refuses' | 'upgrade'>
  readonly errorHandler: ErrorHandler
}

/**
 * For `server.on('upgrade', upgradeHandler(context))`. A refusal by a guard is answered like any other; when all let the request
 * pass, the socket goes to the upstream, and the request counts as ended when it closes.
 */
export function upgradeHandler(
  context: UpgradeContext,
): (req: IncomingMessage, socket: Duplex, head: Buffer) => void {
  const { guards, passThrough, errorHandler } = context

  return function upgrade(req: Request, socket, head): void {
    // Node's servers always pass their own TCP or TLS sockets.
    if (!(socket instanceof Socket)) {
      socket.destroy()
      return
    }
    socket.on('error', () => undefined)
    const res = new ServerResponse(req)
    res.shouldKeepAlive = false
    res.assignSocket(socket)
    res.on('finish', () => socket.end())
    const fail = (error: unknown): void => errorHandler(error, req, res, () => socket.destroy())
    const hand = (): void => {
      const refusal = passThrough.refuses(req)
      if (refusal) return fail(refusal)
      res.detachSocket(socket)
      res.statusCode = 101
      socket.once('close', () => res.emit('close'))
      passThrough.upgrade(req, socket, head)
    }
    run(guards, req, res, (error) => {
      if (error === undefined) hand()
      else fail(error)
    })
  }
}

function run(guards: readonly Handler[], req: Request, res: ServerResponse, done: Next, at = 0): void {
  const guard = guards[at]
  if (!guard) return done()
  try {
    guard(req, res, (error) => {
      if (error === undefined || error === null) run(guards, req, res, done, at + 1)
      else done(error)
    })
  } catch (error) {
    done(error)
  }
}
