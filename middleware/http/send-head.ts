import type { ServerResponse } from 'node:http'

/**
 * Sends the headers at once. `flushHeaders()` writes them as UTF-8, so that every byte above 0x7F would become two; with a body of no
 * bytes they are written as they are. An answer without a body sends them at its end.
 */
export function sendHead(res: ServerResponse): void {
  const isBodiless = res.req.method === 'HEAD' || res.statusCode === 204 || res.statusCode === 304
  if (!res.headersSent && !isBodiless) res.write(NOTHING)
}

const NOTHING = Buffer.alloc(0)
