/** The table of docs/idempotency.md, row by row, over real sockets. No chain is needed: what counts is how often is paid. */
import { mkdtemp, rm } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { cash } from '../../providers/cash.ts'
import { ask, errorOf, startGateway, type TestGateway } from '../kit/gateway.ts'
import { challengeV2, receiptV2, send } from '../kit/seller-answers.ts'
import { startScriptedSeller } from '../kit/scripted-seller.ts'
import { type ScriptedSeller } from '../kit/scripted-seller.ts'
import { offerV2 } from '../kit/quotes.ts'

const MINUTE = 60_000

let seller: ScriptedSeller
let tollway: TestGateway
let directory: string
let now: number
/** How the seller answers the nth payment, from 1. */
let pay: (response: ServerResponse, n: number) => void | Promise<void>
let paid: number
/** Resolves when the seller has the first payment. */
let firstPayment: PromiseWithResolvers<void>
/** What the seller asks for. */
let offer: object

const answer = (response: ServerResponse, text: string): void =>
  send(response, { status: 200, headers: json, body: JSON.stringify({ text }) })
const json = { 'content-type': 'application/json', ...receiptV2({ success: true }) }
const events = { 'content-type': 'text/event-stream', ...receiptV2({ success: true }) }

async function start(config: object = {}): Promise<TestGateway> {
  process.env['IDEMPOTENCY_WALLET'] = `0x${'11'.repeat(32)}`
  return await startGateway(
    {
      store: `sqlite:${join(directory, 'tollway.db')}`,
      payers: { base: { kind: 'direct', key: '${env:IDEMPOTENCY_WALLET}', networks: ['base-sepolia'] } },
      model_list: [
        { model_name: 'paid/*', model: '*', api_base: seller.apiBase, payer: 'base' },
        { model_name: 'other/*', model: '*', api_base: seller.apiBase, payer: 'base' },
        { model_name: 'free', model: 'm', api_base: `${seller.url}/free` },
      ],
      budgets: [{ name: 'all', limit_usd: '1.00', window: 'lifetime' }],
      timeouts: { first_byte_seconds: 60, shutdown_seconds: 1 },
      ...config,
    },
    { clock: { now: () => now }, payers: new Map([['base', cash()]]) },
  )
}

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tollway-idempotency-'))
  now = Date.parse('2026-11-21T10:00:00Z')
  paid = 0
  firstPayment = Promise.withResolvers()
  offer = offerV2
  pay = (response, n) => answer(response, `answer ${n}`)
  seller = await startScriptedSeller(async (request, response) => {
    if (request.url.startsWith('/free')) return answer(response, 'free')
    // Time passes between a request and its reservation.
    now += 10
    if (request.headers['payment-signature'] === undefined) return send(response, challengeV2([offer]))
    paid += 1
    firstPayment.resolve()
    await pay(response, paid)
  })
  tollway = await start()
})

afterEach(async () => {
  await tollway.close()
  await seller.close()
  await rm(directory, { recursive: true, force: true })
})

/** Asks, and returns what tells two answers apart. */
async function tell(response: Response | Promise<Response>): Promise<Record<string, unknown>> {
  const settled = await response
  const body = (await settled.json()) as { text?: string; error?: { code: string } }
  return {
    status: settled.status,
    got: body.text ?? body.error?.code,
    charge: settled.headers.get('x-tollway-charge'),
    replayed: settled.headers.get('x-tollway-replayed'),
    spent: settled.headers.get('x-tollway-spent'),
  }
}
const body = { model: 'paid/m' }
const key = (name: string): Record<string, string> => ({ 'idempotency-key': name })
const retry = (count: number): Record<string, string> => ({ 'x-stainless-retry-count': String(count) })
const asked = (headers: Record<string, string> = {}, more: object = {}): Promise<Record<string, unknown>> =>
  tell(ask(tollway.url, { ...body, ...more }, headers))
const charges = async (): Promise<unknown[]> =>
  (await tollway.gateway.parts.ledger.store.charges()).map(({ state }) => state)

