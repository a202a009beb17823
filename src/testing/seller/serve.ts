import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'

/**
 * How long an idle connection stays open, milliseconds. After Node's five seconds a busy client may send its next request into
 * a connection that is just being closed.
 */
const KEEP_ALIVE_MS = 600_000

/** Serves HTTP on a free port of 127.0.0.1. */
export async function serve(
  listener: RequestListener,
): Promise<{ readonly url: string; close(): Promise<void> }> {
  const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, listener)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server has no TCP address')
  return {
    url: `http://127.0.0.1:${address.port}`,
    async close() {
      if (!server.listening) return
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}
