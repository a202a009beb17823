/** What ended requests leave in memory: their digests, and not their bodies. Measured in ArrayBuffers, after a collection. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach, describe, expect, test } from 'vitest'
import { configFor, startPatientSeller, type PatientSeller } from '../kit/fragile-gateway.ts'
import { startGateway, type TestGateway } from '../kit/gateway.ts'
import type { SellerHandler } from '../kit/scripted-seller.ts'
import { challengeV2, events, json, OFFER, RECEIPT, receiptV2 } from '../kit/seller-answers.ts'
import { cut, cutAfter } from '../kit/seller-faults.ts'
import { cash } from '../../providers/cash.ts'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

const MEBIBYTE = 1024 * 1024
const REQUESTS = 6
const BODY_BYTES = MEBIBYTE
/** Well under the bodies of three requests: what buffers of sockets and the file system leave. */
const SLACK = 2.5 * MEBIBYTE

const open: { close(): Promise<void> }[] = []
afterEach(async () => {
  for (const part of open.splice(0).toReversed()) await part.close()
})

async function held(seller: PatientSeller): Promise<number> {
  // The stand-in keeps what it was asked.
  seller.requests.length = 0
  // What a first collection finalizes is let go by the next.
  for (let n = 0; n < 3; n += 1) {
    collect()
    await nextTurn()
  }
  return process.memoryUsage().arrayBuffers
}

let serial = 0

/** A long prompt, no two alike. */
function bodyFor(model: string, size = BODY_BYTES): string {
  return JSON.stringify({
    model,
    messages: [{ role: 'user', content: `${(serial += 1)} ${'x'.repeat(size)}` }],
  })
}

async function start(config: object = {}): Promise<{ gateway: TestGateway; seller: PatientSeller }> {
  const seller = await startPatientSeller()
  const gateway = await startGateway(
    { ...configFor(seller), ...config },
    { payers: new Map([['base', cash()]]) },
  )
  open.push(seller, gateway)
  return { gateway, seller }
}

async function post(
  gateway: TestGateway,
  model: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<number> {
  const response = await fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: bodyFor(model),
  })
  await response.arrayBuffer()
  return response.status
}

describe('ended requests hold no bodies', () => {
  test.each([
    [
      'refused by a budget',
      'paid/m',
      { budgets: [{ name: 'all', limit_usd: '0.000001', window: 'day' }] },
      402,
    ],
    ['refused by the price ceiling', 'paid/m', { policy: { max_usd_per_request: '0.000001' } }, 400],
    ['paid and delivered', 'paid/m', {}, 200],
    ['served for nothing', 'free', {}, 200],
    ['of a model that is not there', 'nobody/m', { upstream: undefined }, 404],
  ])('%s', async (_name, model, config, status) => {
    const { gateway, seller } = await start(config)
    await post(gateway, model)
    const before = await held(seller)
    for (let n = 0; n < REQUESTS; n += 1) {
      expect(
        await post(gateway, model, { 'idempotency-key': `key-${serial}`, 'x-stainless-retry-count': '0' }),
      ).toBe(status)
    }
    await expect.poll(async () => (await held(seller)) - before).toBeLessThan(SLACK)
  })

  test('whose seller is gone, is at fault, or never took the payment', async () => {
    const { gateway, seller } = await start()
    await post(gateway, 'paid/m')
    const before = await held(seller)
    await seller.close()
    for (let n = 0; n < REQUESTS; n += 1) expect(await post(gateway, 'paid/m')).toBe(503)
    await expect.poll(async () => (await held(seller)) - before).toBeLessThan(SLACK)
  })

  test('whose clients left before the answer', async () => {
    const { gateway, seller } = await start()
    await post(gateway, 'paid/m')
    const before = await held(seller)
    const hold = seller.hold()
    const leaving = new AbortController()
    const calls = Array.from({ length: REQUESTS }, async () => {
      const headers = { 'content-type': 'application/json' }
      const init = { method: 'POST', headers, body: bodyFor('paid/m'), signal: leaving.signal }
      await fetch(`${gateway.url}/v1/chat/completions`, init).catch(() => undefined)
    })
    await expect.poll(() => seller.counts().paid).toBe(REQUESTS)
    leaving.abort()
    hold.answer()
    await Promise.all(calls)
    await expect.poll(async () => await gateway.metric('tollway_requests_total')).toBeGreaterThan(REQUESTS)
    await expect.poll(async () => (await held(seller)) - before).toBeLessThan(SLACK)
  })
})

/** What a client of the mix asks for, and what its seller does. */
const KINDS: readonly { readonly model: string; readonly raw?: string; readonly headers?: object }[] = [
  { model: 'paid/json' },
  { model: 'paid/stream' },
  { model: 'paid/broken-stream' },
  { model: 'paid/error' },
  { model: 'paid/refused-with-receipt' },
  { model: 'paid/unreadable' },
  { model: 'paid/cut' },
  { model: 'paid/dear' },
  { model: 'paid/headers' },
  { model: 'free' },
  { model: 'nobody/m' },
  { model: 'free', headers: { 'content-type': 'text/plain' } },
  { model: 'free', headers: { origin: 'https://evil.example' } },
  { model: 'free', headers: { 'content-encoding': 'gzip' } },
  { model: 'free', raw: '{"model":"paid/json","messages":[{"content":"' },
]

