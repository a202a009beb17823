/** Logs and traces of a gateway that really pays, and what must not be in them. */
import { once } from 'node:events'
import { createServer as createTcpServer, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startWorld, type World } from '../../src/app/sandbox/world.ts'
import { openTracing } from '../../src/app/logging/tracing.ts'
import { ask, startGateway, walletPayer, type TestGateway } from '../kit/gateway.ts'
import { ManualTimers } from '../kit/manual-timers.ts'
import { startOtlpReceiver } from '../kit/otlp-receiver.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'
import { json } from '../kit/seller-answers.ts'

const UPSTREAM_KEY = 'sk-upstream-4242424242'
const CALLER_KEY = 'sk-caller-1717171717'
const PROMPT = 'a prompt nobody else shall read'
const PARENT = { traceId: '4bf92f3577b34da6a3ce929d0e0e4736', spanId: '00f067aa0ba902b7' }

/** What the unpaid upstream answers. */
const ANSWER = json({
  choices: [],
  usage: { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 },
})

let world: World
let receiver: Awaited<ReturnType<typeof startOtlpReceiver>>
let upstream: ScriptedSeller
const lines: string[] = []
let tollway: TestGateway
/** How many requests the seller had before the route that passes a trace on. */
let untraced = 0

const auth = { authorization: `Bearer ${CALLER_KEY}` }

beforeAll(async () => {
  ;[world, receiver, upstream] = await Promise.all([
    startWorld(),
    startOtlpReceiver(),
    startScriptedSeller(() => ANSWER),
  ])
  process.env['OBSERVED_CALLER_KEY'] = CALLER_KEY
  process.env['OBSERVED_UPSTREAM_KEY'] = UPSTREAM_KEY
  const paidRoute = { model_name: 'paid/*', model: '*', api_base: world.seller.apiBase, payer: 'base' }
  tollway = await startGateway(
    {
      callers: [{ id: 'openclaw', key: '${env:OBSERVED_CALLER_KEY}' }],
      payers: { base: walletPayer(world.chain) },
      model_list: [
        paidRoute,
        { ...paidRoute, model_name: 'traced/*', send_traceparent: true },
        { model_name: 'dear/*', model: '*', api_base: world.seller.apiBase, payer: 'base' },
        { model_name: 'free', api_base: upstream.apiBase, api_key: '${env:OBSERVED_UPSTREAM_KEY}' },
      ],
      budgets: [{ name: 'all', limit_usd: '0.005', window: 'day' }],
      log: { level: 'trace' },
    },
    {
      writeLog: (line) => void lines.push(line),
      env: { OTEL_EXPORTER_OTLP_ENDPOINT: `${receiver.url}/`, OTEL_SERVICE_NAME: 'my-tollway' },
    },
  )
  const withParent = { ...auth, traceparent: `00-${PARENT.traceId}-${PARENT.spanId}-01` }
  const messages = [{ role: 'user', content: PROMPT }]
  const paid = await ask(tollway.url, { model: 'paid/m', messages }, { ...withParent, 'x-request-id': 'one' })
  expect(paid.status).toBe(200)
  await paid.text()
  await (await ask(tollway.url, { model: 'free', messages }, { ...withParent, 'x-request-id': 'two' })).text()
  await (await ask(tollway.url, { model: 'none', messages }, { ...auth, 'x-request-id': 'three' })).text()
  await (
    await ask(tollway.url, { model: 'free', messages }, { authorization: 'Bearer sk-wrong-99999' })
  ).text()
  await (await fetch(`${tollway.url}/health/live`)).text()
  untraced = world.seller.log.length
  const traced = { ...withParent, 'x-request-id': 'traced' }
  await (await ask(tollway.url, { model: 'traced/m', messages }, traced)).text()
  await tollway.gateway.close()
})

afterAll(async () => {
  await tollway?.close()
  await Promise.all([world?.close(), receiver?.close(), upstream?.close()])
})

describe('logs', () => {
  const parsed = (): Record<string, unknown>[] =>
    lines.map((line) => JSON.parse(line) as Record<string, unknown>)

  test('one line a request at info, with its id, route, outcome and cost', () => {
    const requests = parsed().filter(({ msg, level }) => msg === 'request' && level === 30)
    expect(requests).toHaveLength(5)
    expect(requests[0]).toMatchObject({
      requestId: 'one',
      method: 'POST',
      endpoint: '/chat/completions',
      caller: 'openclaw',
      route: 'paid/*',
      payer: 'base',
      status: 200,
      outcome: 'paid',
      spent: 'yes',
      cost_usd: expect.stringMatching(/^0\.\d+$/),
      ms: expect.any(Number),
      charge: expect.stringMatching(/^chg_/),
    })
    expect(requests[1]).toMatchObject({ requestId: 'two', route: 'free', outcome: 'free', spent: 'no' })
    expect(requests[1]).not.toHaveProperty('cost_usd')
    expect(requests[2]).toMatchObject({ requestId: 'three', status: 404, code: 'model_not_found' })
    expect(requests[3]).toMatchObject({ status: 401, code: 'invalid_api_key', outcome: 'refused' })
  })

  test('probes and scrapes that succeed are logged at debug', () => {
    expect(parsed().filter(({ endpoint }) => String(endpoint).startsWith('/health'))).toMatchObject([
      { level: 20 },
    ])
  })

  test('rule 8: no key, signature, payload or prompt is in the log, the audit file or a trace, at any level', async () => {
    const { privateKey } = world.chain.accounts.buyer
    const everything = [...lines, ...(await tollway.audit()).map((record) => JSON.stringify(record))]
    const all = `${everything.join('')}${JSON.stringify(receiver.spans)}`
    expect(all).toContain('chg_')
    for (const secret of [
      UPSTREAM_KEY,
      CALLER_KEY,
      'sk-wrong-99999',
      PROMPT,
      privateKey,
      privateKey.slice(2),
    ]) {
      expect(all).not.toContain(secret)
    }
    expect(all).not.toMatch(/(?:0x)?[0-9a-f]{130}/i)
    expect(all).not.toMatch(/eyJ[\w+/=-]{64,}/)
  })
})

