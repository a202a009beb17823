import { request } from 'node:http'
import { connect } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { startGateway, type TestGateway } from '../kit/gateway.ts'
import { seedCharge } from './seed.ts'

const NOON = Date.parse('2026-03-10T12:00:00.000Z')
const HOUR = 3_600_000

let tollway: TestGateway

async function start(config: object = {}): Promise<void> {
  tollway = await startGateway({ ...config }, { clock: { now: () => NOON } })
}

const get = async (path: string, headers: Record<string, string> = {}): Promise<Response> =>
  await fetch(`${tollway.url}${path}`, { headers, redirect: 'manual' })

async function json<T>(path: string): Promise<T> {
  const answer = await get(path)
  expect(answer.status).toBe(200)
  return (await answer.json()) as T
}

async function errorOf(path: string): Promise<{ status: number; code: string; message: string }> {
  const answer = await get(path)
  const { error } = (await answer.json()) as { error: { code: string; message: string } }
  return { status: answer.status, code: error.code, message: error.message }
}

afterEach(async () => await tollway.close())

describe('the data', () => {
  beforeEach(async () => await start())

  const seed = async (n: number, hoursAgo: number, changes: object = {}): Promise<void> =>
    await seedCharge(tollway.gateway.parts.ledger, n, 'receipt', {
      reservedAt: NOON - hoursAgo * HOUR,
      amount: 1_000n,
      microUsd: 1_000n,
      ...changes,
    })

  test('charges come page by page with the filters of the query, and the last page says so', async () => {
    for (const n of [1, 2, 3]) await seed(n, n)
    await seed(4, 1, { caller: 'cron' })
    interface Page {
      charges: { charge: string; usd: string }[]
      next: string | null
    }
    const first = await json<Page>('/api/charges?caller=openclaw&limit=2')
    expect(first.charges.map(({ charge }) => charge.at(-1))).toEqual(['1', '2'])
    const second = await json<Page>(`/api/charges?caller=openclaw&limit=2&before=${first.next}`)
    expect(second).toMatchObject({
      charges: [{ charge: 'chg_000000000000000000000003', usd: '0.001' }],
      next: null,
    })
  })

  test('spending has its cost for each thousand tokens that answers told', async () => {
    await seed(1, 1)
    await seed(2, 1)
    await seed(3, 1, { caller: 'cron' })
    const { store } = tollway.gateway.parts.ledger
    const [first] = await store.charges({ caller: 'openclaw', limit: 1 })
    await store.noteUsage(first?.id ?? '', { inputTokens: 2_000, outputTokens: 1_000 })
    const from = new Date(NOON - 2 * HOUR).toISOString()
    const spend = await json<{
      usd_per_1k_tokens: string
      series: { group: string; usd_per_1k_tokens: string }[]
    }>(`/api/spend?from=${from}&bucket=hour&by=caller`)
    expect(spend.usd_per_1k_tokens).toBe('0.001')
    expect(spend.series.map((one) => [one.group, one.usd_per_1k_tokens])).toEqual([
      ['openclaw', '0.000666667'],
      ['cron', null],
    ])
  })

  test('refusals come with why and how to lift them; no charge is in their states', async () => {
    await seed(1, 1)
    await fetch(`${tollway.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"model":"unknown","messages":[]}',
    })
    expect(await json('/api/refusals')).toEqual({
      since: '2026-03-10T12:00:00.000Z',
      total: 1,
      refusals: [
        expect.objectContaining({
          id: 'ref_1',
          state: 'refused',
          code: 'model_not_found',
          why: 'No route serves the model.',
          lift: expect.stringContaining('GET /v1/models'),
        }),
      ],
    })
    expect(await json('/api/charges?state=refused,failed')).toEqual({ charges: [], next: null })
    expect(await errorOf('/api/refusals?limit=1')).toMatchObject({ status: 400, code: 'invalid_query' })
  })

  test('a query that cannot be read is refused with the parameter at fault, never half understood', async () => {
    for (const [query, words] of [
      ['limit=0', 'limit'],
      ['limit=1e3', 'limit'],
      ['state=settled,paid', 'state'],
      ['from=yesterday', 'from'],
      ['before=1', 'before'],
      ['sellr=x', 'sellr'],
      ['caller=a&caller=b', 'caller'],
      ['seller=', 'seller must not be empty:'],
      [`seller=${'s'.repeat(513)}`, 'seller must be 512'],
    ]) {
      expect(await errorOf(`/api/charges?${query}`)).toEqual({
        status: 400,
        code: 'invalid_query',
        message: expect.stringContaining(`query parameter ${words} `),
      })
    }
    expect(
      await errorOf('/api/spend?from=2026-03-10T00:00:00Z&bucket=hour&timezone=Mars/Base'),
    ).toMatchObject({ code: 'invalid_query', message: expect.stringContaining('timezone') })
    expect(await errorOf('/api/spend?from=2020-01-01T00:00:00Z&bucket=minute')).toMatchObject({
      code: 'invalid_query',
      message: expect.stringContaining('larger'),
    })
  })

  test('spending is cut where the days of the time zone begin, also where its clocks change', async () => {
    await seedCharge(tollway.gateway.parts.ledger, 1, 'receipt', {
      reservedAt: Date.parse('2025-03-30T21:59:59.999Z'),
      microUsd: 5n,
    })
    await seedCharge(tollway.gateway.parts.ledger, 2, 'uncertain', {
      reservedAt: Date.parse('2025-03-30T22:00:00.000Z'),
      microUsd: 7n,
    })
    await seedCharge(tollway.gateway.parts.ledger, 3, 'released', {
      reservedAt: Date.parse('2025-03-30T22:00:00.000Z'),
      microUsd: 9n,
    })
    const query = 'from=2025-03-28T23:00:00Z&to=2025-03-31T22:00:00Z&bucket=day&timezone=Europe/Berlin'
    expect(await json(`/api/spend?${query}&by=payer`)).toMatchObject({
      starts: ['2025-03-28T23:00:00.000Z', '2025-03-29T23:00:00.000Z', '2025-03-30T22:00:00.000Z'],
      series: [{ group: 'base', total_usd: '0.000012', charges: 2, usd: ['0', '0.000005', '0.000007'] }],
      states: [
        { state: 'settled', usd: '0.000005' },
        { state: 'released', usd: '0.000009' },
        { state: 'uncertain', usd: '0.000007' },
      ],
      total_usd: '0.000012',
    })
  })

  test('an export has every charge of the filter, also more than one page of them', async () => {
    await Promise.all(Array.from({ length: 603 }, (_, n) => seed(n, 1, { reservedAt: NOON - n })))
    await seed(5_000, 1, { caller: 'cron' })
    const csv = await (await get('/api/charges/export?format=csv&caller=openclaw')).text()
    expect(csv.trimEnd().split('\r\n')).toHaveLength(604)
    const { charges } = await json<{ charges: { charge: string }[] }>(
      '/api/charges/export?format=json&caller=openclaw',
    )
    expect(new Set(charges.map(({ charge }) => charge)).size).toBe(603)
  })

  test('an export runs no formula and breaks no row, whatever a model is called', async () => {
    const names = ['=1+1', '+cmd', '-2', '@sum', '\t=1', 'a"b,c\nd']
    for (const [n, model] of names.entries()) await seed(n, n, { model })
    const answer = await get('/api/charges/export?format=csv')
    expect(answer.headers.get('content-disposition')).toMatch(
      /^attachment; filename="tollway-charges-2026-03-10.csv"$/,
    )
    const csv = await answer.text()
    for (const model of names.slice(0, 5)) expect(csv).toContain(`'${model}`)
    expect(csv).not.toMatch(/,"?[=+@]/)
    expect(csv).toContain('"a""b,c\nd"')
    const { charges } = await json<{ charges: { model: string }[] }>('/api/charges/export?format=json')
    expect(charges.map(({ model }) => model)).toEqual(names)
  })

  test('the audit records of a charge are found, and a charge that is none is not looked for', async () => {
    expect(await errorOf('/api/audit?charge=../../etc/passwd')).toMatchObject({
      status: 400,
      code: 'invalid_query',
    })
    expect(await errorOf('/api/audit?charge=chg_nobody')).toMatchObject({ status: 404, code: 'not_found' })
    await seed(1, 1)
    expect(await json('/api/audit?charge=chg_000000000000000000000001')).toMatchObject({
      charge: { state: 'settled' },
      records: [],
    })
  })

  test('funds are told apart from nobody watching them', async () => {
    expect(await json('/api/funds')).toEqual({ wallets: [], pools: [] })
  })
})

describe('explorers', () => {
  test('are those of the configuration before the built-in ones, and a seller cannot make a link of its own', async () => {
    await start({ explorers: { base: 'https://scan.example.com/{tx}?x=1', ethereum: 'none' } })
    const { link } = tollway.gateway.parts.spendPage
    const hash = `0x${'a'.repeat(64)}`
    expect(link('eip155:8453', hash)).toBe(`https://scan.example.com/${hash}?x=1`)
    expect(link('eip155:1', hash)).toBeUndefined()
    expect(link('eip155:84532', hash)).toBe(`https://sepolia.basescan.org/tx/${hash}`)
    expect(link('eip155:137', hash)).toBeUndefined()
    expect(link('eip155:8453', 'javascript:alert(1)')).toBeUndefined()
  })
})

describe('the admin key', () => {
  beforeEach(async () => {
    process.env['TEST_ADMIN_KEY'] = 'correct-horse'
    await start({ admin: { key: '${env:TEST_ADMIN_KEY}' } })
  })

  const signIn = async (key: string, headers: Record<string, string> = {}): Promise<Response> =>
    await fetch(`${tollway.url}/dashboard/sign-in`, {
      method: 'POST',
      body: new URLSearchParams({ key }),
      headers,
      redirect: 'manual',
    })
  const cookieOf = (answer: Response): string => answer.headers.getSetCookie()[0]?.split(';')[0] ?? ''

  test('opens nothing without it: pages show the form, data says why', async () => {
    for (const path of [
      '/api/budgets',
      '/api/charges',
      '/api/charges/export?format=csv',
      '/api/spend',
      '/api/audit',
      '/api/funds',
      '/api/facets',
      '/api/refusals',
      '/api/events',
    ]) {
      expect(await errorOf(path)).toMatchObject({ status: 401, code: 'invalid_api_key' })
    }
    const page = await get('/dashboard', { accept: 'text/html' })
    expect(page.status).toBe(401)
    const text = await page.text()
    expect(text).toContain('name="key"')
    expect(text).not.toContain('charge-rows')
    expect((await get('/dashboard', { accept: '*/*' })).status).toBe(401)
  })

  test('signs in once: the cookie is kept from scripts, other sites and other paths, and ends when one signs out', async () => {
    const answer = await signIn('correct-horse', { accept: 'text/html' })
    expect([answer.status, answer.headers.get('location')]).toEqual([303, '/dashboard'])
    for (const cookie of answer.headers.getSetCookie()) {
      expect(cookie).toMatch(
        /^tollway_session=[\w-]{43}; Path=\/(?:dashboard|api); Max-Age=43200; HttpOnly; SameSite=Strict$/,
      )
    }
    const cookie = cookieOf(answer)
    expect((await get('/dashboard', { cookie })).status).toBe(200)
    expect((await get('/api/charges', { cookie })).status).toBe(200)
    expect((await get('/api/charges', { cookie: `${cookie}x` })).status).toBe(401)
    await fetch(`${tollway.url}/dashboard/sign-out`, { method: 'POST', headers: { cookie } })
    expect((await get('/api/charges', { cookie })).status).toBe(401)
  })

  test('behind TLS its cookie is for TLS alone', async () => {
    const answer = await signIn('correct-horse', {
      'x-forwarded-proto': 'https',
      'x-forwarded-for': '203.0.113.9',
    })
    for (const cookie of answer.headers.getSetCookie()) expect(cookie).toMatch(/; Secure$/)
  })

  test('works as a bearer token and as a password for programs, and in no address', async () => {
    const basic = `Basic ${Buffer.from(':correct-horse').toString('base64')}`
    expect((await get('/api/charges', { authorization: 'Bearer correct-horse' })).status).toBe(200)
    expect((await get('/api/charges', { authorization: basic })).status).toBe(200)
    expect((await get('/api/charges?key=correct-horse')).status).toBe(401)
  })

  test('cannot be guessed: after ten wrong ones the next wrong one waits, and the right one never does', async () => {
    const cookie = cookieOf(await signIn('correct-horse'))
    for (let n = 0; n < 5; n += 1) expect((await signIn(`guess-${n}`)).status).toBe(401)
    for (let n = 0; n < 5; n += 1) {
      expect((await get('/api/charges', { authorization: `Bearer guess-${n}` })).status).toBe(401)
    }
    const refused = await signIn('guess-again')
    expect(refused.status).toBe(429)
    expect((await get('/api/charges', { authorization: 'Bearer guess-more' })).status).toBe(429)
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(800)
    expect(await refused.json()).toMatchObject({ error: { code: 'too_many_attempts' } })
    expect((await get('/api/charges', { cookie })).status).toBe(200)
    expect((await signIn('correct-horse')).status).not.toBe(429)
    expect((await get('/api/charges', { authorization: 'Bearer correct-horse' })).status).toBe(200)
    const records = JSON.stringify(await tollway.audit())
    expect(records).toContain('"code":"invalid_api_key"')
    expect(records).not.toMatch(/guess-|correct-horse/)
  })

  test('cannot be guessed by many requests at once either', async () => {
    const asked = 'GET /api/charges HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer guess\r\n'
    const { port } = new URL(tollway.url)
    const text = await new Promise<string>((resolve, reject) => {
      let told = ''
      const socket = connect(Number(port), '127.0.0.1', () => {
        socket.write(`${asked}\r\n`.repeat(39) + `${asked}connection: close\r\n\r\n`)
      })
      socket.setEncoding('utf8')
      socket.on('data', (chunk) => (told += chunk))
      socket.on('error', reject).on('close', () => resolve(told))
    })
    expect([...text.matchAll(/HTTP\/1\.1 401/g)]).toHaveLength(10)
    expect([...text.matchAll(/HTTP\/1\.1 429/g)]).toHaveLength(30)
  })

  test('a page of another site signs nobody in', async () => {
    const answer = await signIn('correct-horse', { origin: 'https://evil.example' })
    expect([answer.status, answer.headers.getSetCookie()]).toEqual([403, []])
  })

  test('a form that is no form is refused before it is read to its end', async () => {
    expect((await signIn('x'.repeat(20_000))).status).toBe(413)
  })
})

describe('live events', () => {
  beforeEach(async () => await start())

  const { signal } = new AbortController()

  /** Reads a stream until a text was in it. */
  async function read(until: string, headers: Record<string, string> = {}): Promise<string> {
    const answer = await fetch(`${tollway.url}/api/events`, { headers, signal })
    expect(answer.headers.get('content-type')).toBe('text/event-stream')
    let text = ''
    for await (const chunk of answer.body ?? []) {
      text += Buffer.from(chunk).toString('utf8')
      if (text.includes(until)) return text
    }
    throw new Error(`the stream ended after ${text}`)
  }
  const tell = (n: number): void => {
    const { feed } = tollway.gateway.parts.spendPage
    for (let at = 0; at < n; at += 1) {
      feed.observe({
        type: 'budget_refused',
        early: true,
        totals: { spent: 0n, held: 0n, authorized: 0n, uncertain: 0n },
        claim: {
          budget: `b${at}`,
          subject: '*',
          window: 'day',
          windowStart: 0,
          windowEnd: 1,
          limit: 1n,
          amount: 1n,
        },
      })
    }
  }
  const lastId = (text: string): string => [...text.matchAll(/^id: (.+)$/gm)].at(-1)?.[1] ?? ''

  test('come after a hello, and a client that comes back misses none', async () => {
    const hello = await read('event: hello')
    tell(3)
    const missed = await read('"b2"', { 'last-event-id': lastId(hello) })
    expect([...missed.matchAll(/"budget":"(b\d)"/g)].map(([, name]) => name)).toEqual(['b0', 'b1', 'b2'])
    tell(1)
    expect(await read('"b0"', { 'last-event-id': lastId(missed) })).not.toContain('"b2"')
  })

  test('tell a client to load again when it missed more than is kept, or knew another process', async () => {
    const hello = await read('event: hello')
    tell(501)
    expect(await read('event: reset', { 'last-event-id': lastId(hello) })).not.toContain('"b0"')
    await read('event: reset', { 'last-event-id': 'ins_other:1' })
    await read('event: reset', { 'last-event-id': 'nonsense' })
  })

  test('are for fifty clients at once, and let none of them hold up the end of the gateway', async () => {
    const open = await Promise.all(
      Array.from({ length: 50 }, async () => await fetch(`${tollway.url}/api/events`, { signal })),
    )
    expect(await errorOf('/api/events')).toMatchObject({ status: 503, code: 'too_many_streams' })
    expect(await tollway.metric('tollway_spend_page_streams')).toBe(50)
    const ended = Promise.all(open.map(async (answer) => await answer.text()))
    await tollway.close()
    expect((await ended).every((text) => text.includes('event: hello'))).toBe(true)
  })

  test('a stream that was open for a while is no slow answer in the metrics', async () => {
    await read('event: hello')
    await get('/api/budgets')
    const before = await tollway.metric('tollway_request_duration_seconds_count', { route: 'none' })
    await read('event: hello')
    // The scrape before is counted, and the stream is not.
    await expect
      .poll(async () => await tollway.metric('tollway_requests_total', { route: 'none' }))
      .toBeGreaterThan(before + 1)
    const after = await tollway.metric('tollway_request_duration_seconds_count', { route: 'none' })
    expect(after).toBeLessThan(await tollway.metric('tollway_requests_total', { route: 'none' }))
  })

  test('a HEAD request gets its headers and no stream', async () => {
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const call = request(`${tollway.url}/api/events`, { method: 'HEAD' }, (answer) =>
        resolve(answer.statusCode),
      )
      call.on('error', reject).end()
    })
    expect(status).toBe(200)
  })
})
