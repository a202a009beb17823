/** docs/openapi.json and docs/http.md against the code and the running gateway: random requests, and every answer judged by its schema. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { apiPaths } from '../../src/app/spend-page/api.ts'
import { parseConfig } from '../../src/app/config/load.ts'
import { createGateway, type Gateway } from '../../src/app/gateway/gateway.ts'
import { toyPayer } from '../../src/testing/toy-payer.ts'
import { completion } from '../kit/seller-answers.ts'
import { startGateway, type TestGateway } from '../kit/gateway.ts'
import { sources } from '../kit/import-graph.ts'
import { buyerFiles, signAuths, upstreamFile, type BuyerFiles } from '../kit/obol-pool.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'
import { untyped } from '../middleware/harness.ts'
import { MODEL_ANSWERS } from '../tools/reference/model-answers.ts'
import { FEED, isError, OPERATIONS, type Operation } from '../tools/reference/openapi.ts'

const ROOT = join(import.meta.dirname, '../..')
let upstream: ScriptedSeller
let seller: ScriptedSeller
let tollway: TestGateway
let pool: BuyerFiles

const PAYEE = '0x90F79bf6EB2c4f870365E785982E1f101E93b906'

beforeAll(async () => {
  upstream = await startScriptedSeller(({ url }, response) => {
    const { sample } = answerOf(url ?? '')
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(sample))
  })
  seller = await startScriptedSeller({
    paid: ({ url }) => ({ ...completion(), body: JSON.stringify(answerOf(url).sample) }),
  })
  pool = buyerFiles()
  const sold = upstreamFile({ url: seller.apiBase, payTo: PAYEE })
  pool.write('sold', sold, await signAuths(3, { payTo: PAYEE }))
  tollway = await startGateway({ upstream: { api_base: upstream.apiBase }, payers: { pool: pool.payer } })
})

afterAll(async () => {
  await tollway?.close()
  pool?.remove()
  await upstream?.close()
  await seller?.close()
})

/** What an endpoint answers. */
function answerOf(url: string): (typeof MODEL_ANSWERS)[string] {
  const found = MODEL_ANSWERS[url.replace(/\?.*$/, '').replace(/^\/v1(?=\/)/, '')]
  if (!found) throw new Error(`no answer for ${url}`)
  return found
}

/** Values that queries have, and values that they must not have. */
const VALUES = fc.oneof(
  fc.constantFrom(
    '1',
    '1000',
    '0',
    'settled',
    'held,released',
    'csv',
    'json',
    'day',
    'hour',
    'UTC',
    'Mars/Base',
    'model',
    '',
    '2026-01-31T12:00:00Z',
  ),
  fc.string({ maxLength: 30 }),
)

/** Bodies with a model, with a wrong one, and without. */
const BODIES = fc.oneof(
  fc.record({
    model: fc.oneof(fc.constant('gpt-4o'), fc.string({ maxLength: 20 }), fc.integer()),
    messages: fc.constant([]),
  }),
  fc.jsonValue(),
)

/** Live streams do not end. */
const asked = OPERATIONS.filter(({ path }) => path !== '/api/events')

async function send(
  operation: Operation,
  query: Record<string, string>,
  body: unknown,
  id: string,
): Promise<Response> {
  const path = operation.path.replace('{id}', encodeURIComponent(id))
  const search = new URLSearchParams(query).toString()
  const init =
    operation.method === 'post' || operation.method === 'patch'
      ? {
          method: operation.method.toUpperCase(),
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(body) ?? '',
        }
      : { method: operation.method.toUpperCase() }
  return await fetch(`${tollway.url}${path}${search === '' ? '' : `?${search}`}`, init)
}

test.each(asked)('$method $path answers as docs/openapi.json says, whatever is asked', async (operation) => {
  const queries = fc.dictionary(fc.constantFrom(...(operation.query ?? ['x'])), VALUES, { maxKeys: 3 })
  await fc.assert(
    fc.asyncProperty(queries, BODIES, fc.stringMatching(/^[\w-]{1,12}$/), async (query, body, id) => {
      const answer = await send(operation, query, body, id)
      const said = await answer.text()
      const type = answer.headers.get('content-type') ?? ''
      expect(answer.headers.get('x-request-id')).toMatch(/./)
      expect(answer.headers.get('x-tollway-spent')).toBe('no')
      expect(answer.status).toBeLessThan(500)
      if (answer.status !== 200) expect(isError(answer.status, JSON.parse(said)), said).toBe(true)
      else if (operation.answer)
        expect(operation.answer.safeParse(JSON.parse(said)).error, said).toBeUndefined()
      else if (type.startsWith('application/json')) JSON.parse(said)
    }),
    // Always the same ones: a wider run changes the seed.
    { numRuns: 12, seed: 15 },
  )
})