describe('traces', () => {
  const spanOf = (id: string) =>
    receiver.spans.find(({ attributes }) => attributes['tollway.request_id'] === id)

  test('a server span for each request, in the trace of the client, with the GenAI attributes', () => {
    expect(new Set(receiver.paths)).toEqual(new Set(['/v1/traces']))
    expect(receiver.resources[0]).toMatchObject({ 'service.name': 'my-tollway' })
    expect(spanOf('one')).toMatchObject({
      name: 'chat paid/*',
      kind: 2,
      traceId: PARENT.traceId,
      parentSpanId: PARENT.spanId,
      attributes: {
        'gen_ai.operation.name': 'chat',
        'gen_ai.request.model': 'm',
        'gen_ai.provider.name': expect.stringMatching(/^127\.0\.0\.1:\d+$/),
        'gen_ai.usage.input_tokens': expect.anything(),
        'gen_ai.usage.output_tokens': expect.anything(),
        'http.response.status_code': 200,
        'tollway.outcome': 'paid',
        'tollway.cost_usd': expect.stringMatching(/^0\./),
        'tollway.charge': expect.stringMatching(/^chg_/),
      },
    })
    expect(spanOf('three')).toMatchObject({ attributes: { 'error.type': 'model_not_found' } })
    expect(spanOf('three')?.traceId).not.toBe(PARENT.traceId)
  })

  test('the phases of a payment are its children, in their order and inside it', () => {
    const root = spanOf('one')
    const children = receiver.spans.filter(({ parentSpanId }) => parentSpanId === root?.spanId)
    const byStart = children.toSorted((a, b) => Number(BigInt(a.endTimeUnixNano) - BigInt(b.endTimeUnixNano)))
    expect(byStart.map(({ name }) => name)).toEqual(
      ['quote', 'reserve', 'sign', 'record', 'send'].map((phase) => `payment ${phase}`),
    )
    for (const child of children) {
      expect(child.traceId).toBe(PARENT.traceId)
      expect(BigInt(child.endTimeUnixNano)).toBeLessThanOrEqual(BigInt(root?.endTimeUnixNano ?? '0'))
    }
    expect(receiver.spans.filter(({ parentSpanId }) => parentSpanId === spanOf('two')?.spanId)).toEqual([])
  })

  test('an unpaid upstream gets our span as its parent, a seller gets nothing', () => {
    expect(upstream.requests[0]?.headers['traceparent']).toBe(
      `00-${PARENT.traceId}-${spanOf('two')?.spanId}-01`,
    )
    expect(world.seller.log.length).toBeGreaterThan(1)
    for (const { headers } of world.seller.log.slice(0, untraced)) {
      expect(Object.keys(headers)).not.toContain('traceparent')
      expect(JSON.stringify(headers)).not.toContain(PARENT.traceId)
    }
  })

  test('a seller whose route says so gets our span, with the probe and with the payment', () => {
    const sent = world.seller.log.slice(untraced).map(({ headers }) => headers['traceparent'])
    expect(sent).toEqual(Array(2).fill(`00-${PARENT.traceId}-${spanOf('traced')?.spanId}-01`))
  })

  test('without the packages the log says what to install, and the gateway goes on without traces', async () => {
    const told: unknown[] = []
    const log = { error: (...line: unknown[]) => void told.push(line), warn: () => undefined }
    const missing = new Error("Cannot find package '@opentelemetry/api'")
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url }
    expect(await openTracing(env, log, '1.0.0', () => Promise.reject(missing))).toBeUndefined()
    expect(told).toEqual([
      [
        { err: missing },
        expect.stringMatching(/no traces are sent\. Run: npm install @opentelemetry\/api .*otlp-http$/),
      ],
    ])
    expect(await openTracing({}, log, '1.0.0', () => Promise.reject(missing))).toBeUndefined()
    expect(told).toHaveLength(1)
  })

  test.each([
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'nonsense'],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'http://'],
    ['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', 'grpc://127.0.0.1:4317'],
  ])('an endpoint nothing can be sent to is told by its name: %s=%s', async (name, value) => {
    const told: string[] = []
    const log = { error: (_fields: object, words: string) => void told.push(words), warn: () => undefined }
    expect(await openTracing({ [name]: value }, log, '1.0.0')).toBeUndefined()
    expect(told).toEqual([expect.stringContaining(`${name} is not the address of an OTLP/HTTP collector`)])
  })

  test('a collector that takes no traces keeps a gateway from ending for two seconds at most', async () => {
    const sockets = new Set<Socket>()
    const hanging = createTcpServer((socket) => sockets.add(socket)).listen(0, '127.0.0.1')
    await once(hanging, 'listening')
    const address = hanging.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    const told: string[] = []
    const log = { error: () => undefined, warn: (_fields: object, words: string) => void told.push(words) }
    const timers = new ManualTimers()
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${address.port}` }
    const tracing = await openTracing(env, log, '1.0.0', undefined, timers)
    tracing?.begin({}, Date.now()).phase('sign', 0.001)
    const closed = tracing?.close()
    await once(hanging, 'connection')
    await timers.fire(2000)
    await closed
    expect(told).toEqual(['traces were lost: the collector did not accept them'])
    for (const socket of sockets) socket.destroy()
    hanging.close()
    await once(hanging, 'close')
  })
})
