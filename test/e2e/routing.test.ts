/** Which of several routes a request goes to, and where it goes when that one cannot serve. */
import type { ServerResponse } from 'node:http'
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import { cash } from '../../providers/cash.ts'
import type { Clock } from '../../src/core/clock.ts'
import { ask, errorOf, startGateway, type TestGateway } from '../kit/gateway.ts'
import { COMPLETION_JSON, challengeV2, receiptV2, send } from '../kit/seller-answers.ts'
import { startScriptedSeller } from '../kit/scripted-seller.ts'
import { type ScriptedSeller } from '../kit/scripted-seller.ts'
import { type SellerRequest } from '../kit/scripted-seller.ts'
import { offerV2 } from '../kit/quotes.ts'

const running: { close(): Promise<void> }[] = []

beforeAll(() => {
  process.env['ROUTING_WALLET'] = `0x${'11'.repeat(32)}`
  process.env['ROUTING_KEY'] = 'upstream-key'
})

afterEach(async () => {
  for (const part of running.splice(0).toReversed()) await part.close()
})

type Reply = (request: SellerRequest, response: ServerResponse, count: number) => void

/** An upstream that answers as it is told; the count begins with 1. */
async function upstream(reply: Reply): Promise<ScriptedSeller> {
  let count = 0
  const server = await startScriptedSeller((request, response) => reply(request, response, (count += 1)))
  running.push(server)
  return server
}

const ok: Reply = (_request, response) =>
  send(response, { status: 200, headers: { 'content-type': 'application/json' }, body: '{"ok":true}' })

const status =
  (code: number, headers: Record<string, string> = {}, body = '{"error":{"message":"no"}}'): Reply =>
  (_request, response) =>
    send(response, { status: code, headers: { 'content-type': 'application/json', ...headers }, body })

/** A seller with a price in atomic USDC. */
const selling =
  (amount: string): Reply =>
  (request, response) =>
    request.headers['payment-signature'] === undefined
      ? send(response, challengeV2([{ ...offerV2, amount }]))
      : send(response, {
          status: 200,
          headers: { 'content-type': 'application/json', ...receiptV2({ success: true }) },
          body: COMPLETION_JSON,
        })

async function start(config: object, clock?: Clock): Promise<TestGateway> {
  const gateway = await startGateway(
    {
      payers: { base: { kind: 'direct', key: '${env:ROUTING_WALLET}', networks: ['base-sepolia'] } },
      ...config,
    },
    { payers: new Map([['base', cash()]]), ...(clock && { clock }) },
  )
  running.push(gateway)
  return gateway
}

const route = ({ apiBase }: ScriptedSeller, more: object = {}): object => ({
  model_name: 'm',
  api_base: apiBase,
  ...more,
})

/** The `tried` of the newest request record. */
async function tried(gateway: TestGateway): Promise<unknown> {
  await expect.poll(async () => (await gateway.audit()).some(({ type }) => type === 'request')).toBe(true)
  const record = (await gateway.audit()).findLast(({ type }) => type === 'request')
  return (record?.['details'] as Record<string, unknown> | undefined)?.['tried']
}

