import { mkdtemp, rm } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Handler, Request } from '../../middleware/index.ts'
import { tollway, type TollwayMiddleware, type TollwayOptions } from '../../src/app/embedding/tollway.ts'
import { toyPayer } from '../../src/testing/toy-payer.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'
import { codeOf, messageOf, post, send, serve, untyped } from './harness.ts'
import { EXPRESS } from './hosts.ts'

const CHAT = '/v1/chat/completions'
const log = pino({ level: 'silent' })

let directory: string
let seller: ScriptedSeller
const open: TollwayMiddleware[] = []

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tollway-embedded-'))
  seller = await startScriptedSeller()
})

afterEach(async () => {
  for (const middleware of open.splice(0)) await middleware.close()
  await seller.close()
  await rm(directory, { recursive: true, force: true })
})

function config(more: object = {}): object {
  return {
    store: `sqlite:${join(directory, 'tollway.db')}`,
    audit: { path: join(directory, 'audit.jsonl') },
    model_list: [{ model_name: 'paid/*', api_base: seller.apiBase, payer: 'toy' }],
    budgets: [{ name: 'mine', per: 'caller', limit_usd: '0.001', window: 'day' }],
    ...more,
  }
}

function mount(more: object = {}, options: TollwayOptions = {}): ReturnType<typeof tollway> {
  const middleware = tollway(config(more), { payers: { toy: toyPayer() }, log, ...options })
  open.push(middleware)
  return middleware
}

const echo: Handler = (req, res) => {
  res.setHeader('content-type', 'text/plain')
  req.pipe(res)
}

describe.each(EXPRESS)('tollway(config) in $name', (host) => {
  it.each(['', '/ai', '/v1'])(
    'pays what a route claims under "%s", and hands on everything else unread',
    async (path) => {
      const app = host.app()
      if (path === '') app.use(mount())
      else app.use(path, mount())
      app.use(echo)
      const port = await serve(app)
      const chat = path === '/v1' ? CHAT : `${path}${CHAT}`
      const paid = await post(port, chat, { model: 'paid/m', messages: [] })
      expect([paid.status, paid.headers['x-tollway-spent']]).toEqual([200, 'yes'])
      for (const body of ['{ "model":  "gpt" }', 'not json', '{"messages":[]}']) {
        const other = await post(port, chat, body)
        expect([other.body.toString(), other.headers['x-request-id']]).toEqual([body, undefined])
      }
      const form = await send(port, {
        method: 'POST',
        path: chat,
        body: 'a=1',
        headers: { 'content-type': 'text/x' },
      })
      expect(form.body.toString()).toBe('a=1')
      expect((await send(port, { path: `${path}/v1/models` })).headers['content-type']).toBe('text/plain')
      expect(seller.payments).toHaveLength(1)
    },
  )

  it('takes another configuration over, all of it or nothing', async () => {
    const app = host.app()
    const middleware = mount()
    app.use(middleware)
    app.use(echo)
    const port = await serve(app)
    const call = async (seed: number, model = 'paid/m') =>
      await post(port, CHAT, { model, messages: [], seed })
    expect([(await call(1)).status, (await call(2)).status]).toEqual([200, 402])
    const budgets = [{ name: 'mine', per: 'caller', limit_usd: '0.002', window: 'day' }]
    expect(await middleware.reload(config({ budgets }))).toMatchObject({
      changed: ['budgets.mine.limit_usd'],
    })
    expect([(await call(3)).status, (await call(4)).status]).toEqual([200, 402])
    await expect(middleware.reload(config({ budgets: 'none' }))).rejects.toThrow('budgets')
    await expect(
      middleware.reload(config({ budgets: [], body_limit: '1mb', store: 'memory' })),
    ).rejects.toMatchObject({ code: 'restart_required' })
    expect((await call(5)).status).toBe(402)
    const models = [{ model_name: 'other/*', api_base: seller.apiBase, payer: 'toy' }]
    await middleware.reload(config({ budgets: [], model_list: models }))
    expect((await call(6)).headers['x-request-id']).toBeUndefined()
    expect((await call(7, 'other/m')).headers['x-tollway-spent']).toBe('yes')
  })

  it('answers its own failures itself, and leaves those of the host to the host', async () => {
    const app = host.app()
    app.use(mount())
    app.use((_req: Request, _res: ServerResponse, next: (error: unknown) => void) =>
      next(new Error('hosts own')),
    )
    app.use(
      (_error: unknown, _req: Request, res: ServerResponse, _next: unknown) => void res.writeHead(418).end(),
    )
    const port = await serve(app)
    seller.follow({ unpaid: { status: 500, headers: {}, body: '' } })
    expect(codeOf(await post(port, CHAT, { model: 'paid/m' }))).toBe('seller_unavailable')
    expect((await post(port, CHAT, { model: 'other' })).status).toBe(418)
  })

  it('keeps a budget per caller that the application names, and refuses whom it does not know', async () => {
    const app = host.app()
    app.use(mount({}, { caller: (req) => untyped<string | undefined>(req.headers['x-user']) }))
    const port = await serve(app)
    const ask = async (user: string | undefined, text: string): Promise<number> => {
      const headers: Record<string, string> = user === undefined ? {} : { 'x-user': user }
      return (await post(port, CHAT, { model: 'paid/m', messages: [text] }, headers)).status
    }
    expect([await ask('ann', 'a'), await ask('ann', 'b'), await ask('bob', 'a')]).toEqual([200, 402, 200])
    expect([await ask(undefined, 'a'), await ask('no good name', 'a')]).toEqual([401, 401])
  })
})

