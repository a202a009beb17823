import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest'
import * as parts from '../../middleware/index.ts'
import type { ClosableHandler, Hooks } from '../../middleware/index.ts'
import { tollway, type TollwayMiddleware } from '../../src/app/embedding/tollway.ts'
import { createGateway } from '../../src/app/gateway/gateway.ts'
import { openLedger } from '../../src/io/ledger/open-ledger.ts'
import { memoryStore, toyPayer } from '../../src/testing/index.ts'
import { parseConfig } from '../../src/app/config/load.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'
import { asking } from '../kit/seller-answers.ts'
import { cut } from '../kit/seller-faults.ts'
import { codeOf, inExpress, messageOf, post, serve, untyped, type Sent } from '../middleware/harness.ts'

const CHAT = '/v1/chat/completions'
const log = pino({ level: 'silent' })

let directory: string
let seller: ScriptedSeller
const open: { close(): Promise<void> }[] = []

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tollway-hooks-'))
  seller = await startScriptedSeller()
})

afterEach(async () => {
  for (const part of open.splice(0)) await part.close()
  await seller.close()
  await rm(directory, { recursive: true, force: true })
})

const config = (more: object = {}): object => ({
  listen: '127.0.0.1:0',
  store: `sqlite:${join(directory, 'tollway.db')}`,
  audit: { path: join(directory, 'audit.jsonl') },
  model_list: [{ model_name: 'paid/*', api_base: seller.apiBase, payer: 'toy' }],
  ...more,
})

/** The three ways in, with the same hooks: each answers on the port that it resolves to. */
const WAYS: readonly [string, (hooks: Hooks) => Promise<number>][] = [
  [
    'tollway(config, { hooks })',
    async (hooks) => {
      const middleware: TollwayMiddleware = await tollway(config(), {
        hooks,
        payers: { toy: toyPayer() },
        log,
      })
      open.push(middleware)
      return await serve((req, res) => middleware(req, res, () => res.end('host')))
    },
  ],
  [
    'createGateway(config, { hooks })',
    async (hooks) => {
      const payers = new Map([['toy', toyPayer()]])
      const own = { payers: ['toy'] }
      const gateway = await createGateway(parseConfig(config(), {}, own), { hooks, payers, log })
      open.push(gateway)
      return Number(new URL((await gateway.listen()).url).port)
    },
  ],
  [
    'single middlewares',
    async (hooks) => {
      // The same functions given to several parts are called once.
      const chain = [
        parts.auditLogger({ path: join(directory, 'audit.jsonl'), hooks }),
        parts.readBody(),
        parts.modelRouter({ routes: [{ modelName: 'paid/*', apiBase: seller.apiBase, payer: 'toy' }] }),
        parts.budgetGuard({ budgets: [], store: 'memory', hooks: { ...hooks } }),
        parts.paymentInterceptor({ payers: { toy: toyPayer() }, hooks }),
        parts.sseRestreamer(),
      ]
      open.push(...chain.filter((part): part is ClosableHandler => 'close' in part))
      return await serve(inExpress(...chain))
    },
  ],
]

const chat = (port: number, model = 'paid/m', text = 'hi'): Promise<Sent> =>
  post(port, CHAT, { model, messages: [{ role: 'user', content: text }] })

describe.each(WAYS)('hooks given to %s', (_name, start) => {
  it('calls each at its point, once', async () => {
    const calls: string[] = []
    const port = await start({
      beforeSign: ({ purpose, amount, payTo, requestId }) => {
        calls.push(`beforeSign ${purpose} ${amount} ${payTo.length} ${typeof requestId}`)
      },
      afterSettle: ({ proof, amount }) => void calls.push(`afterSettle ${proof} ${amount}`),
      onUncertain: ({ reason }) => void calls.push(`onUncertain ${reason}`),
      onRefused: ({ code }) => void calls.push(`onRefused ${code}`),
      onRequest: ({ outcome, status }) => void calls.push(`onRequest ${outcome} ${status}`),
    })
    expect((await chat(port)).status).toBe(200)
    seller.follow({ paid: cut })
    expect(codeOf(await chat(port, 'paid/m', 'lost'))).toBe('payment_uncertain')
    seller.follow({ unpaid: asking(5_000_000n) })
    expect(codeOf(await chat(port, 'paid/m', 'dear'))).toBe('price_above_limit')
    await expect.poll(() => calls.length).toBe(8)
    expect(calls.toSorted()).toEqual([
      'afterSettle receipt 1000',
      'beforeSign request 1000 42 string',
      'beforeSign request 1000 42 string',
      'onRefused price_above_limit',
      'onRequest paid 200',
      'onRequest refused 400',
      'onRequest uncertain 400',
      expect.stringMatching(/^onUncertain /),
    ])
  })

  it('rule 7: a refusal of beforeSign ends the request before anything is reserved, with its reason everywhere', async () => {
    const refused: unknown[] = []
    const port = await start({
      beforeSign: () => ({ refuse: 'out_of_hours' }),
      onRefused: ({ code, details }) => void refused.push([code, details['hook_reason']]),
    })
    const answer = await chat(port)
    expect([answer.status, codeOf(answer)]).toEqual([400, 'hook_refused'])
    expect(messageOf(answer)).toContain('out_of_hours')
    expect(answer.headers['x-tollway-spent']).toBe('no')
    expect(seller.payments).toEqual([])
    await expect.poll(() => refused).toEqual([['hook_refused', 'out_of_hours']])
    const audit = await readFile(join(directory, 'audit.jsonl'), 'utf8')
    expect(audit).toContain('"hook_reason":"out_of_hours"')
    expect(audit).not.toContain('charge.held')
  })

  it('an answer reaches its client whatever the hooks do that are not waited for', async () => {
    const boom = (): never => {
      throw new Error('own fault')
    }
    const hanging = (): Promise<never> => new Promise(() => undefined)
    const port = await start({ afterSettle: boom, onRequest: hanging, onRefused: boom, onUncertain: hanging })
    const answer = await chat(port)
    expect([answer.status, answer.headers['x-tollway-spent']]).toEqual([200, 'yes'])
    seller.follow({ paid: cut })
    expect(codeOf(await chat(port, 'paid/m', 'lost'))).toBe('payment_uncertain')
  })

  it('nothing is paid when beforeSign throws or hangs', async () => {
    let isHanging = false
    const port = await start({
      timeoutMs: 20,
      beforeSign: () => {
        if (isHanging) return new Promise(() => undefined)
        throw new Error('own fault')
      },
    })
    expect(codeOf(await chat(port))).toBe('hook_unavailable')
    isHanging = true
    expect(codeOf(await chat(port, 'paid/m', 'other'))).toBe('hook_unavailable')
    expect(seller.payments).toEqual([])
  })
})

