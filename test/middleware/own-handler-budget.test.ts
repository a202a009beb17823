/** `budgetGuard({ prices })` in front of a handler of the host that sends to its provider itself. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import compression from 'compression'
import OpenAI from 'openai'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { budgetsOption } from '../../middleware/http/options/budget-option.ts'
import {
  assertOrder,
  auditLogger,
  budgetGuard,
  errorHandler,
  exchangeOf,
  modelRouter,
  openLedger,
  paymentInterceptor,
  readBody,
  reportUsage,
  restream,
  sseRestreamer,
  type BudgetGuardOptions,
  type Handler,
  type OpenedLedger,
  type Request,
} from '../../middleware/index.ts'
import { toyPayer } from '../../src/testing/toy-payer.ts'
import type { BudgetStatus } from '../../src/io/ledger/budget-status.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'
import { events, json } from '../kit/seller-answers.ts'
import { cutAfter } from '../kit/seller-faults.ts'
import { codeOf, messageOf, post, send, serve, untyped, type Sent } from './harness.ts'
import { EXPRESS, type Host } from './hosts.ts'

const CHAT = '/v1/chat/completions'
/** $0.001 for each token. */
const PRICES = { 'gpt-4o*': { inputUsdPerToken: '0.001', outputUsdPerToken: '0.001' } }
const DAY = [{ name: 'day', limitUsd: '10.00', window: 'day' }]
/** What is asked, 63 bytes: with 10 tokens of output it may cost $0.073. */
const QUESTION = '{"model":"gpt-4o-mini","max_tokens":10,"messages":[ ],"seed":1}'
const USAGE = { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 }
const ANSWER = { id: 'a', object: 'chat.completion', model: 'gpt-4o-mini', choices: [] }
const CHUNK = '{"id":"a","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"x"}'
const STREAM = [
  `${CHUNK},"finish_reason":null}]}`,
  `${CHUNK},"finish_reason":"stop"}]}`,
  `{"id":"a","object":"chat.completion.chunk","choices":[],"usage":${JSON.stringify(USAGE)}}`,
  '[DONE]',
]

let provider: ScriptedSeller
let opened: OpenedLedger

beforeEach(async () => {
  provider = await startScriptedSeller(() => json({ ...ANSWER, usage: USAGE }))
  opened = await openLedger({ store: 'memory' })
})
afterEach(async () => {
  await opened.close()
  await provider.close()
})

async function day(): Promise<BudgetStatus> {
  const [status] = await opened.ledger.budgets(budgetsOption.parse(DAY))
  if (!status) throw new Error('no budget')
  return status
}

/** What was answered was recorded before it was sent (rule 3): nothing of it is only held, however long one waits. */
async function refuseHeld(): Promise<void> {
  const held = await opened.ledger.store.charges({ states: ['held'] })
  expect(held, 'a call was sent without a record of it').toEqual([])
}

/** Micro-USD, once nothing is on its way any more. */
async function spent(): Promise<bigint> {
  await refuseHeld()
  await expect.poll(async () => (await day()).totals.authorized).toBe(0n)
  return (await day()).totals.spent
}

/** What a handler of the host may do with a request. */
type Own = (req: Request, res: ServerResponse) => Promise<void>

function caught(own: Own): Handler {
  return (req, res, next) => void own(req, res).catch(next)
}

async function app(own: Own, options: Partial<BudgetGuardOptions> = {}, host = EXPRESS[1]): Promise<number> {
  const chain = untyped<Host>(host).app()
  chain.use(readBody())
  chain.use(budgetGuard({ ledger: opened.ledger, budgets: DAY, prices: PRICES, ...options }))
  chain.post(CHAT, caught(own))
  chain.use(errorHandler({ hostErrors: 'answer' }))
  assertOrder(chain)
  return await serve(chain)
}

const ask = async (port: number, body = QUESTION): Promise<Sent> => await post(port, CHAT, body)