describe('an Idempotency-Key', () => {
  test('sent again gets the same answer, for one payment', async () => {
    const first = await asked(key('a'))
    now += 23 * 60 * MINUTE
    const second = await asked(key('a'))
    expect(first).toMatchObject({ status: 200, got: 'answer 1', replayed: null })
    expect(second).toEqual({ ...first, replayed: 'yes' })
    expect(paid).toBe(1)
    expect(await charges()).toEqual(['settled'])
    const records = (await tollway.audit()).filter(({ type }) => type === 'request')
    expect(records.map(({ charge, outcome }) => [charge, outcome])).toEqual([
      [first['charge'], 'paid'],
      [first['charge'], 'paid'],
    ])
    expect(records[1]?.['details']).toMatchObject({ repeat_of: expect.any(String) })
  })

  test('is forgotten after 24 hours', async () => {
    await asked(key('a'))
    now += 24 * 60 * MINUTE + 1
    expect(await asked(key('a'))).toMatchObject({ got: 'answer 2', replayed: null })
    expect(paid).toBe(2)
  })

  test('rule 5: sent several times concurrently is paid once, and every request gets the answer', async () => {
    const released = answersWhenReleased()
    const all = Array.from({ length: 5 }, () => asked(key('a')))
    await firstPayment.promise
    released.resolve()
    const got = await Promise.all(all)
    expect(got.map(({ got: text }) => text)).toEqual(Array(5).fill('answer 1'))
    expect(got.filter(({ replayed }) => replayed === 'yes')).toHaveLength(4)
    expect([paid, await charges()]).toEqual([1, ['settled']])
  })

  test('with another body is refused, and nothing is paid for it', async () => {
    await asked(key('a'))
    expect(await asked(key('a'), { temperature: 1 })).toMatchObject({
      status: 400,
      got: 'idempotency_conflict',
      spent: 'no',
    })
    expect(paid).toBe(1)
  })

  test('of another caller, path or model is another request', async () => {
    await tollway.close()
    process.env['KEY_A'] = 'caller-key-a'
    process.env['KEY_B'] = 'caller-key-b'
    tollway = await start({
      callers: [
        { id: 'a', key: '${env:KEY_A}' },
        { id: 'b', key: '${env:KEY_B}' },
      ],
    })
    const as = (name: string): Record<string, string> => ({ ...key('k'), authorization: `Bearer ${name}` })
    await asked(as('caller-key-a'))
    await asked(as('caller-key-b'))
    await asked(as('caller-key-a'), { model: 'other/m' })
    await tell(
      fetch(`${tollway.url}/v1/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...as('caller-key-a') },
        body: JSON.stringify({ messages: [{ role: 'user', content: 'hello' }], ...body }),
      }),
    )
    expect(paid).toBe(4)
    expect(await asked(as('caller-key-a'))).toMatchObject({ got: 'answer 1', replayed: 'yes' })
  })

  test('whose request was refused before signing is free again, also for another body', async () => {
    offer = { ...offerV2, amount: '999999999' }
    expect(await asked(key('a'))).toMatchObject({ got: 'price_above_limit', spent: 'no' })
    offer = offerV2
    expect(await asked(key('a'), { temperature: 1 })).toMatchObject({ status: 200, replayed: null })
    expect(paid).toBe(1)
  })

  test('whose payment failed gets that outcome again, and nothing is paid', async () => {
    pay = (response) => send(response, { status: 404, headers: {}, body: '{}' })
    const first = await asked(key('a'))
    now += 60 * MINUTE
    expect(first).toMatchObject({ status: 404, got: 'seller_error', spent: 'unknown' })
    expect(await asked(key('a'))).toEqual({ ...first, replayed: 'yes' })
    expect(paid).toBe(1)
  })

  test('after a restart says that the answer is gone, with the charge, and pays nothing', async () => {
    const first = await asked(key('a'))
    await tollway.close()
    tollway = await start()
    expect(await asked(key('a'))).toEqual({
      status: 400,
      got: 'paid_not_delivered',
      charge: first['charge'],
      replayed: 'yes',
      spent: 'yes',
    })
    expect(paid).toBe(1)
  })

  test.each([
    ['a timeout', 0, 400, 'payment_uncertain'],
    ['a 402', 402, 400, 'payment_rejected'],
    ['a 422', 422, 400, 'seller_error'],
    ['a 500', 500, 400, 'seller_error'],
  ])('after a restart tells again what %s came to', async (_what, answered, status, code) => {
    pay = (response) =>
      answered === 0 ? void response.destroy() : send(response, { status: answered, headers: {}, body: '{}' })
    await asked(key('a'))
    await tollway.close()
    tollway = await start()
    expect(await asked(key('a'))).toMatchObject({ status, got: code, spent: 'unknown', replayed: 'yes' })
    expect(paid).toBe(1)
  })

  test('whose charge the chain proved unspent is free again', async () => {
    pay = (response) => void response.destroy()
    const { charge } = await asked(key('a'))
    const { store } = tollway.gateway.parts.ledger
    await store.move(String(charge), { to: 'released', at: now, reason: 'chain_unused' })
    pay = (response) => answer(response, 'fresh')
    expect(await asked(key('a'))).toMatchObject({ got: 'fresh', replayed: null })
  })

  test.each(['', 'ä', 'x'.repeat(256)])('that cannot be kept (%j) is refused', async (name) => {
    const response = await fetch(`${tollway.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': name },
      body: JSON.stringify(body),
    })
    expect([response.status, (await errorOf(response)).code]).toEqual([400, 'idempotency_conflict'])
    expect(paid).toBe(0)
  })

  test('of an answer that was dropped for want of room is still never paid again', async () => {
    await tollway.close()
    tollway = await start({ idempotency: { max_entries: 1, max_bytes: '64kb' } })
    const first = await asked(key('a'))
    await asked(key('b'))
    expect(await asked(key('a'))).toMatchObject({ got: 'paid_not_delivered', charge: first['charge'] })
    expect(await asked(key('b'))).toMatchObject({ got: 'answer 2', replayed: 'yes' })
    pay = (response) => answer(response, 'x'.repeat(9000))
    expect(await asked(key('c'))).toMatchObject({ status: 200 })
    expect(await asked(key('c'))).toMatchObject({ got: 'paid_not_delivered' })
    expect(paid).toBe(3)
  })
})

describe('a stream', () => {
  const chunk = (text: string): string =>
    `data: ${JSON.stringify({ id: 'c', choices: [{ index: 0, delta: { content: text }, finish_reason: null }] })}\n\n`
  const END = 'data: [DONE]\n\n'

  test('joined in the middle comes from the start, as it comes, and the first reader leaving ends nothing', async () => {
    const open = Promise.withResolvers<ServerResponse>()
    pay = (response) => {
      response.writeHead(200, events).write(chunk('one'))
      open.resolve(response)
    }
    const leaver = new AbortController()
    const first = await fetch(`${tollway.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...key('a') },
      body: JSON.stringify({ ...body, stream: true }),
      signal: leaver.signal,
    })
    const response = await open.promise
    const second = await fetch(`${tollway.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...key('a') },
      body: JSON.stringify({ ...body, stream: true }),
    })
    const reader = second.body?.getReader()
    const text = async (): Promise<string> => Buffer.from((await reader?.read())?.value ?? []).toString()
    expect(await text()).toBe(chunk('one'))
    const own = first.body?.getReader()
    expect(Buffer.from((await own?.read())?.value ?? []).toString()).toBe(chunk('one'))
    leaver.abort()
    await own?.closed.catch(() => undefined)
    response.write(chunk('two'))
    expect(await text()).toBe(chunk('two'))
    response.end(END)
    expect(await text()).toBe(END)
    expect([paid, await charges()]).toEqual([1, ['settled']])
  })

  test('streamed comes again as it came: what the first client did not ask for, the second does not get', async () => {
    const piece = (more: object): string =>
      `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 1, model: 'm', ...more })}\n\n`
    const choice = (delta: object, finish: string | null): object => ({
      choices: [{ index: 0, delta, finish_reason: finish }],
    })
    pay = (response) => {
      const usage = { choices: [], usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 } }
      const text = [choice({ role: 'assistant', content: 'hi' }, null), choice({}, 'stop'), usage]
        .map(piece)
        .join('')
      send(response, { status: 200, headers: events, body: `${text}data: [DONE]\n\n` })
    }
    const named = { 'idempotency-key': 'streamed' }
    const first = await (await ask(tollway.url, { model: 'paid/m', stream: true }, named)).text()
    const again = await ask(tollway.url, { model: 'paid/m', stream: true }, named)
    expect(again.headers.get('x-tollway-replayed')).toBe('yes')
    expect(await again.text()).toBe(first)
    expect(first).not.toContain('"choices":[]')
    expect(paid).toBe(1)
  })

  test('is kept whole for a key, though its client left in the middle', async () => {
    const open = Promise.withResolvers<ServerResponse>()
    pay = (response) => {
      response.writeHead(200, events).write(chunk('one'))
      open.resolve(response)
    }
    const leaver = new AbortController()
    const first = await fetch(`${tollway.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...key('a') },
      body: JSON.stringify({ messages: [{ role: 'user', content: 'hello' }], ...body, stream: true }),
      signal: leaver.signal,
    })
    await first.body?.getReader().read()
    leaver.abort()
    const response = await open.promise
    while ((await tollway.audit()).at(-1)?.['type'] !== 'request') await new Promise(setImmediate)
    response.write(chunk('two'))
    response.end(END)
    const again = await ask(tollway.url, { ...body, stream: true }, key('a'))
    expect(await again.text()).toBe(`${chunk('one')}${chunk('two')}${END}`)
    expect(paid).toBe(1)
  })
})

/** From now on the seller answers a payment when the promise is resolved. */
function answersWhenReleased(): PromiseWithResolvers<void> {
  const released = Promise.withResolvers<void>()
  pay = async (response, n) => {
    await released.promise
    answer(response, `answer ${n}`)
  }
  return released
}

/** Asks as `asked` does, and leaves once the payment was sent; resolves when the request has ended. */
async function leaveWhilePaying(): Promise<void> {
  const leaver = new AbortController()
  const lost = fetch(`${tollway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ messages: [{ role: 'user', content: 'hello' }], ...body }),
    signal: leaver.signal,
  }).catch(() => 'left')
  await firstPayment.promise
  leaver.abort()
  expect(await lost).toBe('left')
  while (!(await tollway.audit()).some(({ type }) => type === 'request')) await new Promise(setImmediate)
}