const ANSWER = { choices: [{ message: { content: 'yes' } }] }

/** Answers by the model that was asked for. */
const mixed: SellerHandler = (request, response) => {
  const { model } = JSON.parse(request.body.toString()) as { model: string }
  if (request.url.startsWith('/free')) return json({ free: true })
  if (request.payment === undefined)
    return challengeV2([model === 'dear' ? { ...OFFER, amount: '99999999' } : OFFER])
  const receipt = receiptV2(RECEIPT)
  const chunk = '{"choices":[{"index":0,"delta":{"content":"yes"}}]}'
  switch (model) {
    case 'stream':
      return events([chunk, '[DONE]'], receipt)
    case 'broken-stream':
      return cutAfter(40, events([chunk, chunk, '[DONE]'], receipt))(request, response)
    case 'error':
      return json({ error: { message: request.body.toString() } }, {}, 500)
    case 'refused-with-receipt':
      return json({ error: request.body.toString() }, receipt, 402)
    case 'unreadable':
      return { ...json({}, receipt), body: '{"choices":[NaN' }
    case 'cut':
      return cut(request, response)
    case 'headers':
      return json(ANSWER, { ...receipt, 'x-long': 'h'.repeat(6000) })
    default:
      return json({ choices: [{ message: { content: 'y'.repeat(MEBIBYTE / 8) } }] }, receipt)
  }
}

describe('any mix of ended requests', () => {
  test('holds no bodies, and answers as far as the configuration says and the metric shows', async () => {
    const { gateway, seller } = await start({
      idempotency: { max_bytes: 2 * MEBIBYTE },
      upstream: undefined,
    })
    seller.follow(mixed)
    await send(gateway, KINDS[0]?.model ?? '', {})
    const before = await held(seller)
    const heapBefore = process.memoryUsage().heapUsed
    const statuses = new Map<number, number>()
    const note = (status: number): void => void statuses.set(status, (statuses.get(status) ?? 0) + 1)
    for (let round = 0; round < 2; round += 1) {
      for (const { model, raw, headers } of KINDS) {
        const named = round === 0 ? {} : { 'idempotency-key': `mix-${serial}` }
        const body = raw === undefined ? undefined : `${raw}${'z'.repeat(MEBIBYTE / 2)}`
        note(await send(gateway, model, { ...named, ...headers }, body))
        if (round === 1 && raw === undefined) {
          // Somebody else's body under the same key, and a client that leaves.
          note(await send(gateway, model, { ...named, ...headers }))
          await send(gateway, model, { ...headers }, undefined, AbortSignal.timeout(5))
        }
      }
    }
    // Two at once: the second waits for the answer of the first.
    const [same, key] = [bodyFor('paid/other', MEBIBYTE / 2), { 'idempotency-key': 'joined' }]
    await Promise.all([send(gateway, 'paid/other', key, same), send(gateway, 'paid/other', key, same)])
    // Every kind of ending was there, but for those of the tests above.
    expect([...statuses.keys()].toSorted((a, b) => a - b)).toEqual([200, 400, 403, 404, 415])
    const remembered = await gateway.metric('tollway_remembered_bytes')
    expect(remembered).toBeGreaterThan(MEBIBYTE / 8)
    expect(remembered).toBeLessThanOrEqual(2 * MEBIBYTE)
    expect(await gateway.metric('tollway_remembered_requests')).toBeGreaterThan(10)
    await expect.poll(async () => (await held(seller)) - before).toBeLessThan(2 * MEBIBYTE + SLACK)
    expect(process.memoryUsage().heapUsed - heapBefore).toBeLessThan(8 * SLACK)
  })

  test('keeps the headers of an answer no longer than the answer', async () => {
    const { gateway, seller } = await start({ idempotency: { max_entries: 2 } })
    seller.follow(mixed)
    for (let n = 0; n < 5; n += 1) {
      expect(await send(gateway, 'paid/headers', { 'idempotency-key': `long-${n}` })).toBe(200)
    }
    const bytes = await gateway.metric('tollway_remembered_bytes')
    expect([bytes > 12_000, bytes < 15_000]).toEqual([true, true])
    expect(await gateway.metric('tollway_remembered_requests')).toBe(2)
  })
})

/** As {@link post}, with a body of its own and a client that may leave. */
async function send(
  gateway: TestGateway,
  model: string,
  headers: object,
  body: string = bodyFor(model, MEBIBYTE / 2),
  signal?: AbortSignal,
): Promise<number> {
  const init = { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body }
  try {
    const response = await fetch(`${gateway.url}/v1/chat/completions`, {
      ...init,
      ...(signal ? { signal } : {}),
    })
    await response.arrayBuffer()
    return response.status
  } catch {
    return 0
  }
}