test('counts calls and refusals', async () => {
  const payers = new Map([['toy', toyPayer()]])
  const hooks: Hooks = {
    beforeSign: ({ model }) => (model === 'paid/no' ? { refuse: 'not_this' } : undefined),
  }
  const gateway = await createGateway(parseConfig(config(), {}, { payers: ['toy'] }), { hooks, payers, log })
  open.push(gateway)
  const port = Number(new URL((await gateway.listen()).url).port)
  await chat(port)
  await chat(port, 'paid/no')
  const text = await gateway.parts.metrics.text()
  expect(text).toContain('tollway_hook_calls_total{hook="beforeSign",result="done"} 1')
  expect(text).toContain('tollway_hook_calls_total{hook="beforeSign",result="refused"} 1')
  expect(text).toContain('tollway_hook_refusals_total{reason="not_this"} 1')
  expect(text).toContain('tollway_errors_total{route="paid/*",code="hook_refused"} 1')
})

test('does not ask for a dry run, which signs nothing', async () => {
  const asked: unknown[] = []
  const middleware = await tollway(config(), {
    hooks: { beforeSign: (payment) => void asked.push(payment) },
    payers: { toy: toyPayer() },
    log,
  })
  open.push(middleware)
  const port = await serve((req, res) => middleware(req, res, () => res.end('host')))
  const answer = await post(port, CHAT, { model: 'paid/m', messages: [], dry_run: true })
  expect([answer.status, asked]).toEqual([200, []])
})

test('sees the charges of a ledger that was opened elsewhere, and requests without an auditLogger', async () => {
  const opened = await openLedger({ store: memoryStore() })
  const calls: string[] = []
  const hooks: Hooks = {
    afterSettle: () => void calls.push('afterSettle'),
    onRequest: ({ status }) => void calls.push(`onRequest ${status}`),
  }
  const interceptor = parts.paymentInterceptor({ payers: { toy: toyPayer() }, hooks })
  open.push(interceptor, opened)
  const port = await serve(
    inExpress(
      parts.readBody(),
      parts.modelRouter({ routes: [{ modelName: 'paid/*', apiBase: seller.apiBase, payer: 'toy' }] }),
      parts.budgetGuard({ budgets: [], ledger: opened.ledger }),
      interceptor,
      parts.sseRestreamer(),
    ),
  )
  await chat(port)
  await chat(port, 'paid/m', 'again')
  await expect
    .poll(() => calls.toSorted())
    .toEqual(['afterSettle', 'afterSettle', 'onRequest 200', 'onRequest 200'])
})

test.each([
  [{ beforeSing: () => undefined }, /hooks\.beforeSing.*Did you mean "beforeSign"/],
  [{ afterSettle: 'log it' }, /afterSettle is a function/],
  [{ timeoutMs: 0 }, /at least 1 millisecond/],
])('refuses at once what is no hook: %o', async (hooks, message) => {
  const wrong = untyped<Hooks>(hooks)
  expect(() => tollway(config(), { hooks: wrong, payers: { toy: toyPayer() }, log })).toThrow(message)
  expect(() => parts.paymentInterceptor({ payers: {}, hooks: wrong })).toThrow(message)
  expect(() => parts.budgetGuard({ budgets: [], hooks: wrong })).toThrow(message)
  expect(() => parts.auditLogger({ path: 'x', hooks: wrong })).toThrow(message)
  const payers = new Map([['toy', toyPayer()]])
  const resolved = parseConfig(config(), {}, { payers: ['toy'] })
  await expect(createGateway(resolved, { hooks: wrong, payers, log })).rejects.toThrow(message)
})