describe('an unpaid route that cannot serve', () => {
  test.each([408, 429, 500, 502, 503, 504, 529])(
    'with %i hands on to the next one, on record',
    async (code) => {
      const bad = await upstream(status(code))
      const good = await upstream(ok)
      const gateway = await start({ model_list: [route(bad), route(good, { order: 1 })] })
      const answer = await ask(gateway.url, { model: 'm' })
      expect(await answer.text()).toBe('{"ok":true}')
      expect([bad.requests.length, good.requests.length]).toEqual([1, 1])
      const host = (server: ScriptedSeller): string => new URL(server.url).host
      expect(await tried(gateway)).toBe(`m@${host(bad)}=status_${code} m@${host(good)}=status_200`)
      expect(await gateway.metric('tollway_fallbacks_total', { reason: `status_${code}` })).toBe(1)
    },
  )

  test('and has no other: its own answer goes through, byte for byte', async () => {
    const bad = await upstream(status(503, { 'retry-after': '7' }, 'busy, sorry'))
    const gateway = await start({ model_list: [route(bad)] })
    const answer = await ask(gateway.url, { model: 'm' })
    expect([answer.status, answer.headers.get('retry-after'), await answer.text()]).toEqual([
      503,
      '7',
      'busy, sorry',
    ])
  })

  test.each([400, 404, 422, 501])('is not passed over for %i, which is about the request', async (code) => {
    const strict = await upstream(status(code))
    const good = await upstream(ok)
    const gateway = await start({ model_list: [route(strict), route(good, { order: 1 })] })
    expect((await ask(gateway.url, { model: 'm' })).status).toBe(code)
    expect(good.requests).toEqual([])
  })

  test("a refusal of our own key is its fault, a refusal without one is the client's", async () => {
    const refusing = await upstream(status(401))
    const good = await upstream(ok)
    const keyed = await start({
      model_list: [route(refusing, { api_key: '${env:ROUTING_KEY}' }), route(good, { order: 1 })],
    })
    expect((await ask(keyed.url, { model: 'm' })).status).toBe(200)
    const open = await start({ model_list: [route(refusing), route(good, { order: 1 })] })
    expect((await ask(open.url, { model: 'm' })).status).toBe(401)
  })

  test('never hands on after the first byte of an answer', async () => {
    const breaking = await upstream((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write('data: {"a":1}\n\n', () => response.destroy())
    })
    const good = await upstream(ok)
    const gateway = await start({ model_list: [route(breaking), route(good, { order: 1 })] })
    const answer = await ask(gateway.url, { model: 'm', stream: true })
    await expect(answer.text()).rejects.toThrow()
    expect(good.requests).toEqual([])
  })
})

describe('stand-ins', () => {
  const tooLong = JSON.stringify({ error: { message: 'long', code: 'context_length_exceeded' } })
  const filtered = JSON.stringify({ error: { message: 'bad', code: 'content_filter' } })

  test('for requests that are too long, or filtered, go past the same model elsewhere', async () => {
    const short = await upstream((request, response, count) =>
      status(400, {}, request.body.includes('filter me') ? filtered : tooLong)(request, response, count),
    )
    const twin = await upstream(ok)
    const long = await upstream(ok)
    const open = await upstream(ok)
    const gateway = await start({
      model_list: [
        route(short),
        route(twin, { order: 1 }),
        route(long, { model_name: 'long' }),
        route(open, { model_name: 'open' }),
      ],
      router: {
        context_window_fallbacks: [{ m: ['long'] }],
        content_policy_fallbacks: [{ m: ['open'] }],
      },
    })
    expect((await ask(gateway.url, { model: 'm' })).status).toBe(200)
    expect((await ask(gateway.url, { model: 'm', user: 'filter me' })).status).toBe(200)
    expect([twin.requests.length, long.requests.length, open.requests.length]).toEqual([0, 1, 1])
    expect(JSON.parse(long.requests[0]?.body.toString() ?? '')).toMatchObject({ model: 'long' })
  })

  test('leave every other 400 as it was, to the byte', async () => {
    const body = JSON.stringify({ error: { message: 'x'.repeat(200_000), code: 'other' } })
    const strict = await upstream(status(400, {}, body))
    const long = await upstream(ok)
    const gateway = await start({
      model_list: [route(strict), route(long, { model_name: 'long' })],
      router: { context_window_fallbacks: [{ m: ['long'] }] },
    })
    const answer = await ask(gateway.url, { model: 'm' })
    expect([answer.status, await answer.text()]).toEqual([400, body])
    expect(long.requests).toEqual([])
  })
})

describe('repeats', () => {
  test('of unpaid sends happen as often as allowed, with the pause that was asked for', async () => {
    const flaky = await upstream((request, response, count) =>
      (count <= 2 ? status(429, { 'retry-after-ms': '1' }) : ok)(request, response, count),
    )
    const gateway = await start({ model_list: [route(flaky)], router: { num_retries: 2 } })
    expect((await ask(gateway.url, { model: 'm' })).status).toBe(200)
    expect(flaky.requests).toHaveLength(3)
    expect(await gateway.metric('tollway_retries_total', { route: 'm', reason: 'status_429' })).toBe(2)
  })

  test('are none where a longer pause is asked for than a client should wait', async () => {
    const busy = await upstream(status(429, { 'retry-after': '60' }))
    const gateway = await start({ model_list: [route(busy, { max_retries: 5 })] })
    expect((await ask(gateway.url, { model: 'm' })).status).toBe(429)
    expect(busy.requests).toHaveLength(1)
  })

  test('rule 5: on a paid route repeat only the unpaid probe; a signed payment is sent once', async () => {
    const seller = await upstream((request, response, count) => {
      if (request.headers['payment-signature'] !== undefined) return void response.destroy()
      return (count === 1 ? status(503, { 'retry-after-ms': '1' }) : selling('1000'))(
        request,
        response,
        count,
      )
    })
    const spare = await upstream(ok)
    const gateway = await start({
      model_list: [route(seller, { payer: 'base' }), route(spare, { order: 1 })],
      router: { num_retries: 5 },
    })
    const answer = await ask(gateway.url, { model: 'm' })
    expect([answer.status, (await errorOf(answer)).code]).toEqual([400, 'payment_uncertain'])
    const signed = seller.requests.filter(({ headers }) => headers['payment-signature'] !== undefined)
    expect([seller.requests.length, signed.length, spare.requests.length]).toEqual([3, 1, 0])
  })
})

