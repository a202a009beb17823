/** The streams of a whole gateway: what the seller is asked for, early comments, drains, and docs/streams.md. */
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { run } from '../../src/app/cli/run.ts'
import { cash } from '../../providers/cash.ts'
import { FakeTerminal } from '../cli/fake-terminal.ts'
import { startGateway, type TestGateway } from '../kit/gateway.ts'
import { receiptV2 } from '../kit/seller-answers.ts'
import { startScriptedSeller } from '../kit/scripted-seller.ts'
import { type ScriptedSeller } from '../kit/scripted-seller.ts'
import { blocksOf } from '../kit/markdown.ts'
import { signalled } from '../kit/relay-world.ts'
import { eventsOf } from '../kit/sse.ts'

const CHUNK = 'data: {"id":"c1","choices":[{"index":0,"delta":{"content":"he"},"finish_reason":null}]}\n\n'
const LAST = `${CHUNK.replace('null', '"stop"')}data: {"id":"c1","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2}}\n\ndata: [DONE]\n\n`
const PAID = { 'content-type': 'text/event-stream', ...receiptV2({ success: true }) }
const BODY = '{ "model":"paid/m" , "messages":[], "stream": true}'

let seller: ScriptedSeller
let gateway: TestGateway
/** What the seller does once it is paid. */
let serve: (response: ServerResponse) => void | Promise<void>

async function start(route: object = {}, config: object = {}): Promise<void> {
  process.env['STREAMS_WALLET'] = 'not read'
  gateway = await startGateway(
    {
      payers: { base: { kind: 'direct', key: '${env:STREAMS_WALLET}', networks: ['base-sepolia'] } },
      model_list: [
        { model_name: 'paid/*', model: 'paid/*', api_base: seller.apiBase, payer: 'base', ...route },
      ],
      ...config,
    },
    { payers: new Map([['base', cash()]]) },
  )
}

beforeEach(async () => {
  serve = (response) => {
    response.writeHead(200, PAID)
    response.end(CHUNK + LAST)
  }
  seller = await startScriptedSeller({ paid: (_request, response) => serve(response) })
})

afterEach(async () => {
  await gateway.close()
  await seller.close()
})

async function ask(
  body = BODY,
  path = '/v1/chat/completions',
): Promise<{ message: IncomingMessage; text: () => Promise<string> }> {
  const outgoing = httpRequest(`${gateway.url}${path}`, {
    method: 'POST',
    agent: false,
    headers: { 'content-type': 'application/json', te: 'trailers' },
  })
  outgoing.end(body)
  const message = await new Promise<IncomingMessage>((resolve, reject) => {
    outgoing.once('response', resolve)
    outgoing.once('error', reject)
  })
  return {
    message,
    async text() {
      const chunks: Buffer[] = []
      for await (const chunk of message) chunks.push(Buffer.from(chunk as Buffer))
      return Buffer.concat(chunks).toString()
    },
  }
}

/** What the seller was sent, each time the same. */
function sentBodies(): string[] {
  return [...new Set(seller.requests.map(({ body }) => body.toString()))]
}

describe('a paid stream', () => {
  test('is asked for its usage by a change of these bytes only, and the client sees none of it', async () => {
    await start()
    const text = await (await ask()).text()
    expect(sentBodies()).toEqual([BODY.replace('true}', 'true,"stream_options":{"include_usage":true}}')])
    expect(text).not.toContain('usage')
    const record = (await gateway.audit()).find(({ type }) => type === 'request')
    expect(record).toMatchObject({ inputTokens: 5, outputTokens: 2, spent: 'yes' })
  })

  test('of a seller that refuses the field goes out as the client sent it', async () => {
    await start({ drop_params: ['stream_options'] })
    await (await ask()).text()
    expect(sentBodies()).toEqual([BODY])
  })

  test('of a seller that only streams is one JSON answer for a client that does not', async () => {
    await start({ always_stream: true })
    const answer = await ask('{"model":"paid/m","messages":[]}')
    expect(JSON.parse(await answer.text())).toMatchObject({
      choices: [{ message: { content: 'hehe' }, finish_reason: 'stop' }],
      usage: { prompt_tokens: 5, cost: 0.001 },
    })
    expect(sentBodies()).toEqual([
      '{"model":"paid/m","messages":[],"stream":true,"stream_options":{"include_usage":true}}',
    ])
    expect(seller.requests.at(-1)?.headers.accept).toBe('text/event-stream')
    await converted('sse_to_json')
  })
})

/** The conversion is counted, and stands in the record of the request. */
async function converted(kind: string): Promise<void> {
  await expect.poll(async () => (await gateway?.audit())?.at(-1)?.['conversion']).toBe(kind)
  expect(await gateway?.metric('tollway_stream_conversions_total', { route: 'paid/*', kind })).toBe(1)
}

