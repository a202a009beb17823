import type { IncomingMessage } from 'node:http'

/**
 * Reads on and throws away, so that a client that writes its whole body before it reads still gets the answer; after
 * `allowance` more bytes the connection is cut instead.
 */
export function discardRest(req: IncomingMessage, allowance: number): void {
  let discarded = 0
  req.on('data', (chunk: Buffer) => {
    discarded += chunk.length
    if (discarded > allowance) req.destroy()
  })
  req.on('error', () => undefined)
  req.resume()
}