it('takes a body that express.json() has read only when it is told to', async () => {
  const [host] = EXPRESS
  if (!host) throw new Error('no Express')
  const app = host.app()
  app.use(host.json())
  app.use('/strict', mount())
  app.use(
    '/lax',
    mount({ store: 'memory', audit: { path: join(directory, 'b.jsonl') } }, { parsedBody: true }),
  )
  app.use((req: Request, res: ServerResponse) => void res.end(JSON.stringify(req.body)))
  const port = await serve(app)
  const refused = await post(port, `/strict${CHAT}`, { model: 'paid/m' })
  expect([refused.status, codeOf(refused)]).toEqual([500, 'setup_error'])
  expect(messageOf(refused)).toContain('express.json()')
  expect((await post(port, `/strict${CHAT}`, { model: 'x' })).body.toString()).toBe('{"model":"x"}')
  expect((await post(port, `/lax${CHAT}`, { model: 'paid/m' })).status).toBe(200)
})

it('without callers, pays for this machine only: not for what a proxy passes on', async () => {
  const middleware = mount()
  const port = await serve((req, res) => middleware(req, res, () => res.end('host')))
  for (const header of [
    'x-forwarded-for',
    'x-forwarded-host',
    'cf-connecting-ip',
    'true-client-ip',
    'x-envoy-external-address',
  ]) {
    const refused = await post(port, CHAT, { model: 'paid/m' }, { [header]: '203.0.113.9' })
    expect([header, refused.status, codeOf(refused)]).toEqual([header, 401, 'invalid_api_key'])
  }
  expect(seller.requests).toEqual([])
  expect((await post(port, CHAT, { model: 'paid/m' })).status).toBe(200)
})

it('lets the web pages in that it is told of', async () => {
  const middleware = mount({}, { origins: ['https://app.example.com'] })
  const port = await serve((req, res) => middleware(req, res, () => res.end('host')))
  const from = async (origin: string): Promise<number> =>
    (await post(port, CHAT, { model: 'paid/m' }, { origin, 'sec-fetch-site': 'cross-site' })).status
  expect([await from('https://evil.example.com'), await from('https://app.example.com')]).toEqual([403, 200])
})

it('tells every mistake of the configuration at once, and rejects when awaited where it cannot open', async () => {
  expect(() => tollway({ model_list: [{ model_name: 'paid/*' }], budget: [] })).toThrow(
    /Did you mean|budgets/,
  )
  const broken = { store: `sqlite:${join(directory, 'no/such/place.db')}` }
  const middleware = mount(broken)
  await expect(Promise.resolve(middleware)).rejects.toThrow('does not exist. Create it, or change store')
  const port = await serve((req, res) => middleware(req, res, () => res.end('host')))
  expect((await post(port, CHAT, { model: 'other' })).body.toString()).toBe('host')
  const answer = await post(port, CHAT, { model: 'paid/m' })
  expect(answer.status).toBeGreaterThanOrEqual(500)
  expect(seller.requests).toEqual([])
})

it('is a middleware when awaited, and closes once', async () => {
  const middleware = await mount()
  expect([middleware.name, 'then' in middleware]).toEqual(['tollway', false])
  const port = await serve((req, res) => middleware(req, res, () => res.end('host')))
  expect((await post(port, CHAT, { model: 'paid/m' })).status).toBe(200)
  await Promise.all([middleware.close(), middleware.close()])
})
