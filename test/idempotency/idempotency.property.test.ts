/** Any interleaving of equal and different requests, in two processes on one store, pays at most once per key. */
import { EventEmitter } from 'node:events'
import type { ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { exchangeOf } from '../../middleware/http/exchange-of.ts'
import type { Handler, Request } from '../../middleware/http/handler.ts'
import { idempotency } from '../../middleware/idempotency.ts'
import { compileRoutes } from '../../src/core/routing/route.ts'
import { TollwayError } from '../../src/core/errors.ts'
import type { Exchange } from '../../src/core/request/exchange.ts'
import { Ledger } from '../../src/io/ledger/ledger.ts'
import { memoryStore } from '../../src/io/store/memory/store.ts'
import type { Store } from '../../src/io/store/store.ts'
import { instance, signed, terms } from '../store/samples.ts'

const routes = compileRoutes([
  { modelName: 'paid', model: undefined, apiBase: 'https://s/v1', payer: 'p', apiKey: undefined, order: 0 },
])

/** What happens to a payment, and how the client behaves. */
interface Call {
  key: string
  body: string
  process: 0 | 1
  fate: 'answered' | 'uncertain' | 'refused' | 'broken'
  leaves: boolean
}

const calls = fc.array(
  fc.record<Call>({
    key: fc.constantFrom('k1', 'k2'),
    body: fc.constantFrom('same', 'same', 'other'),
    process: fc.constantFrom(0, 1),
    fate: fc.constantFrom('answered', 'answered', 'uncertain', 'refused', 'broken'),
    leaves: fc.boolean(),
  }),
  { minLength: 2, maxLength: 7 },
)

/** One gateway process: its ledger, and the middleware before a payment interceptor that does as it is told. */
class Process {
  readonly ledger: Ledger
  readonly #handler: Handler
  /** What goes on for clients that left too. */
  readonly tails: Promise<string>[] = []
  /** Charges that were sent, with the key they were sent for. */
  readonly sent: string[]
  #count: { n: number }

  private constructor(ledger: Ledger, sent: string[], count: { n: number }) {
    this.ledger = ledger
    this.#handler = idempotency({ ledger })
    this.sent = sent
    this.#count = count
  }

  static async start(id: string, store: Store, sent: string[], count: { n: number }): Promise<Process> {
    const audit = { append: async () => undefined, close: async () => undefined }
    const clock = { now: () => 1_000_000 }
    // Alive: this very process, under two names.
    const self = instance(id, { host: 'h', pid: process.pid, processStart: '', heartbeatAt: clock.now() })
    const random = (length: number): Uint8Array => crypto.getRandomValues(new Uint8Array(length))
    const ledger = await Ledger.open({ store, audit, clock, random, instance: self, observers: [] })
    return new Process(ledger, sent, count)
  }

  /** @returns what the client got: the body, an error code, or `left` */
  async ask(call: Call, turn: (label: string) => Promise<void>): Promise<string> {
    const req = Object.assign(new EventEmitter(), {
      method: 'POST',
      url: '/v1/chat/completions',
      headers: { 'idempotency-key': call.key },
    }) as unknown as Request
    const res = fakeResponse()
    const exchange = exchangeOf(req)
    exchange.endpoint = '/chat/completions'
    exchange.request.body = Buffer.from(call.body)
    exchange.request.model = 'paid'
    exchange.routing.candidates = routes.match('paid')
    exchange.routing.route = 'paid'
    const answered = new Promise<string>((resolve) => {
      res.once('close', () => resolve('left'))
      this.#handler(req, res, (error) => {
        const tail = this.#serve(call, exchange, error, turn)
        this.tails.push(tail)
        void tail.then(resolve)
      })
    })
    if (call.leaves) void turn('leave').then(() => res.close())
    const got = await answered
    res.close(got.startsWith('body'))
    return got
  }

  async #serve(call: Call, exchange: Exchange, error: unknown, turn: Turn): Promise<string> {
    if (error !== undefined) return codeOf(error)
    if (exchange.relay.reply) return await read(exchange)
    const { run } = exchange.payment
    if (!run) throw new Error('the request was not taken on')
    run.begin()
    try {
      await turn('quote')
      await this.#pay(call, exchange, turn)
    } catch (failure) {
      run.fail(exchange, failure)
      return codeOf(failure)
    }
    run.complete(exchange)
    return await read(exchange)
  }

  async #pay(call: Call, exchange: Exchange, turn: Turn): Promise<void> {
    if (call.fate === 'refused') throw new TollwayError({ code: 'price_above_limit', message: 'no' })
    const n = (this.#count.n += 1)
    const { id: _id, instance: _i, reservedAt: _r, leaseUntil: _l, ...rest } = terms(n)
    exchange.payment.charge = await this.ledger.reserve(rest, [], false, exchange.payment.run?.mark)
    await turn('sign')
    if (exchange.payment.run?.leaving.aborted === true) {
      exchange.payment.charge = await this.ledger.release(exchange.payment.charge, 'client_left')
      throw new Error('left')
    }
    exchange.payment.charge = await this.ledger.authorize(exchange.payment.charge, signed(n))
    this.sent.push(call.key)
    await turn('send')
    if (call.fate === 'uncertain') {
      exchange.payment.charge = await this.ledger.uncertain(exchange.payment.charge, 'timeout')
      throw new TollwayError({ code: 'payment_uncertain', message: 'no answer' })
    }
    exchange.payment.charge = await this.ledger.settle(exchange.payment.charge, 'receipt', undefined)
    const chunks = call.fate === 'broken' ? ['bo', new Error('cut')] : ['bo', 'dy', String(n)]
    const body = Readable.from(chunksOf(chunks))
    exchange.relay.reply = { status: 200, headers: {}, kind: 'paid', body }
  }
}

