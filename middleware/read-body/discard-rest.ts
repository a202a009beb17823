import type { IncomingMessage } from 'node:http'

const LEAST_ALLOWANCE = 1024 * 1024

/**
 * Reads and discards the rest, so that a client that writes its whole body before it reads still gets the answer.
 * After `allowance` more bytes (at least 1 MiB) the connection is cut instead.
 */
export function discardRest(req: IncomingMessage, allowance: number): void {
  const most = Math.max(allowance, LEAST_ALLOWANCE)
  let discarded = 0
  req.on('data', (chunk: Buffer) => {
    discarded += chunk.length
    if (discarded > most) req.destroy()
  })
  req.on('error', () => undefined)
  req.resume()
}
