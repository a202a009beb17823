import { once } from 'node:events'
import { createServer } from 'node:http'
import type { RequestListener } from 'node:http'

/** A server on this machine's loopback interface. */
export interface LoopbackServer {
  /** `http://127.0.0.1:<port>`, without a trailing slash. */
  readonly url: string
  /** Stops listening and cuts every open connection, even in the middle of an answer. */
  close(): Promise<void>
}

/**
 * How long an idle connection stays open, milliseconds. After Node's five seconds a busy client may send its next request into
 * a connection that is just being closed.
 */
const KEEP_ALIVE_MS = 600_000

/**
 * Serves HTTP on 127.0.0.1.
 *
 * @param port - 0 takes a free one.
 * @throws {Error} When the port cannot be used, with the advice to use another.
 */
export async function serveOnLoopback(listener: RequestListener, port = 0): Promise<LoopbackServer> {
  const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, listener)
  const listening = once(server, 'listening')
  server.listen(port, '127.0.0.1')
  try {
    await listening
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new Error(
      `Port ${port} of 127.0.0.1 cannot be used (${why}). Choose another, or 0 for a free one.`,
      {
        cause: error,
      },
    )
  }
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