type Turn = (label: string) => Promise<void>

async function* chunksOf(chunks: readonly (string | Error)[]): AsyncGenerator<Buffer> {
  for (const chunk of chunks) {
    if (chunk instanceof Error) throw chunk
    yield Buffer.from(chunk)
  }
}

async function read(exchange: Exchange): Promise<string> {
  let text = ''
  try {
    for await (const chunk of exchange.relay.reply?.body ?? []) {
      exchange.relay.firstByteAt ??= 1
      text += Buffer.from(chunk).toString()
    }
    return text
  } catch {
    return `${text} broken`
  } finally {
    exchange.relay.reply?.body.destroy()
  }
}

function codeOf(error: unknown): string {
  return error instanceof TollwayError ? error.code : String(error)
}

interface FakeResponse extends ServerResponse {
  close(whole?: boolean): void
}

/** The parts of a response that the middleware looks at. */
function fakeResponse(): FakeResponse {
  const state = { closed: false, destroyed: false, writableFinished: false, statusCode: 200 }
  const res = Object.assign(new EventEmitter(), state, {
    setHeader: () => undefined,
    getHeader: () => 'application/json',
    close(this: typeof state & EventEmitter, whole = false) {
      if (this.closed) return
      Object.assign(this, { closed: true, writableFinished: whole, statusCode: whole ? 200 : 400 })
      this.emit('close')
    },
  })
  return res as unknown as FakeResponse
}

test('pays at most once per key; every request that stays gets an answer; one key has one answer', async () => {
  await fc.assert(
    fc.asyncProperty(calls, fc.scheduler(), async (asked, scheduler) => {
      const store = memoryStore()
      const sent: string[] = []
      const count = { n: 0 }
      const gateways = [
        await Process.start('ins_a', store, sent, count),
        await Process.start('ins_b', store, sent, count),
      ]
      const turn = (label: string): Promise<void> => scheduler.schedule(Promise.resolve(), label)
      const answers = asked.map(async (call) => {
        await turn('arrive')
        const gateway = gateways[call.process]
        return { call, got: await gateway?.ask(call, turn) }
      })
      const all = Promise.all(answers)
      await scheduler.waitFor(all.then(() => Promise.all(gateways.flatMap(({ tails }) => tails))))
      const got = await all
      expect(new Set(sent).size, 'a key was paid for twice').toBe(sent.length)
      for (const key of new Set(asked.map((call) => call.key))) {
        const whole = got.filter(({ call, got: text }) => call.key === key && text?.startsWith('body'))
        expect(new Set(whole.map(({ got: text }) => text)).size).toBeLessThanOrEqual(1)
        expect(
          new Set(whole.map(({ call }) => call.body)).size,
          'two bodies got one answer',
        ).toBeLessThanOrEqual(1)
      }
      for (const { call, got: text } of got) if (!call.leaves) expect(text).not.toBe('left')
      // Only another process may be told to come again: in one process a repeat waits.
      const usesBoth = new Set(asked.map((call) => call.process)).size > 1
      if (!usesBoth) expect(got.map(({ got: text }) => text)).not.toContain('request_in_progress')
      const charges = await store.charges({ limit: 1000 })
      expect(charges.filter(({ state }) => state !== 'released')).toHaveLength(sent.length)
    }),
    { numRuns: 300 },
  )
})
