import type { Request } from '../../../middleware/http/handler.ts'
import { cameThroughProxy } from './behind-proxy.ts'

/** Whether a request comes from this machine. A proxied one may come from anywhere, so it needs a key. */
export function isLocal(req: Request): boolean {
  const { headers, socket } = req
  return !cameThroughProxy(headers) && isLoopbackPeer(socket.remoteAddress) && isLoopbackName(headers.host)
}

/** A page whose host name was rebound to this machine also connects from loopback, but under its own name. */
function isLoopbackName(host: string | undefined): boolean {
  return host !== undefined && /^(?:localhost|127\.0\.0\.1|\[::1\])(?::\d+)?$/i.test(host)
}

/** Whether a connection comes from this machine. */
export function isLoopbackPeer(address: string | undefined): boolean {
  return address !== undefined && /^(?:127\.|::1$|::ffff:127\.)/.test(address)
}