describe('without a key', () => {
  test('the same body twice is two requests, one after the other and at once', async () => {
    await asked()
    await asked()
    await Promise.all([asked(), asked()])
    await asked(retry(0))
    await asked(retry(0))
    expect(paid).toBe(6)
  })

  test('an x-request-id stands for one body', async () => {
    const id = { 'x-request-id': 'run:model:1' }
    const first = await asked(id)
    expect(await asked(id)).toEqual({ ...first, replayed: 'yes' })
    expect(await asked(id, { temperature: 1 })).toMatchObject({ got: 'answer 2', replayed: null })
    expect(paid).toBe(2)
  })

  test('a retry joins the newest one with its body, within 120 seconds of its end', async () => {
    const first = await asked(retry(0))
    now += 120_000
    expect(await asked(retry(1))).toEqual({ ...first, replayed: 'yes' })
    expect(await asked(retry(1), { temperature: 1 })).toMatchObject({ got: 'answer 2' })
    now += 1
    expect(await asked(retry(1))).toMatchObject({ got: 'answer 3', replayed: null })
  })

  test('a retry joins one that is being paid', async () => {
    const released = answersWhenReleased()
    const first = asked(retry(0))
    await firstPayment.promise
    const second = asked(retry(1))
    released.resolve()
    const { charge } = await first
    expect(await second).toMatchObject({ got: 'answer 1', charge, replayed: 'yes' })
    expect(paid).toBe(1)
  })

  test('a retry of one that paid nothing is a fresh try', async () => {
    await asked()
    offer = { ...offerV2, amount: '999999999' }
    await asked(retry(0))
    offer = offerV2
    expect(await asked(retry(1))).toMatchObject({ got: 'answer 2', replayed: null })
  })

  test('after a failed payment the same body gets that outcome again for 120 seconds, unpaid', async () => {
    pay = (response) => send(response, challengeV2([offerV2]))
    const first = await asked()
    expect(first).toMatchObject({ got: 'payment_rejected', spent: 'unknown' })
    now += 120_000
    expect(await asked()).toEqual({ ...first, replayed: 'yes' })
    expect(await asked({ 'x-request-id': 'another' })).toEqual({ ...first, replayed: 'yes' })
    expect(paid).toBe(1)
    expect(await asked({}, { temperature: 1 })).toMatchObject({ replayed: null })
    expect(await asked(key('new'))).toMatchObject({ replayed: null })
    expect(paid).toBe(3)
    now += 120_001
    expect(await asked()).toMatchObject({ replayed: null })
    expect(paid).toBe(4)
  })

  test('after a failed payment and a restart the same body gets that outcome again, unpaid', async () => {
    pay = (response) => void response.destroy()
    const first = await asked()
    await tollway.close()
    now += 60_000
    tollway = await start()
    expect(await asked()).toEqual({ ...first, replayed: 'yes' })
    expect(paid).toBe(1)
  })

  test('a client that left before the first byte and asks again gets the answer it paid for', async () => {
    const released = answersWhenReleased()
    await leaveWhilePaying()
    // One comes while it is still on its way, one when it has ended without any client.
    const joining = asked()
    released.resolve()
    expect(await joining).toMatchObject({ got: 'answer 1', replayed: 'yes' })
    expect(paid).toBe(1)
    // It was delivered now: the same body again is another request.
    expect(await asked()).toMatchObject({ got: 'answer 2', replayed: null })
  })

  test('an answer that came when its client had gone is kept for 120 seconds', async () => {
    const released = answersWhenReleased()
    await leaveWhilePaying()
    released.resolve()
    while ((await charges())[0] !== 'settled') await new Promise(setImmediate)
    expect(await asked()).toMatchObject({ got: 'answer 1', replayed: 'yes' })
    expect(paid).toBe(1)
  })
})

