/** Clients that have sent their request and closed their side of the connection (`nc -N`, some proxies and devices). */
import type { Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { systemTimers } from '../../core/timers.ts'

/** The first pause between two questions whether the client is there, and the longest. */
const FIRST_MS = 5
const LONGEST_MS = 5_000

/**
 * Serves them: Node would take them for gone. A client that is gone looks the same at first, so it is asked: an interim
 * `100 Continue` is ignored by one that waits, and answered with a reset for one that is gone. The next one then fails
 * and ends the request as before. A client that closes its side in the middle of an answer counts as gone.
 */
export function serveHalfClosed(server: Server): void {
  Object.assign(server, { httpAllowHalfOpen: true })
  const answers = new WeakMap<Socket, ServerResponse>()
  server.prependListener('request', (req, res) => {
    answers.set(req.socket, res)
  })
  server.on('connection', (socket) => {
    socket.on('end', () => {
      const res = answers.get(socket)
      if (!res || res.writableEnded) return
      if (res.headersSent || !res.req.complete) socket.destroy()
      // HTTP/1.0 has no interim answers.
      else if (res.req.httpVersion !== '1.0') askAgain(res, FIRST_MS)
    })
  })
}

function askAgain(res: ServerResponse, pauseMs: number): void {
  if (res.headersSent || res.writableEnded || res.destroyed) return
  res.writeContinue()
  const cancel = systemTimers.after(pauseMs, () => {
    res.off('close', cancel)
    askAgain(res, Math.min(pauseMs * 4, LONGEST_MS))
  })
  res.once('close', cancel)
}
