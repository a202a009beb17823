/** What is paid and what is called: chain, facilitator, the official seller, and a plain upstream. */
import type { ServerResponse } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { z } from 'zod'
import { serveOnLoopback } from '../src/io/transport/loopback.ts'
import { startWorld } from '../src/app/sandbox/world.ts'
import { servePart } from './child.ts'
import type { WorldFacts } from './facts.ts'
import { GAP_MS, STREAM_EVENTS } from './lane-stream.ts'

await servePart(z.null(), async () => {
  const world = await startWorld()
  const upstream = await serveOnLoopback((request, response) => {
    if (request.url?.endsWith('/completions') !== true) {
      response.writeHead(404).end()
      return
    }
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      if (request.url?.endsWith('/chat/completions') === true) {
        response.writeHead(200, { 'content-type': 'application/json' }).end(Buffer.concat(chunks))
      } else {
        stream(response).catch(() => response.destroy())
      }
    })
  })
  const { chain } = world
  return {
    facts: { seller: world.seller.apiBase, upstream: `${upstream.url}/v1` } satisfies WorldFacts,
    figures: { transfers: async () => (await chain.transfers({ to: chain.accounts.seller.address })).length },
    async close() {
      await upstream.close()
      await world.close()
    },
  }
})

async function stream(response: ServerResponse): Promise<void> {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  for (let index = 0; index < STREAM_EVENTS; index += 1) {
    if (index > 0) await pause(GAP_MS)
    response.write(`data: {"choices":[{"index":0,"delta":{"content":"word ${index}"}}]}\n\n`)
  }
  response.end('data: [DONE]\n\n')
}