describe('early_keepalive', () => {
  const keepalive = { stream: { keepalive_seconds: 0.02 } }

  test('says that it waits while the paid call is silent, then streams, and tells the cost behind it', async () => {
    const waited = signalled()
    serve = async (response) => {
      await waited.promise
      response.writeHead(200, PAID)
      response.end(CHUNK + LAST)
    }
    await start({ early_keepalive: true }, keepalive)
    const { message, text } = await ask()
    expect(message.statusCode).toBe(200)
    expect(message.headers['x-tollway-spent']).toBe('unknown')
    await once(message, 'readable')
    waited.resolve()
    const said = await text()
    expect(said).toMatch(/^(?:: waiting\n\n)+data: /)
    expect(eventsOf(Buffer.from(said)).at(-1)?.data).toBe('[DONE]')
    expect(message.trailers).toMatchObject({
      'x-tollway-spent': 'yes',
      'x-tollway-cost-usd': '0.001',
      'x-tollway-truncated': 'false',
    })
  })

  test('tells what fails after it in the stream, once', async () => {
    const waited = signalled()
    serve = async (response) => {
      await waited.promise
      response.writeHead(500).end('{}')
    }
    await start({ early_keepalive: true }, keepalive)
    const { message, text } = await ask()
    waited.resolve()
    const events = eventsOf(Buffer.from(await text()))
    expect(events).toHaveLength(1)
    expect(JSON.parse(events[0]?.data ?? '')).toMatchObject({ error: { type: 'invalid_request_error' } })
    expect(message.trailers['x-tollway-spent']).toBe('unknown')
  })

  test('a failure told in the stream is told again to the same request, and is not paid again', async () => {
    let paid = 0
    const waited = signalled()
    serve = async (response) => {
      paid += 1
      await waited.promise
      response.writeHead(500, receiptV2({ success: true })).end('{}')
    }
    await start({ early_keepalive: true }, keepalive)
    const first = await ask()
    waited.resolve()
    const said = eventsOf(Buffer.from(await first.text()))
    expect(first.message.statusCode).toBe(200)
    for (let again = 0; again < 2; again += 1) {
      const { message, text } = await ask()
      expect(message.headers['x-tollway-replayed']).toBe('yes')
      expect(await text()).toContain(
        (JSON.parse(said[0]?.data ?? '') as { error: { code: string } }).error.code,
      )
    }
    expect(paid).toBe(1)
  })

  test('comments are no answer: a client that got nothing else and asks again gets what was paid for', async () => {
    let paid = 0
    const waited = signalled()
    serve = async (response) => {
      paid += 1
      response.writeHead(200, PAID).flushHeaders()
      await waited.promise
      response.end(CHUNK + LAST)
    }
    await start({}, keepalive)
    const first = await ask()
    await once(first.message, 'readable')
    expect(String(first.message.read())).toMatch(/^: keep-alive/)
    first.message.destroy()
    await expect.poll(async () => (await gateway.audit()).some(({ type }) => type === 'request')).toBe(true)
    waited.resolve()
    const again = await ask()
    expect(again.message.headers['x-tollway-replayed']).toBe('yes')
    expect(await again.text()).toContain('[DONE]')
    expect(paid).toBe(1)
  })

  test.each([
    ['a page', '/v1/chat/completions', { 'content-type': 'text/html' }],
    [
      'a stream in a coding nobody knows',
      '/v1/messages',
      { 'content-type': 'text/event-stream', 'content-encoding': 'snappy' },
    ],
  ])('tells in the stream that %s came, which cannot be put into it', async (_what, path, headers) => {
    const waited = signalled()
    serve = async (response) => {
      await waited.promise
      response.writeHead(200, { ...headers, ...receiptV2({ success: true }) }).end('<p>raw bytes</p>')
    }
    await start({ early_keepalive: true }, keepalive)
    const { message, text } = await ask(BODY, path)
    waited.resolve()
    const said = await text()
    expect(said).not.toContain('raw')
    const [event, ...others] = eventsOf(Buffer.from(said))
    expect([event?.event, others]).toEqual([path === '/v1/messages' ? 'error' : undefined, []])
    expect(JSON.parse(event?.data ?? '')).toMatchObject({
      error: { message: expect.stringMatching(/neither a stream nor JSON|is not supported/) },
    })
    expect(message.trailers).toMatchObject({ 'x-tollway-spent': 'yes', 'x-tollway-cost-usd': '0.001' })
    const record = (await gateway.audit()).find(({ type }) => type === 'request')
    expect(record).toMatchObject({ code: 'paid_not_delivered' })
  })

  test('makes events of a JSON answer with another status of success', async () => {
    const waited = signalled()
    serve = async (response) => {
      await waited.promise
      response.writeHead(201, { 'content-type': 'application/json', ...receiptV2({ success: true }) })
      response.end('{"id":"c1","choices":[{"index":0,"message":{"content":"hi"},"finish_reason":"stop"}]}')
    }
    await start({ early_keepalive: true }, keepalive)
    const { text } = await ask()
    waited.resolve()
    const events = eventsOf(Buffer.from(await text()))
    expect(events.some(({ data }) => data.includes('"content":"hi"'))).toBe(true)
    expect(events.at(-1)?.data).toBe('[DONE]')
    await converted('json_to_sse')
  })

  test('is off by default: a failure has its status', async () => {
    serve = (response) => void response.writeHead(500).end('{}')
    await start({}, keepalive)
    const { message, text } = await ask()
    await text()
    expect(message.statusCode).toBe(400)
  })
})

