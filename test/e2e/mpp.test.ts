/** MPP's `evm`/`charge` at a seller made with the official package, settled on a real chain. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startChain, type LocalChain } from '../../src/app/sandbox/chain/chain.ts'
import type { GatewayOverrides } from '../../src/app/gateway/gateway.ts'
import { ask, errorOf, startGateway, walletPayer, type TestGateway } from '../kit/gateway.ts'
import { startMppxSeller, type MppxSeller } from '../kit/mppx-seller.ts'

const PRICE = 20_000n
const OTHER = '0x00000000000000000000000000000000000000cc'
const EVENTS = [
  { choices: [{ index: 0, delta: { role: 'assistant', content: 'hi' }, finish_reason: 'stop' }] },
  { choices: [], usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 } },
]
  .map(
    (chunk) =>
      `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 1, model: 'm', ...chunk })}\n\n`,
  )
  .concat('data: [DONE]\n\n')
  .join('')

let chain: LocalChain
let seller: MppxSeller
let tollway: TestGateway | undefined
let before: bigint

beforeAll(async () => {
  chain = await startChain()
})
beforeEach(async () => {
  seller = await startMppxSeller(chain)
  before = await chain.balanceOf(chain.accounts.buyer.address)
})
afterEach(async () => {
  await tollway?.close()
  tollway = undefined
  await seller.close()
})
afterAll(async () => {
  await chain.close()
})

async function open(more: object = {}, overrides: GatewayOverrides = {}): Promise<TestGateway> {
  const config = {
    payers: { wallet: walletPayer(chain) },
    model_list: [{ model_name: 'paid/*', model: '*', api_base: seller.apiBase, payer: 'wallet' }],
    chains: { 'base-sepolia': { rpc: chain.rpcUrl } },
    ...more,
  }
  tollway = await startGateway(config, overrides)
  return tollway
}

const taken = async (): Promise<bigint> => before - (await chain.balanceOf(chain.accounts.buyer.address))

const charges = async () => (await tollway?.gateway.parts.ledger.store.charges()) ?? []

const paidBy = (name: string): number =>
  seller.requests.filter((headers) => headers[name] !== undefined).length

let asked = 0
const call = async (stream = false): Promise<Response> =>
  await ask(tollway?.url ?? '', { model: 'paid/m', seed: asked++, stream })

describe('a seller that takes MPP alone', () => {
  test('is paid, JSON and SSE, and chain, ledger, audit and metrics agree to the unit', async () => {
    const opened = await open()
    for (let n = 1; n <= 2; n += 1) {
      const answer = await call()
      expect(answer.status).toBe(200)
      expect(await answer.json()).toMatchObject({ usage: { cost: 0.02 } })
      expect(answer.headers.get('x-tollway-transaction')).toMatch(/^0x[0-9a-f]{64}$/)
      expect(answer.headers.get('payment-receipt')).toBeNull()
    }
    seller.set({ product: [EVENTS, 'text/event-stream'] })
    expect(await (await call(true)).text()).toContain('"content":"hi"')
    expect(await taken()).toBe(3n * PRICE)
    expect((await charges()).map(({ amount, state, proof }) => [amount, state, proof])).toEqual(
      Array.from({ length: 3 }, () => [PRICE, 'settled', 'receipt']),
    )
    expect(await opened.metric('tollway_spend_atomic_total')).toBe(Number(3n * PRICE))
    const paid = (await opened.audit()).filter((record) =>
      JSON.stringify(record).includes('"payment_protocol":"mpp"'),
    )
    expect(paid).toHaveLength(3)
    expect(paidBy('authorization')).toBe(3)
  })

  test('rule 5: a 402 with a fresh challenge to a payment is never paid, and the chain proves the payment', async () => {
    const { gateway } = await open()
    const fresh = await fetch(`${seller.apiBase}/chat/completions`, { method: 'POST' })
    const challenge = fresh.headers.get('www-authenticate') ?? ''
    const refusal = () =>
      new Response(
        '{"type":"https://paymentauth.org/problems/verification-failed","title":"Verification failed"}',
        {
          status: 402,
          headers: { 'www-authenticate': challenge, 'content-type': 'application/problem+json' },
        },
      )
    seller.set({ answer: (answer, isPaid) => (isPaid ? refusal() : answer) })
    const answer = await call()
    expect(answer.status).toBe(400)
    expect(answer.headers.get('x-tollway-spent')).toBe('unknown')
    expect((await errorOf(answer)).code).toBe('payment_rejected')
    expect(paidBy('authorization')).toBe(1)
    expect(await charges()).toMatchObject([{ state: 'uncertain' }])
    await chain.levers.increaseTime(1)
    await gateway.parts.reconciler.run({ all: true })
    expect(await charges()).toMatchObject([{ state: 'settled', proof: 'chain' }])
    expect(await taken()).toBe(PRICE)
  })

  test('rule 4: a payment whose answer is cut off stays counted until the chain proves it', async () => {
    const { gateway } = await open()
    seller.set({ answer: (answer, isPaid) => (isPaid ? 'cut' : answer) })
    expect((await errorOf(await call())).code).toBe('payment_uncertain')
    expect(await charges()).toMatchObject([{ state: 'uncertain' }])
    await chain.levers.increaseTime(1)
    await gateway.parts.reconciler.run({ all: true })
    expect(await charges()).toMatchObject([{ state: 'settled', proof: 'chain' }])
    expect(await taken()).toBe(PRICE)
  })

  test('rule 5: a challenge that the seller repeats is paid once', async () => {
    await open()
    const first = await fetch(`${seller.apiBase}/chat/completions`, { method: 'POST' })
    const kept = first.headers.get('www-authenticate') ?? ''
    const same = () => new Response('{}', { status: 402, headers: { 'www-authenticate': kept } })
    seller.set({ answer: (answer, isPaid) => (isPaid ? answer : same()) })
    expect((await call()).status).toBe(200)
    const again = await call()
    expect(again.status).toBe(400)
    expect(again.headers.get('x-tollway-spent')).toBe('no')
    expect(await errorOf(again)).toMatchObject({
      code: 'no_supported_offer',
      message: expect.stringMatching(/repeated an MPP challenge .* nothing was sent/),
    })
    expect(paidBy('authorization')).toBe(1)
    expect(await taken()).toBe(PRICE)
  })

  test('rule 2: a budget stops it before anything is signed', async () => {
    await open({ budgets: [{ name: 'all', limit_usd: '0.03', window: 'day' }] })
    expect((await call()).status).toBe(200)
    const stopped = await call()
    expect(stopped.status).toBe(402)
    expect(stopped.headers.get('www-authenticate')).toBeNull()
    expect((await errorOf(stopped)).code).toBe('budget_exhausted')
    expect(paidBy('authorization')).toBe(1)
    expect(await taken()).toBe(PRICE)
  })

  test('rule 6: ceiling and payee are judged as for x402', async () => {
    await open({ policy: { max_usd_per_request: '0.01' } })
    expect((await errorOf(await call())).code).toBe('price_above_limit')
    await tollway?.close()
    await open({ policy: { sellers: { [new URL(seller.apiBase).origin]: { pay_to: [OTHER] } } } })
    expect((await errorOf(await call())).code).toBe('payee_not_allowed')
    expect(paidBy('authorization')).toBe(0)
    expect(await taken()).toBe(0n)
  })
})

test('rule 5: a 402 that offers x402 and MPP is paid once, by x402', async () => {
  seller.set({ withX402: true })
  const opened = await open()
  const answer = await call()
  expect(answer.status).toBe(200)
  expect([paidBy('payment-signature'), paidBy('authorization')]).toEqual([1, 0])
  expect(await taken()).toBe(PRICE)
  expect(await opened.metric('tollway_spend_atomic_total')).toBe(Number(PRICE))
  expect(await charges()).toHaveLength(1)
})

// Last: it moves the chain's clock past the end of whatever is signed afterwards.
test('rule 4: a payment that the seller never settles is released only behind its end, at most that of the challenge', async () => {
  let aheadMs = 0
  const { gateway } = await open({}, { clock: { now: () => Date.now() + aheadMs } })
  const run = async (seconds: number): Promise<void> => {
    await chain.levers.increaseTime(seconds)
    aheadMs += seconds * 1000
    await gateway.parts.reconciler.run({ all: true })
  }
  seller.set({
    settles: false,
    answer: (answer, isPaid) => (isPaid ? new Response('{}', { status: 500 }) : answer),
  })
  expect((await call()).status).toBe(400)
  const [charge] = await charges()
  const seconds = (charge?.authorization?.validBefore ?? 0) - Math.floor((charge?.reservedAt ?? 0) / 1000)
  // mppx ends its challenges after 300 seconds; the policy would sign for 600.
  expect(seconds).toBeLessThanOrEqual(301)
  await run(1)
  expect(await charges()).toMatchObject([{ state: 'uncertain' }])
  await run(700)
  expect(await charges()).toMatchObject([{ state: 'released', reason: 'chain_unused' }])
  expect(await taken()).toBe(0n)
})
