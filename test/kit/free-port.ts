import { serveOnLoopback } from '../../src/io/transport/loopback.ts'

/** A port of 127.0.0.1 that was free a moment ago, for programs that must be told theirs before they start. */
export async function freePort(): Promise<number> {
  const server = await serveOnLoopback(() => undefined)
  await server.close()
  return Number(new URL(server.url).port)
}
