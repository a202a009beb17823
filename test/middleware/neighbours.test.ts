import { mkdtemp, rm } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import compression from 'compression'
import cors from 'cors'
import helmet from 'helmet'
import { createProxyMiddleware } from 'http-proxy-middleware'
import morgan from 'morgan'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import * as parts from '../../middleware/index.ts'
import type { ClosableHandler, Handler, Request } from '../../middleware/index.ts'
import { toyPayer } from '../../src/testing/toy-payer.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'
import { completion, events, RECEIPT } from '../kit/seller-answers.ts'
import { encodeBase64Json } from '../../src/core/x402/wire-json.ts'
import { codeOf, post, send, serve, untyped } from './harness.ts'
import { EXPRESS, type HostApp } from './hosts.ts'

const CHAT = '/v1/chat/completions'
const PAGE = 'https://app.example.com'
const TEXT = 'x'.repeat(5000)
const EVENTS = [JSON.stringify({ choices: [{ delta: { content: TEXT } }] }), '[DONE]']

let directory: string
let seller: ScriptedSeller
const opened: ClosableHandler[] = []

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tollway-neighbours-'))
  seller = await startScriptedSeller({
    paid: events(EVENTS, { 'payment-response': encodeBase64Json(RECEIPT) }),
  })
})

afterEach(async () => {
  for (const part of opened.splice(0)) await part.close()
  await seller.close()
  await rm(directory, { recursive: true, force: true })
})

function mountChain(app: HostApp, routes: readonly parts.PlainRoute[]): void {
  const budgets = [{ name: 'day', limitUsd: '1.00', window: 'day' }]
  const guard = parts.budgetGuard({ budgets, store: `sqlite:${join(directory, 'tollway.db')}` })
  const interceptor = parts.paymentInterceptor({ payers: { toy: toyPayer() } })
  opened.push(guard, interceptor)
  app.use(parts.originGuard({ origins: [PAGE] }), parts.readBody())
  app.use(parts.modelRouter({ routes, unclaimed: 'next' }), guard, interceptor, parts.sseRestreamer())
}

const paid = (): parts.PlainRoute => ({ modelName: 'paid/*', apiBase: seller.apiBase, payer: 'toy' })

describe.each(EXPRESS)('beside its neighbours in $name', (host) => {
  it('streams through helmet, cors, morgan and compression, and lets the allowed page in', async () => {
    const lines: string[] = []
    const app = host.app()
    app.use(untyped<Handler>(helmet()), untyped<Handler>(cors({ origin: PAGE })))
    app.use(untyped<Handler>(morgan('tiny', { stream: { write: (line) => void lines.push(line) } })))
    app.use(untyped<Handler>(compression()))
    mountChain(app, [paid(), { modelName: 'free', apiBase: `${seller.url}/free` }])
    app.use(parts.errorHandler())
    parts.assertOrder(app)
    const port = await serve(app)
    const headers = { origin: PAGE, 'sec-fetch-site': 'cross-site', 'accept-encoding': 'gzip' }
    const answer = await post(port, CHAT, { model: 'paid/m', stream: true }, headers)
    expect(answer.status).toBe(200)
    expect(answer.body.toString()).toContain(TEXT)
    expect(answer.headers).toMatchObject({
      'access-control-allow-origin': PAGE,
      'x-content-type-options': 'nosniff',
      'x-tollway-spent': 'yes',
    })
    expect(answer.headers['content-encoding']).toBeUndefined()
    seller.follow({ unpaid: events(EVENTS) })
    const free = await post(port, CHAT, { model: 'free', stream: true }, headers)
    expect(free.headers['content-encoding']).toBeUndefined()
    expect(free.body.toString()).toContain(TEXT)
    seller.follow({ unpaid: completion({ text: TEXT }) })
    const json = await post(port, CHAT, { model: 'free' }, headers)
    expect(json.headers['content-encoding']).toBe('gzip')
    expect(lines).toHaveLength(3)
  })

  it('pays in front of a proxy that keeps every other model and path, byte for byte', async () => {
    const upstream = await startScriptedSeller(({ url, body }) => ({
      status: 200,
      headers: { 'content-type': 'text/plain' },
      body: `${url} ${body.toString()}`,
    }))
    try {
      const app = host.app()
      mountChain(app, [paid()])
      app.use(untyped<Handler>(createProxyMiddleware({ target: upstream.url, changeOrigin: true })))
      app.use(parts.errorHandler())
      const port = await serve(app)
      expect((await post(port, CHAT, { model: 'paid/m' })).headers['x-tollway-spent']).toBe('yes')
      const other = await post(port, CHAT, '{ "model":  "gpt-4o" }')
      expect(other.body.toString()).toBe(`${CHAT} { "model":  "gpt-4o" }`)
      const form = { 'content-type': 'text/plain' }
      expect((await post(port, '/anything?x=1', 'abc', form)).body.toString()).toBe('/anything?x=1 abc')
      expect((await send(port, { path: '/v1/models' })).body.toString()).toBe('/v1/models ')
    } finally {
      await upstream.close()
    }
  })

  it('leaves errors of the application to it, and answers its own behind the same handlers', async () => {
    const app = host.app()
    mountChain(app, [paid()])
    app.use('/broken', (_req: Request, _res: ServerResponse, next: (error: unknown) => void) =>
      next(new Error('own')),
    )
    app.use(parts.errorHandler())
    app.use(
      (_error: unknown, _req: Request, res: ServerResponse, _next: unknown) => void res.writeHead(418).end(),
    )
    const port = await serve(app)
    expect((await send(port, { path: '/broken' })).status).toBe(418)
    expect(codeOf(await post(port, CHAT, 'no json'))).toBe('invalid_json')
  })
})