test('routes without a payer are left alone', async () => {
  for (const headers of [key('a'), key('a'), retry(1)]) {
    expect(await asked(headers, { model: 'free' })).toMatchObject({ got: 'free', replayed: null })
  }
  expect(seller.requests).toHaveLength(3)
})

test('another process that is paying for the same key makes this one say: come again, and nothing is paid twice', async () => {
  const released = Promise.withResolvers<void>()
  pay = async (response, n) => {
    await released.promise
    answer(response, `answer ${n}`)
  }
  const other = await start()
  const first = asked(key('a'))
  await firstPayment.promise
  const response = await ask(other.url, body, key('a'))
  expect([response.status, response.headers.get('retry-after')]).toEqual([503, '2'])
  expect(await tell(response)).toMatchObject({ got: 'request_in_progress', spent: 'no', charge: null })
  released.resolve()
  const { charge } = await first
  expect(await tell(ask(other.url, body, key('a')))).toMatchObject({ got: 'paid_not_delivered', charge })
  expect(paid).toBe(1)
  await other.close()
})

describe('a payment that the seller answered with other terms', () => {
  const changed = (response: ServerResponse, n: number): void => {
    if (n > 1) return answer(response, `answer ${n}`)
    offer = { ...offerV2, amount: '2000' }
    send(response, challengeV2([offer]))
  }

  test('is asked anew and paid at the new terms when its client sends the request again', async () => {
    pay = changed
    expect((await errorOf(await ask(tollway.url, { model: 'paid/m' }))).code).toBe('terms_changed')
    const again = await ask(tollway.url, { model: 'paid/m' })
    expect([again.status, paid, again.headers.get('x-tollway-cost-usd')]).toEqual([200, 2, '0.002'])
    const booked = await tollway.gateway.parts.ledger.store.charges()
    expect(booked.map(({ state, amount }) => [state, amount])).toEqual([
      ['settled', 2000n],
      ['uncertain', 1000n],
    ])
  })

  test.each<[string, Record<string, string>]>([
    ['an automatic retry', { 'x-stainless-retry-count': '1' }],
    ['a repeat with its key', { 'idempotency-key': 'k-1' }],
  ])('rule 5: is not paid again by %s', async (_name, headers) => {
    pay = changed
    const { 'x-stainless-retry-count': _count, ...first } = headers
    await ask(
      tollway.url,
      { model: 'paid/m' },
      { ...first, ...(_count ? { 'x-stainless-retry-count': '0' } : {}) },
    )
    const again = await ask(tollway.url, { model: 'paid/m' }, headers)
    expect([(await errorOf(again)).code, paid]).toEqual(['terms_changed', 1])
  })

  test('after a restart is asked anew too', async () => {
    pay = changed
    await ask(tollway.url, { model: 'paid/m' })
    await tollway.close()
    tollway = await start()
    expect((await ask(tollway.url, { model: 'paid/m' })).status).toBe(200)
    expect(paid).toBe(2)
  })
})
