/** What ended requests leave in memory: their digests, and not their bodies. Measured in ArrayBuffers, after a collection. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach, describe, expect, test } from 'vitest'
import { configFor, startPatientSeller, type PatientSeller } from '../kit/fragile-gateway.ts'
import { startGateway, type TestGateway } from '../kit/gateway.ts'
import { cash } from '../../providers/cash.ts'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

const MEBIBYTE = 1024 * 1024
const REQUESTS = 6
const BODY_BYTES = 2 * MEBIBYTE
/** Well under the bodies of three requests: what buffers of sockets and the file system leave. */
const SLACK = 5 * MEBIBYTE

const open: { close(): Promise<void> }[] = []
afterEach(async () => {
  for (const part of open.splice(0).toReversed()) await part.close()
})

async function held(seller: PatientSeller): Promise<number> {
  // The stand-in keeps what it was asked.
  seller.requests.length = 0
  // Twice: what a first collection finalizes is let go by the second.
  for (let n = 0; n < 3; n += 1) {
    collect()
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return process.memoryUsage().arrayBuffers
}

let serial = 0

/** A long prompt, no two alike. */
function bodyFor(model: string): string {
  return JSON.stringify({
    model,
    messages: [{ role: 'user', content: `${(serial += 1)} ${'x'.repeat(BODY_BYTES)}` }],
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
    expect((await held(seller)) - before).toBeLessThan(SLACK)
  })

  test('whose seller is gone, is at fault, or never took the payment', async () => {
    const { gateway, seller } = await start()
    await post(gateway, 'paid/m')
    const before = await held(seller)
    await seller.close()
    for (let n = 0; n < REQUESTS; n += 1) expect(await post(gateway, 'paid/m')).toBe(503)
    expect((await held(seller)) - before).toBeLessThan(SLACK)
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
    await expect.poll(() => seller.counts().paid, { timeout: 20_000 }).toBe(REQUESTS)
    leaving.abort()
    hold.answer()
    await Promise.all(calls)
    await expect.poll(async () => await gateway.metric('tollway_requests_total')).toBeGreaterThan(REQUESTS)
    expect((await held(seller)) - before).toBeLessThan(SLACK)
  })
})