async function forward(req: Request): Promise<Response> {
  const { body } = exchangeOf(req).request
  return await fetch(`${provider.apiBase}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: 'Bearer key' },
    body: untyped<Uint8Array<ArrayBuffer>>(body),
  })
}

function sendJson(res: ServerResponse, body: unknown): void {
  res.setHeader('content-type', 'application/json')
  res.end(JSON.stringify(body))
}

const viaRestream: Own = async (req, res) => await restream(res, await forward(req))

const openai = (): OpenAI => new OpenAI({ apiKey: 'key', baseURL: provider.apiBase, maxRetries: 0 })

/** With OpenAI's own client, as most applications do. */
const viaClient: Own = async (req, res) => {
  sendJson(res, await openai().chat.completions.create(untyped(req.body)))
}

describe.each(EXPRESS)('a handler behind budgetGuard({ prices }) in $name', (host) => {
  it.each([
    ['relays the answer by restream()', viaRestream],
    ["answers with what OpenAI's client returned", viaClient],
    [
      'answers in words of its own, and reports the usage',
      async (req, res) => {
        const { usage } = await openai().chat.completions.create(untyped(req.body))
        reportUsage(req, usage)
        res.end('done')
      },
    ],
    [
      'writes head and pieces of the answer by hand',
      async (_req, res) => {
        res.writeHead(200, { 'Content-Type': 'application/json' })
        const text = JSON.stringify({ ...ANSWER, usage: USAGE })
        res.write(text.slice(0, 30))
        res.write(Buffer.from(text.slice(30, 60)).toString('hex'), 'hex')
        res.end(Buffer.from(text.slice(60)))
      },
    ],
    [
      'compresses the answer itself',
      async (_req, res) => {
        res.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' })
        res.end(gzipSync(JSON.stringify({ ...ANSWER, usage: USAGE })))
      },
    ],
    [
      'streams what it read',
      async (_req, res) => {
        res.setHeader('content-type', 'text/event-stream')
        for (const data of STREAM) res.write(`data: ${data}\n\n`)
        res.end()
      },
    ],
  ] satisfies [string, Own][])('is booked for the usage: %s', async (_case, own) => {
    const answer = await ask(await app(own, {}, host))
    expect(answer.status).toBe(200)
    expect(await spent()).toBe(7000n)
  })

  it.each([
    ['the answer tells no usage', async (_req, res) => void res.end('done')],
    ['it reports none', async (req, res) => (reportUsage(req, undefined), void res.end('done'))],
    [
      'it fails before it answers',
      async () => {
        throw new Error('provider timed out')
      },
    ],
    [
      'its stream ends without the usage chunk',
      async (_req, res) => {
        res.setHeader('content-type', 'text/event-stream')
        res.end(`data: ${STREAM[0]}\n\ndata: ${STREAM[1]}\n\ndata: [DONE]\n\n`)
      },
    ],
    [
      'its stream breaks off behind an early usage',
      async (_req, res) => {
        res.setHeader('content-type', 'text/event-stream')
        const early = STREAM[0]?.replace(/\}$/, `,"usage":${JSON.stringify(USAGE)}}`)
        res.end(`data: ${early}\n\n`)
      },
    ],
    ['the connection breaks', async (_req, res) => void res.destroy()],
  ] satisfies [string, Own][])('rule 4: is booked for the most it may cost: %s', async (_case, own) => {
    await ask(await app(own, {}, host)).catch(() => undefined)
    expect(await spent()).toBe(73_000n)
  })
})

describe('budgetGuard({ prices })', () => {
  it('rule 2: lets no more of 40 calls at once to the handler than the budget has room for', async () => {
    let running = 0
    const port = await app(
      async (req, res) => {
        running += 1
        await viaClient(req, res)
      },
      { budgets: [{ name: 'day', limitUsd: '0.219', window: 'day' }] },
    )
    const statuses = await Promise.all(Array.from({ length: 40 }, async () => (await ask(port)).status))
    expect(statuses.filter((status) => status === 402)).toHaveLength(40 - running)
    expect(provider.requests).toHaveLength(running)
    expect(running).toBeGreaterThanOrEqual(3)
    // Each cost $0.007; the next could cost $0.073.
    expect(await spent()).toBe(BigInt(running) * 7000n)
  })

  it('refuses before the handler runs when what is left may not be enough', async () => {
    const port = await app(viaClient, { budgets: [{ name: 'day', limitUsd: '0.08', window: 'day' }] })
    expect((await ask(port)).status).toBe(200)
    expect(await spent()).toBe(7000n)
    expect((await ask(port)).status).toBe(200)
    expect(await spent()).toBe(14_000n)
    const refused = await ask(port)
    expect([refused.status, codeOf(refused)]).toEqual([402, 'budget_exhausted'])
    expect(provider.requests).toHaveLength(2)
  })

  it('rule 3: records the call durably before the handler runs', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'tollway-own-'))
    const path = join(directory, 'audit.jsonl')
    const audit = auditLogger({ path })
    const guard = budgetGuard({ store: 'memory', budgets: DAY, prices: PRICES })
    let seen: string[] = []
    const types = async (): Promise<string[]> =>
      (await readFile(path, 'utf8'))
        .trimEnd()
        .split('\n')
        .map((line) => untyped<{ type: string }>(JSON.parse(line)).type)
    const chain = untyped<Host>(EXPRESS[1]).app()
    chain.use(audit, readBody(), guard)
    chain.post(
      CHAT,
      caught(async (req, res) => {
        seen = await types()
        reportUsage(req, { inputTokens: 5, outputTokens: 2 })
        res.end('done')
      }),
    )
    chain.use(errorHandler())
    expect((await ask(await serve(chain))).status).toBe(200)
    expect(seen).toEqual(['instance.started', 'charge.held', 'charge.authorized'])
    await refuseHeld()
    await expect.poll(types).toEqual([...seen, 'request', 'charge.settled'])
    const records = await readFile(path, 'utf8')
    expect(records).toMatch(/"inputTokens":5[^\n]*"outputTokens":2[^\n]*"type":"request"/)
    await guard.close()
    await audit.close()
    await rm(directory, { recursive: true, force: true })
  })

  it("gives the reservation back when the host's provider refused the call that restream() relays", async () => {
    provider.follow(() => json({ error: { message: 'slow down' } }, {}, 429))
    expect((await ask(await app(viaRestream))).status).toBe(429)
    expect(await spent()).toBe(0n)
  })

  it('books the most when the answer that restream() relays breaks off', async () => {
    provider.follow(cutAfter(60, events(STREAM)))
    await ask(await app(viaRestream), QUESTION.replace('"seed":1', '"stream":true')).catch(() => undefined)
    expect(await spent()).toBeGreaterThan(70_000n)
  })

  it('adds up what is reported of several calls, and books what they cost, though it is more', async () => {
    const port = await app(async (req, res) => {
      reportUsage(req, { prompt_tokens: 40, completion_tokens: 10 })
      reportUsage(req, { input_tokens: 40, output_tokens: 10 })
      res.end('done')
    })
    expect((await ask(port)).status).toBe(200)
    expect(await spent()).toBe(100_000n)
  })

  it('counts cached input at its own price, in every report', async () => {
    const prices = { '*': { inputUsdPerToken: '0.001', cachedInputUsdPerToken: '0.0001' } }
    const port = await app(
      async (req, res) => {
        const usage = { ...USAGE, prompt_tokens: 10, prompt_tokens_details: { cached_tokens: 8 } }
        reportUsage(req, usage)
        reportUsage(req, usage)
        res.end('done')
      },
      { prices },
    )
    await ask(port)
    expect(await spent()).toBe(5600n)
  })

  it('believes the report rather than the answer', async () => {
    const port = await app(async (req, res) => {
      reportUsage(req, { inputTokens: 0, outputTokens: 0 })
      sendJson(res, { ...ANSWER, usage: USAGE })
    })
    await ask(port)
    expect(await spent()).toBe(0n)
  })

  it.each([['text'], [{ tokens: 3 }], [{ prompt_tokens: -1 }], [7]])(
    'reportUsage() refuses %j',
    async (bad) => {
      const port = await app(async (req) => reportUsage(req, untyped<object>(bad)))
      const answer = await ask(port)
      expect(answer.status).toBe(500)
      expect(await spent()).toBe(73_000n)
    },
  )

  it('counts compressed answers behind compression()', async () => {
    const chain = untyped<Host>(EXPRESS[1]).app()
    const squeeze = (): Handler => untyped<Handler>(compression({ threshold: 0 }))
    for (const order of ['before', 'behind']) {
      const guard = budgetGuard({ ledger: opened.ledger, budgets: DAY, prices: PRICES })
      const own = order === 'before' ? [squeeze(), readBody(), guard] : [readBody(), guard, squeeze()]
      chain.use(`/${order}`, ...own)
      chain.post(`/${order}${CHAT}`, caught(viaClient))
    }
    chain.use(errorHandler())
    const port = await serve(chain)
    const headers = { 'content-type': 'application/json', 'accept-encoding': 'gzip' }
    for (const [at, order] of ['before', 'behind'].entries()) {
      const answer = await send(port, { method: 'POST', path: `/${order}${CHAT}`, headers, body: QUESTION })
      expect(answer.headers['content-encoding']).toBe('gzip')
      expect(await spent()).toBe(7000n * BigInt(at + 1))
    }
  })

  it('adds the tokens that the handler adds to a request', async () => {
    const prices = { '*': { inputUsdPerToken: '0.001', addedInputTokens: 1000 } }
    const port = await app(async (_req, res) => void res.end('done'), { prices })
    await ask(port)
    expect(await spent()).toBe(1_063_000n)
  })

  it('takes the exact name before a pattern, and the longer pattern first', async () => {
    const prices = {
      '*': { usdPerRequest: '0.5' },
      'gpt-4o*': { usdPerRequest: '0.2' },
      'gpt-4o-mini': { usdPerRequest: '0.01' },
    }
    const port = await app(async (_req, res) => void res.end('done'), { prices })
    const costs: bigint[] = []
    for (const model of ['gpt-4o-mini', 'gpt-4o', 'gpt-4o-2024', 'o3']) {
      const before = (await day()).totals.spent
      await ask(port, JSON.stringify({ model }))
      costs.push((await spent()) - before)
    }
    expect(costs).toEqual([10_000n, 500_000n, 200_000n, 500_000n])
  })

  it('refuses a model without a price where a budget in USD applies, and counts its tokens where none does', async () => {
    const body = '{"model":"llama","max_tokens":1,"seed":"twelve bytes "}'
    const refused = await ask(await app(viaClient), body)
    expect([refused.status, codeOf(refused)]).toEqual([404, 'model_not_found'])
    expect(messageOf(refused)).toContain('prices of budgetGuard()')
    expect(provider.requests).toEqual([])
    const tokens = [{ name: 'tokens', limitTokens: 70, window: 'day' }]
    const port = await app(viaClient, { prices: {}, budgets: tokens })
    expect((await ask(port, body)).status).toBe(200)
    await refuseHeld()
    await expect
      .poll(async () => (await opened.ledger.budgets(budgetsOption.parse(tokens)))[0]?.totals.spent)
      .toBe(7n)
    expect((await ask(port, body.replace('"max_tokens":1', '"max_tokens":60'))).status).toBe(402)
  })

  it('shares one budget with paid routes, and reserves nothing twice', async () => {
    const seller = await startScriptedSeller()
    const chain = untyped<Host>(EXPRESS[1]).app()
    const routes = [{ modelName: 'paid/*', apiBase: seller.apiBase, payer: 'toy' }]
    chain.use(readBody(), modelRouter({ routes, unclaimed: 'next' }))
    chain.use(budgetGuard({ ledger: opened.ledger, budgets: DAY, prices: PRICES }))
    chain.use(paymentInterceptor({ payers: { toy: toyPayer() }, ledger: opened.ledger }), sseRestreamer())
    chain.post(CHAT, caught(viaClient))
    chain.use(errorHandler())
    assertOrder(chain)
    const port = await serve(chain)
    expect((await ask(port, '{"model":"paid/m"}')).headers['x-tollway-spent']).toBe('yes')
    expect((await ask(port)).status).toBe(200)
    expect(await spent()).toBe(8000n)
    await seller.close()
  })

  it('says where to mount readBody(), and what is wrong with prices', async () => {
    const chain = untyped<Host>(EXPRESS[1]).app()
    chain.use(budgetGuard({ budgets: DAY, prices: PRICES }), errorHandler())
    expect(() => assertOrder(chain)).toThrow('Mount readBody() before it')
    const answer = await ask(await serve(chain))
    expect([answer.status, codeOf(answer)]).toEqual([500, 'setup_error'])
    expect(messageOf(answer)).toContain('Mount readBody() before budgetGuard()')
    const mistakes: readonly [object, string][] = [
      [{ m: {} }, 'give inputUsdPerToken, outputUsdPerToken, usdPerRequest'],
      [{ m: { inputUsdPerToken: 0.001 } }, 'write USD as decimal text'],
      [{ m: { inputUsdPerToken: '1e-6' } }, 'at most 18 decimals'],
      [{ m: { inputUsdPerTokens: '0.001' } }, 'Did you mean "inputUsdPerToken"?'],
      [{ m: { usdPerRequest: '-1' } }, 'write USD as decimal text'],
    ]
    for (const [prices, fault] of mistakes) {
      expect(() => budgetGuard({ budgets: DAY, prices: untyped(prices) })).toThrow(fault)
    }
  })
})
