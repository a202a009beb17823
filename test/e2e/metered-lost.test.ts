/** Keyed calls whose answer is lost or shared: what an upstream may bill counts once, in full, and nothing stays open. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import { startGateway, type TestGateway } from '../kit/gateway.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'
import { completion, json } from '../kit/seller-answers.ts'
import { cut } from '../kit/seller-faults.ts'

let upstream: ScriptedSeller
let gateway: TestGateway

beforeEach(async () => {
  process.env['LOST_WALLET'] = localAccounts().buyer.privateKey
  upstream = await startScriptedSeller(() => completion())
})
afterEach(async () => {
  await gateway.close()
  await upstream.close()
})

/** How often the ledger was asked for earlier requests, and how many requests have ended. */
const seen = { repeats: 0, ended: 0 }

async function open(): Promise<void> {
  Object.assign(seen, { repeats: 0, ended: 0 })
  const config = {
    payers: { base: { kind: 'direct', key: '${env:LOST_WALLET}', networks: ['base-sepolia'] } },
    model_list: [
      { model_name: 'm', api_base: upstream.apiBase, model_info: { usd_per_request: '0.18' } },
      // Nothing listens there: the call goes on to the upstream that bills a key.
      { model_name: 'paid/m', model: 'm', api_base: 'http://127.0.0.1:1/v1', payer: 'base' },
    ],
    router: { num_retries: 2, fallbacks: [{ 'paid/m': ['m'] }] },
    budgets: [{ name: 'all', limit_usd: '1.00', window: 'day' }],
  }
  gateway = await startGateway(config, {
    observers: [(event) => (seen.ended += event.type === 'request' ? 1 : 0)],
    wrapStore: (store) => ({
      ...store,
      async tombstones(...args) {
        const found = await store.tombstones(...args)
        seen.repeats += 1
        return found
      },
    }),
  })
}

async function call(model: string, init: RequestInit = {}): Promise<Response> {
  const { headers, ...more } = init
  return await fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(headers as Record<string, string> | undefined) },
    body: JSON.stringify({ model, messages: [{ role: 'user', content: 'hi' }] }),
    ...more,
  })
}

async function sums(): Promise<{ readonly spent: string; readonly held: string }> {
  const answer = await fetch(`${gateway.url}/api/budgets`)
  const { budgets } = (await answer.json()) as { budgets: { spent_usd: string; held_usd: string }[] }
  return { spent: budgets[0]?.spent_usd ?? '', held: budgets[0]?.held_usd ?? '' }
}

test('rule 2: an upstream that cut its answer off is asked once for what was reserved once, and it counts in full', async () => {
  upstream.follow(cut)
  await open()
  const answer = await call('m')
  expect([answer.status, upstream.requests.length]).toEqual([503, 1])
  await expect.poll(sums).toEqual({ spent: '0.18', held: '0' })
})

test('one that could not serve is asked again under the same reservation: nobody bills an error', async () => {
  let asked = 0
  upstream.follow(() => ((asked += 1) === 1 ? json({ error: { message: 'busy' } }, {}, 503) : completion()))
  await open()
  expect([(await call('m')).status, upstream.requests.length]).toEqual([200, 2])
  await expect.poll(sums).toEqual({ spent: '0.18', held: '0' })
})

test('rule 4: an answer that two clients wait for is booked also when the first of them has left', async () => {
  const asked = Promise.withResolvers<void>()
  const answered = Promise.withResolvers<void>()
  upstream.follow(async () => {
    asked.resolve()
    await answered.promise
    return completion()
  })
  await open()
  const headers = { 'idempotency-key': 'one-of-two' }
  const leaving = new AbortController()
  const first = call('paid/m', { headers, signal: leaving.signal }).catch(() => 'left')
  await asked.promise
  const second = call('paid/m', { headers })
  // With what the ledger says it joins the first one at once.
  await expect.poll(() => seen.repeats).toBe(2)
  leaving.abort()
  expect(await first).toBe('left')
  await expect.poll(() => seen.ended).toBe(1)
  answered.resolve()
  const answer = await second
  expect([answer.status, ((await answer.json()) as { choices: unknown[] }).choices.length]).toEqual([200, 1])
  expect(upstream.requests).toHaveLength(1)
  await expect.poll(sums).toEqual({ spent: '0.18', held: '0' })
  const settled = (await gateway.audit()).filter(({ type }) => type === 'charge.settled')
  expect(settled).toMatchObject([{ reason: 'estimated' }])
})