test.each(['abort', 'drain'] as const)(
  'a client that leaves: on_disconnect %s of the route decides',
  async (way) => {
    const gone = signalled<boolean>()
    const left = signalled()
    serve = async (response) => {
      response.on('close', () => gone.resolve(response.writableFinished))
      response.writeHead(200, PAID)
      response.write(CHUNK)
      await left.promise
      if (way === 'drain') response.end(LAST)
    }
    await start({ on_disconnect: way }, { stream: { on_disconnect: way === 'drain' ? 'abort' : 'drain' } })
    const { message } = await ask()
    await once(message, 'data')
    message.on('error', () => {})
    message.destroy()
    // Its record is written when the gateway has seen it leave.
    while (!(await gateway.audit()).some(({ type }) => type === 'request')) await nextTurn()
    left.resolve()
    expect(await gone.promise).toBe(way === 'drain')
    await gateway.gateway.close()
    const record = (await gateway.audit()).find(({ type }) => type === 'request')
    expect(record).toMatchObject({
      spent: 'yes',
      details: { client_left: way === 'drain' ? 'drained' : 'aborted' },
    })
  },
)

describe("a route's own timeouts", () => {
  const ALL = { first_byte_seconds: 300, idle_seconds: 300, total_seconds: 3600 }

  test('idle_seconds ends a stream that falls silent, as a truncated answer', async () => {
    serve = (response) => void response.writeHead(200, PAID).write(CHUNK)
    await start({ timeouts: { idle_seconds: 3 } }, { timeouts: ALL })
    const { message, text } = await ask()
    expect(await text()).toContain('"finish_reason":"length"')
    expect(message.trailers['x-tollway-truncated']).toBe('true')
    const record = (await gateway.audit()).find(({ type }) => type === 'request')
    expect(record).toMatchObject({ spent: 'yes', details: { stream_broke: 'BodyIdleError' } })
  })

  test('total_seconds ends a stream that goes on and on', async () => {
    const gone = signalled()
    serve = (response) => {
      response.writeHead(200, PAID)
      const drip = setInterval(() => response.write(CHUNK), 20)
      response.once('close', () => gone.resolve(clearInterval(drip)))
    }
    await start({ timeouts: { total_seconds: 5 } }, { timeouts: ALL })
    const { text } = await ask()
    expect(await text()).toContain('"finish_reason":"length"')
    await gone.promise
    const record = (await gateway.audit()).find(({ type }) => type === 'request')
    expect(record).toMatchObject({ spent: 'yes', details: { stream_broke: 'TimeoutError' } })
  })

  test('first_byte_seconds leaves the payment uncertain when the paid call is not answered', async () => {
    serve = () => undefined
    await start({ timeouts: { first_byte_seconds: 3 } }, { timeouts: ALL })
    const { message, text } = await ask()
    expect([message.statusCode, message.headers['x-tollway-spent']]).toEqual([400, 'unknown'])
    expect(await text()).toContain('payment_uncertain')
  })
})

test('the example of docs/streams.md is what the page says it is', async () => {
  await start()
  const page = await readFile(join(import.meta.dirname, '../../docs/streams.md'), 'utf8')
  const [block, ...others] = blocksOf(page)
  expect([block?.marker, others]).toEqual(['streams', []])
  const path = join(gateway.directory, 'tollway.yaml')
  await writeFile(path, block?.text ?? '')
  const terminal = new FakeTerminal({ TOLLWAY_WALLET_KEY: 'not read' })
  expect([await run(['check', '--config-only', '--config', path], terminal), terminal.err]).toEqual([0, ''])
  expect(terminal.out).toContain(
    'always requested as a stream; keep-alive comments are sent before the paid response starts; read to its end when the client leaves; at most 50 events a second',
  )
})