describe('a paid route', () => {
  const base = { payer: 'base' }

  test.each<[string, Reply]>([
    ['that is down', status(503)],
    ['that asks too much', selling('999999999')],
    [
      'that offers nothing we support',
      (_request, response) => send(response, challengeV2([{ ...offerV2, scheme: 'unheard-of' }])),
    ],
  ])('%s hands on to the next', async (_what, reply) => {
    const bad = await upstream(reply)
    const good = await upstream(selling('1000'))
    const gateway = await start({ model_list: [route(bad, base), route(good, { ...base, order: 1 })] })
    const answer = await ask(gateway.url, { model: 'm' })
    expect([answer.status, answer.headers.get('x-tollway-cost-usd')]).toEqual([200, '0.001'])
  })

  test.each<[string, Reply, object]>([
    ['a payee that is not allowed', selling('1000'), { sellers: true }],
    [
      'a budget that is spent',
      selling('1000'),
      { budgets: [{ name: 'b', limit_usd: '0.0005', window: 'day' }] },
    ],
    [
      'a network that is not allowed',
      (_request, response) => send(response, challengeV2([{ ...offerV2, network: 'eip155:1' }])),
      {},
    ],
  ])('rule 7: refused for %s ends there, without a fallback', async (_what, reply, more) => {
    const bad = await upstream(reply)
    const spare = await upstream(ok)
    const policy = 'sellers' in more ? { sellers: { [bad.url]: { pay_to: [`0x${'2'.repeat(40)}`] } } } : {}
    const gateway = await start({
      model_list: [route(bad, base), route(spare, { order: 1 })],
      policy,
      ...('budgets' in more ? more : {}),
    })
    expect([400, 402]).toContain((await ask(gateway.url, { model: 'm' })).status)
    expect(spare.requests).toEqual([])
  })

  test('is chosen by price once the prices are known, each learnt by one payment', async () => {
    let later = 0
    const dear = await upstream(selling('3000'))
    const cheap = await upstream(selling('1000'))
    const middle = await upstream(selling('2000'))
    const gateway = await start(
      {
        model_list: [route(dear, base), route(cheap, base), route(middle, base)],
        router: { strategy: 'cheapest' },
      },
      { now: () => Date.now() + later },
    )
    const costs: (string | null)[] = []
    for (let seed = 0; seed < 6; seed++) {
      const answer = await ask(gateway.url, { model: 'm', seed })
      costs.push(answer.headers.get('x-tollway-cost-usd'))
    }
    expect(new Set(costs.slice(0, 3)).size).toBe(3)
    // What was paid in the last two seconds may not be known yet.
    expect(new Set(costs)).toEqual(new Set(['0.001', '0.002', '0.003']))
    later = 3_000
    const answer = await ask(gateway.url, { model: 'm', seed: 6 })
    expect(answer.headers.get('x-tollway-cost-usd')).toBe('0.001')
    const list = (await (await fetch(`${gateway.url}/v1/models/m`)).json()) as Record<string, unknown>
    expect(list).toMatchObject({ id: 'm', pricing: { request: '0.003' } })
  })
})