test('what was asked above was asked of a gateway with vouchers in a pool, and left them there', async () => {
  const status: unknown = await (await fetch(`${tollway.url}/status`)).json()
  expect(status).toMatchObject({ sold: { remaining: 3, spent: 0 } })
})

test('every path of /api is in the document, and no other', () => {
  const stub = untyped<Parameters<typeof apiPaths>[0]>({
    ledger: { store: {} },
    clock: {},
    facets: {},
    streams: {},
  })
  const served = [...apiPaths(stub).keys()]
  const read = OPERATIONS.filter(({ method }) => method === 'get').map(({ path }) => path)
  const documented = read.filter((path) => path.startsWith('/api/'))
  expect(documented.toSorted()).toEqual(served.toSorted())
})

test('docs/http.md has every path of the document, and every header of the code, and no other header', async () => {
  const page = await readFile(join(ROOT, 'docs/http.md'), 'utf8')
  expect(OPERATIONS.map(({ path }) => path).filter((path) => !page.includes(`\`${path}\``))).toEqual([])
  const code = await Promise.all(
    [...sources('src'), ...sources('middleware')].map((name) => readFile(join(ROOT, name), 'utf8')),
  )
  const headers = (all: string): string[] =>
    [...new Set(all.match(/\bx-tollway-[a-z]+(?:-[a-z]+)*\b/g))].toSorted()
  expect(headers(page)).toEqual(headers(code.join('\n')))
})

describe('with a payer', () => {
  let gateway: Gateway
  let url: string

  beforeAll(async () => {
    const config = {
      listen: '127.0.0.1:0',
      store: 'memory',
      audit: { path: join(tollway.directory, 'paid.jsonl') },
      model_list: [{ model_name: 'paid/*', model: '*', api_base: seller.apiBase, payer: 'toy' }],
      budgets: [{ name: 'day', limit_usd: '1.00', window: 'day' }],
      log: { level: 'silent' },
    }
    gateway = await createGateway(parseConfig(config, {}, { payers: ['toy'] }), {
      payers: new Map([['toy', toyPayer()]]),
    })
    ;({ url } = await gateway.listen())
  })
  afterAll(async () => {
    await gateway?.close()
  })

  const pay = async (path: string, more: object = {}): Promise<Response> =>
    await fetch(`${url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'paid/m', seed: path, messages: [], ...more }),
    })

  test.each(OPERATIONS.filter(({ isModelCall }) => isModelCall === true))(
    '$path answers as docs/openapi.json says',
    async ({ path, answer: schema, events }) => {
      const answer = await pay(path)
      const said = await answer.text()
      // Counting tokens is never paid for by default.
      if (answer.status !== 200) return expect(isError(answer.status, JSON.parse(said)), said).toBe(true)
      expect(schema?.safeParse(JSON.parse(said)).error, said).toBeUndefined()
      if (!events) return
      const stream = await pay(path, { stream: true })
      expect(stream.headers.get('content-type')).toContain('text/event-stream')
      const data = [...(await stream.text()).matchAll(/^data: (\{.*)$/gm)].map(
        ([, json = '']) => JSON.parse(json) as unknown,
      )
      expect(data.length).toBeGreaterThan(0)
      for (const each of data) expect(events.safeParse(each).error).toBeUndefined()
    },
  )

  test('the charges of /api, and the events of /api/events, are those of the document', async () => {
    const live = await fetch(`${url}/api/events`)
    expect((await pay('/v1/chat/completions', { seed: 'live' })).status).toBe(200)
    const { body } = live
    if (!body) throw new Error('no stream')
    const said: string[] = []
    for await (const piece of body.pipeThrough(new TextDecoderStream())) {
      said.push(piece)
      if (said.join('').includes('"settled"')) break
    }
    const events = [...said.join('').matchAll(/^data: (.*)$/gm)].map(
      ([, json = '']) => JSON.parse(json) as unknown,
    )
    expect(events.length).toBeGreaterThan(2)
    for (const each of events) expect(FEED.safeParse(each).error, JSON.stringify(each)).toBeUndefined()
    const charges = OPERATIONS.find(({ path }) => path === '/api/charges')?.answer
    const listed: unknown = await (await fetch(`${url}/api/charges`)).json()
    expect(charges?.safeParse(listed).error, JSON.stringify(listed)).toBeUndefined()
    expect(listed).toHaveProperty('charges.0.charge')
  })
})

test('the gateway serves the document itself', async () => {
  const file = await readFile(join(ROOT, 'docs/openapi.json'), 'utf8')
  expect(await (await fetch(`${tollway.url}/openapi.json`)).text()).toBe(file)
})
