import { gzipSync } from 'node:zlib'
import { once } from 'node:events'
import { createServer, get, type ServerResponse } from 'node:http'
import compression from 'compression'
import { request as undiciRequest } from 'undici'
import { describe, expect, it, onTestFinished } from 'vitest'
import { exchangeOf, restream, type Handler, type OwnReply, type Request } from '../../middleware/index.ts'
import { post, send, serve, untyped } from './harness.ts'
import { EXPRESS } from './hosts.ts'

const CHAT = '/v1/chat/completions'
const USAGE = '{"prompt_tokens":3,"completion_tokens":4}'
const STREAM = `data: {"choices":[{"delta":{"content":"hi"}}]}\n\ndata: {"choices":[],"usage":${USAGE}}\n\ndata: [DONE]\n\n`

/** An upstream that a test writes itself. */
async function upstream(answer: (res: ServerResponse) => void): Promise<string> {
  return `http://127.0.0.1:${await serve((_req, res) => answer(res))}`
}

describe.each(EXPRESS)('restream(res, reply) in $name', (host) => {
  async function mount(reply: () => OwnReply | Promise<OwnReply>, ...before: Handler[]): Promise<number> {
    const app = host.app()
    for (const handler of before) app.use(handler)
    app.post(CHAT, (_req: Request, res: ServerResponse, next: (error: unknown) => void) => {
      Promise.resolve(reply())
        .then((answer) => restream(res, answer))
        .catch(next)
    })
    return await serve(app)
  }

  it('refuses a second answer to one request, also before the head of the first is sent', async () => {
    let both: Promise<PromiseSettledResult<void>[]> | undefined
    const reply = { status: 200, headers: { 'content-type': 'text/event-stream' }, body: STREAM }
    const app = host.app()
    app.post(CHAT, (_req: Request, res: ServerResponse) => {
      both = Promise.allSettled([restream(res, reply), restream(res, reply)])
    })
    const answer = await post(await serve(app), CHAT, {})
    expect(answer.body.toString('utf8').match(/\[DONE\]/g)).toHaveLength(1)
    expect(answer.body.toString('utf8').match(/"hi"/g)).toHaveLength(1)
    expect((await both)?.map((one) => (one.status === 'rejected' ? String(one.reason) : 'sent'))).toEqual([
      'sent',
      'TypeError: restream(): an answer has begun already.',
    ])
  })

  it('relays what fetch and undici return, and what was put together by hand', async () => {
    const url = await upstream((res) => {
      res.writeHead(201, {
        'content-type': 'text/event-stream',
        'x-own': ['a', 'b'],
        'keep-alive': 'timeout=9',
      })
      res.end(STREAM)
    })
    const replies: (() => OwnReply | Promise<OwnReply>)[] = [
      () => fetch(url),
      () => undiciRequest(url),
      () => ({
        status: 201,
        headers: { 'Content-Type': 'text/event-stream', 'x-own': ['a', 'b'] },
        body: STREAM,
      }),
      () => ({
        status: 201,
        headers: [
          ['content-type', 'text/event-stream'],
          ['x-own', 'a'],
          ['x-own', 'b'],
        ],
        body: [STREAM.slice(0, 9), STREAM.slice(9)],
      }),
    ]
    for (const reply of replies) {
      const answer = await post(await mount(reply), CHAT, {})
      expect([answer.status, answer.body.toString()]).toEqual([201, STREAM])
      expect(answer.headers).toMatchObject({ 'content-type': 'text/event-stream', 'x-own': 'a, b' })
      expect(answer.headers['keep-alive']).not.toBe('timeout=9')
    }
  })

  it('sends every piece when it comes, also behind compression()', async () => {
    const pieces = STREAM.split(/(?<=\n\n)/)
    const waiting = new Map(pieces.map((piece) => [piece, Promise.withResolvers<void>()]))
    async function* body(): AsyncGenerator<string> {
      for (const piece of pieces) {
        yield piece
        // The next only once the client has this one: nothing may be held back.
        await waiting.get(piece)?.promise
      }
    }
    const port = await mount(
      () => ({ status: 200, headers: { 'content-type': 'text/event-stream' }, body: body() }),
      untyped<Handler>(compression()),
    )
    const response = await fetch(`http://127.0.0.1:${port}${CHAT}`, {
      method: 'POST',
      headers: { 'accept-encoding': 'gzip' },
    })
    let text = ''
    for await (const chunk of response.body ?? []) {
      text += Buffer.from(chunk).toString()
      for (const [piece, { resolve }] of waiting) if (text.includes(piece)) resolve()
    }
    expect([text, response.headers.get('cache-control')]).toEqual([STREAM, 'no-transform'])
  })

  it('passes a compressed answer of fetch on decoded, and that of undici as it came', async () => {
    const url = await upstream((res) => {
      res.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' })
      res.end(gzipSync('{"a":1}'))
    })
    const decoded = await post(await mount(() => fetch(url)), CHAT, {})
    expect([decoded.body.toString(), decoded.headers['content-encoding']]).toEqual(['{"a":1}', undefined])
    const raw = await post(await mount(() => undiciRequest(url)), CHAT, {})
    expect([raw.body.equals(gzipSync('{"a":1}')), raw.headers['content-encoding']]).toEqual([true, 'gzip'])
  })

  it('notes the tokens of the answer for the middlewares before it', async () => {
    const seen = Promise.withResolvers<unknown>()
    const watch: Handler = (req, res, next) => {
      res.on('finish', () => seen.resolve(exchangeOf(req).relay.usage))
      next()
    }
    const headers = { 'content-type': 'text/event-stream' }
    await post(await mount(() => ({ status: 200, headers, body: STREAM }), watch), CHAT, {})
    await expect(seen.promise).resolves.toMatchObject({ inputTokens: 3, outputTokens: 4 })
  })

  it('lets go of the upstream when the client leaves', async () => {
    const closed = Promise.withResolvers<void>()
    const url = await upstream((res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.write('data: 1\n\n')
      res.on('close', () => closed.resolve())
    })
    const port = await mount(() => fetch(url))
    const leaving = new AbortController()
    const response = await fetch(`http://127.0.0.1:${port}${CHAT}`, {
      method: 'POST',
      signal: leaving.signal,
    })
    await response.body?.getReader().read()
    leaving.abort()
    await closed.promise
  })

  it('cuts the client off when the upstream breaks off, so that it can tell', async () => {
    const url = await upstream((res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.write('data: 1\n\n', () => res.destroy())
    })
    const port = await mount(() => fetch(url))
    await expect(post(port, CHAT, {})).rejects.toThrow(/aborted|socket hang up/)
  })

  it('refuses what is no answer, and a second answer', async () => {
    for (const wrong of [{}, { status: 99 }, { status: '200' }]) {
      expect((await post(await mount(() => untyped<OwnReply>(wrong)), CHAT, {})).status).toBe(500)
    }
    const late: Handler = (_req, res, next) => {
      res.write('x')
      next()
    }
    const port = await mount(() => ({ status: 200 }), late)
    await expect(post(port, CHAT, {})).rejects.toThrow(/aborted|socket hang up/)
    expect(
      (await send(await mount(() => ({ status: 204, body: null })), { method: 'POST', path: CHAT })).status,
    ).toBe(204)
  })
})

it('works on a bare server', async () => {
  const server = createServer((_req, res) => void restream(res, { status: 200, body: 'x' }))
  onTestFinished(() => void server.close())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : undefined
  const [response] = untyped<[{ statusCode: number; resume(): void }]>(
    await once(get({ host: '127.0.0.1', port, agent: false }), 'response'),
  )
  response.resume()
  expect(response.statusCode).toBe(200)
})