describe('limits of a route', () => {
  test('on requests at once send the rest elsewhere, and answer 503 where there is no other', async () => {
    const gates: (() => void)[] = []
    const slow = await upstream((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/plain' })
      response.write('a')
      gates.push(() => response.end('b'))
    })
    const gateway = await start({ model_list: [route(slow, { max_parallel_requests: 1 })] })
    const first = await ask(gateway.url, { model: 'm' })
    const second = await ask(gateway.url, { model: 'm' })
    expect([second.status, second.headers.get('retry-after'), (await errorOf(second)).code]).toEqual([
      503,
      '1',
      'seller_unavailable',
    ])
    gates[0]?.()
    expect(await first.text()).toBe('ab')
    const third = await ask(gateway.url, { model: 'm' })
    expect(third.status).toBe(200)
    gates[1]?.()
    expect(await third.text()).toBe('ab')
    expect(slow.requests).toHaveLength(2)
  })

  test("on time are the route's own", async () => {
    const silent = await upstream(() => {})
    const good = await upstream(ok)
    const gateway = await start({
      model_list: [route(silent, { timeouts: { first_byte_seconds: 0.05 } }), route(good, { order: 1 })],
      timeouts: { first_byte_seconds: 600 },
    })
    expect((await ask(gateway.url, { model: 'm' })).status).toBe(200)
  })

  test('that keep failing put it behind the others, which the metrics show', async () => {
    const bad = await upstream(status(500))
    const good = await upstream(ok)
    const gateway = await start({
      model_list: [route(bad), route(good, { order: 1 })],
      router: { allowed_fails: 1, cooldown_seconds: 600 },
    })
    for (let seed = 0; seed < 5; seed++) await ask(gateway.url, { model: 'm', seed })
    expect([bad.requests.length, good.requests.length]).toEqual([2, 5])
    expect(await gateway.metric('tollway_route_state', { seller: bad.url })).toBe(2)
    expect(await gateway.metric('tollway_route_state', { seller: good.url })).toBe(0)
    expect(await gateway.metric('tollway_cooldowns_total', { seller: bad.url, reason: 'status_500' })).toBe(1)
  })
})

describe('what is sent', () => {
  test('goes without the fields that the route drops, the rest as it was written', async () => {
    const seen = await upstream(ok)
    const gateway = await start({
      model_list: [route(seen, { drop_params: ['store', 'service_tier'] })],
      router: { aliases: { fast: 'm' } },
    })
    await fetch(`${gateway.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{ "store":true,"model" : "fast",  "n":1.0 , "service_tier":{"a":[1]},"seed":12345678901234567890}',
    })
    expect(seen.requests[0]?.body.toString()).toBe('{ "model" : "m",  "n":1.0 , "seed":12345678901234567890}')
  })

  test('in a form has the model renamed in its place', async () => {
    const seen = await upstream(ok)
    const gateway = await start({ model_list: [route(seen, { model_name: 'w/*', model: 'whisper-*' })] })
    const form = new FormData()
    form.set('file', new Blob([Buffer.from([0, 13, 10, 45, 45, 255])]), 'model')
    form.set('model', 'w/1')
    const answer = await fetch(`${gateway.url}/audio/transcriptions`, { method: 'POST', body: form })
    expect(answer.status).toBe(200)
    const sent = seen.requests[0]
    const read = await new Response(new Uint8Array(sent?.body ?? []), {
      headers: { 'content-type': sent?.headers['content-type'] ?? '' },
    }).formData()
    expect(read.get('model')).toBe('whisper-1')
    const file = read.get('file')
    expect(file instanceof Blob && Buffer.from(await file.arrayBuffer())).toEqual(
      Buffer.from([0, 13, 10, 45, 45, 255]),
    )
  })
})

test.each([
  ['that cannot be reached', 'fallbacks', status(503)],
  [
    'that refuses the text',
    'content_policy_fallbacks',
    status(400, {}, '{"error":{"code":"content_filter","message":"no"}}'),
  ],
])('a caller limited to a model %s is not served by another one', async (_what, kind, reply) => {
  process.env['ROUTING_CALLER'] = 'key-of-the-caller'
  const cheap = await upstream(reply)
  const dear = await upstream(selling('90000'))
  const gateway = await start({
    callers: [{ id: 'limited', key: '${env:ROUTING_CALLER}', models: ['cheap'] }],
    model_list: [
      { model_name: 'cheap', api_base: cheap.apiBase },
      { model_name: 'dear', api_base: dear.apiBase, payer: 'base' },
    ],
    router: { [kind]: [{ cheap: ['dear'] }], num_retries: 0 },
  })
  const answer = await ask(gateway.url, { model: 'cheap' }, { authorization: 'Bearer key-of-the-caller' })
  expect(answer.status).toBe(kind === 'fallbacks' ? 503 : 400)
  expect(dear.requests).toEqual([])
})
