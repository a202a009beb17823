/** Express with http-proxy-middleware and nothing else: what a relay without accounts costs. */
import express from 'express'
import { createProxyMiddleware } from 'http-proxy-middleware'
import { once } from 'node:events'
import { Agent, createServer } from 'node:http'
import { z } from 'zod'
import { servePart } from '../child.ts'

await servePart(z.strictObject({ upstream: z.string() }), async ({ upstream }) => {
  const agent = new Agent({ keepAlive: true })
  const app = express()
  app.use(createProxyMiddleware({ target: new URL(upstream).origin, agent }))
  const server = createServer(app)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : 0
  return {
    facts: { url: `http://127.0.0.1:${port}` },
    async close() {
      agent.destroy()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
})
