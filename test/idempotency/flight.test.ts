import { EventEmitter } from 'node:events'
import type { ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { beforeEach, describe, expect, test } from 'vitest'
import { exchangeOf } from '../../middleware/http/exchange-of.ts'
import { Flights } from '../../middleware/idempotency/flights.ts'
import type { Flight } from '../../middleware/idempotency/flight.ts'
import type { Request } from '../../middleware/http/handler.ts'
import {
  REMEMBERED_MS,
  REPEAT_MS,
  requestInProgress,
  type Presented,
} from '../../src/core/request/idempotency.ts'
import type { Exchange, Reply } from '../../src/core/request/exchange.ts'
import { settledCharge } from '../kit/relay-world.ts'

const plain: Presented = { named: undefined, isRetry: false }
const keyed: Presented = { named: 'idempotency-key', isRetry: false }

let now: number
let ended: string[]
let abandoned: string[]
let flights: Flights
let lost: string[]
let charges: number

beforeEach(() => {
  now = 1_000_000
  ended = []
  abandoned = []
  lost = []
  charges = 0
  flights = fresh({})
})

function fresh(changes: { maxEntries?: number; maxBytes?: number }): Flights {
  const onEnd = (flight: Flight): void => void ended.push(`${flight.mark.body} ${flight.state}`)
  const onAbandoned = (flight: Flight): void => void abandoned.push(flight.mark.body)
  const sizes = { maxEntries: 10, maxBytes: 8000, ...changes }
  const onLost = async (chargeId: string): Promise<void> => void lost.push(chargeId)
  return new Flights({ clock: { now: () => now }, onAbandoned, onLost, onEnd, ...sizes })
}

/** A client: its exchange, and its response, which only closes. */
class Client {
  readonly exchange: Exchange = exchangeOf({ headers: {} } as Request)
  readonly #res = Object.assign(new EventEmitter(), {
    writableFinished: false,
    statusCode: 200,
    getHeader: () => this.contentType,
  })
  contentType = 'text/event-stream'

  constructor(flight: Flight, isFirst: boolean) {
    flight.enter(this.#res as unknown as ServerResponse, this.exchange, isFirst)
  }

  leave(gotBytes = false): void {
    if (gotBytes) this.exchange.relay.firstByteAt = now
    this.#res.emit('close')
  }

  /** Reads the answer to its end. */
  finish(): void {
    this.#res.writableFinished = true
    this.leave(true)
  }
}

function open(name: string, presented: Presented = plain): { flight: Flight; first: Client } {
  const flight = flights.open(
    { name: undefined, body: name },
    { presented, mayBeAskedAgain: presented !== plain, knew: undefined },
  )
  const first = new Client(flight, true)
  return { flight, first }
}

/** The state of an answered request whose one client closed its response in this way. */
function stateAfter(close: (client: Client) => void): string {
  const { flight, first } = open('a')
  flight.begin()
  land(flight, first, 'x')
  close(first)
  return flight.state
}

function land(flight: Flight, { exchange }: Client, ...chunks: string[]): void {
  charges += 1
  exchange.payment.charge = { ...settledCharge, id: `chg_${charges}` }
  exchange.relay.reply = { status: 200, headers: {}, kind: 'paid', body: bodyOf(chunks) }
  flight.complete(exchange)
}

function bodyOf(chunks: readonly string[]): Reply['body'] {
  return Readable.from(chunks.map((chunk) => Buffer.from(chunk)))
}

async function text(body: Reply['body'] | undefined): Promise<string> {
  if (!body) return 'gone'
  const chunks: Uint8Array[] = []
  for await (const chunk of body) chunks.push(chunk)
  body.destroy()
  return Buffer.concat(chunks).toString()
}

test('an answer is not let go while somebody is about to read it, though the first client has left', async () => {
  const { flight, first } = open('b')
  flight.begin()
  const second = new Client(flight, false)
  first.leave()
  expect(flight.leaving.aborted).toBe(false)
  land(flight, first, 'an', 'swer')
  first.exchange.relay.reply?.body.destroy()
  const outcome = await flight.outcome
  expect(outcome.kind === 'reply' && (await text(outcome.body.read()))).toBe('answer')
  second.leave(true)
  expect(ended).toEqual(['b delivered'])
})

test('when everybody has left before it was sent, nothing is signed, and whoever comes tries anew', async () => {
  const { flight, first } = open('b')
  flight.begin()
  first.leave()
  expect([flight.leaving.aborted, flight.abandoned, flight.state]).toEqual([true, true, 'running'])
  flight.fail(first.exchange, new Error('left'))
  expect(await flight.outcome).toEqual({ kind: 'nothing' })
  expect(flight.state).toBe('unpaid')
})

test('a request that was answered on its way to the interceptor lets those who wait go on', async () => {
  const { flight, first } = open('b')
  const second = new Client(flight, false)
  first.leave()
  expect(await flight.outcome).toEqual({ kind: 'nothing' })
  expect([flight.leaving.aborted, flight.state]).toEqual([true, 'unpaid'])
  second.leave()
})

test('an answer nobody got is kept, and is delivered once somebody got it', async () => {
  const { flight, first } = open('b')
  flight.begin()
  first.leave()
  land(flight, first, 'answer')
  first.exchange.relay.reply?.body.destroy()
  expect([flight.state, ended]).toEqual(['failed', ['b failed']])
  const second = new Client(flight, false)
  expect([flight.state, flight.abandoned]).toEqual(['running', false])
  expect(await text(flight.shared?.read())).toBe('answer')
  second.leave(true)
  expect([flight.state, ended]).toEqual(['delivered', ['b failed']])
})

test('an answer that was delivered and that nobody may ask for again is dropped at once', async () => {
  const { flight, first } = open('b')
  flight.begin()
  land(flight, first, 'answer')
  await text(first.exchange.relay.reply?.body)
  first.leave(true)
  expect([flights.bytes, flights.size, flight.shared?.read()]).toEqual([0, 1, undefined])
})

test('a key is kept for its time, an unnamed request for 120 seconds', async () => {
  for (const [name, presented] of [
    ['named', keyed],
    ['plain', { named: undefined, isRetry: true }],
  ] as const) {
    const { flight, first } = open(name, presented)
    flight.begin()
    land(flight, first, 'answer')
    await text(first.exchange.relay.reply?.body)
    first.leave(true)
  }
  now += REPEAT_MS
  expect(flights.newest('plain')).toBeDefined()
  now += 1
  expect([flights.newest('plain'), flights.newest('named')?.state]).toEqual([undefined, 'delivered'])
  now += REMEMBERED_MS - REPEAT_MS
  expect([flights.newest('named'), flights.bytes, flights.size]).toEqual([undefined, 0, 0])
})

test('keeps no more requests and bytes than it may; the oldest answers go first', async () => {
  flights = fresh({ maxEntries: 3, maxBytes: 800 })
  for (let n = 0; n < 5; n++) {
    const { flight, first } = open(`b${n}`, keyed)
    flight.begin()
    land(flight, first, 'x'.repeat(90))
    await text(first.exchange.relay.reply?.body)
    first.leave(true)
  }
  expect([flights.size, flights.bytes]).toEqual([3, 270])
  expect([flights.newest('b1'), flights.ofCharge('chg_2')]).toEqual([undefined, undefined])
  expect(flights.ofCharge('chg_5')).toBe(flights.newest('b4'))

  flights = fresh({ maxEntries: 100, maxBytes: 800 })
  for (let n = 0; n < 12; n++) {
    const { flight, first } = open(`b${n}`, keyed)
    flight.begin()
    land(flight, first, 'x'.repeat(90))
    await text(first.exchange.relay.reply?.body)
    first.leave(true)
    expect(flights.bytes).toBeLessThanOrEqual(800)
  }
  expect(flights.newest('b0')?.shared?.isReadable).toBe(false)
  expect(flights.newest('b11')?.shared?.isReadable).toBe(true)
})

test('tells that it is abandoned when the last client leaves without a byte before the payment is known', () => {
  const { flight, first } = open('a')
  flight.begin()
  const second = new Client(flight, false)
  first.leave()
  expect(abandoned).toEqual([])
  second.leave()
  expect(abandoned).toEqual(['a'])
})

test('is not abandoned by a client that leaves with its answer, or before the request was taken on', () => {
  const answered = open('answered')
  answered.flight.begin()
  land(answered.flight, answered.first, 'x')
  answered.first.leave(true)
  const streaming = open('streaming')
  streaming.flight.begin()
  streaming.first.leave(true)
  open('refused').first.leave()
  expect(abandoned).toEqual([])
})

describe('an answer is delivered', () => {
  test.each<[string, (client: Client) => void]>([
    ['that came to its end', (client) => client.finish()],
    ['whose client stopped reading it as it came', (client) => client.leave(true)],
  ])('%s', (_how, close) => {
    expect(stateAfter(close)).toBe('delivered')
  })
})

describe('an answer is not delivered', () => {
  test.each<[string, (client: Client) => void]>([
    ['of which nothing came', (client) => client.leave()],
    [
      'that we cut off',
      (client) => {
        client.exchange.relay.cut = true
        client.leave(true)
      },
    ],
    [
      'that the seller did not finish',
      (client) => {
        client.exchange.relay.truncated = true
        client.finish()
      },
    ],
    [
      'that ended with an error of ours in an open stream',
      (client) => {
        client.exchange.record.code = 'paid_not_delivered'
        client.finish()
      },
    ],
    [
      'that is JSON of which the client has a part',
      (client) => {
        client.contentType = 'application/json; charset=utf-8'
        client.leave(true)
      },
    ],
  ])('%s', (_how, close) => {
    expect(stateAfter(close)).toBe('failed')
  })
})

test('an attempt that is refused because another process pays does not stand for its body', async () => {
  const { flight, first } = open('b')
  flight.begin()
  flight.fail(first.exchange, requestInProgress())
  first.leave()
  expect(ended).toEqual(['b unpaid'])
  expect([flights.newest('b'), flights.size]).toEqual([undefined, 0])
  const other = open('c')
  other.flight.begin()
  other.flight.fail(other.first.exchange, new Error('down'))
  other.first.leave()
  expect(flights.newest('c')).toBe(other.flight)
})

test('rule 5: its charge is told as lost before a client learns that it is, but not what was never sent', async () => {
  const { flight, first } = open('b')
  flight.begin()
  await flight.lost()
  first.exchange.payment.charge = { ...settledCharge, id: 'chg_held', state: 'held' }
  await flight.lost()
  expect(lost).toEqual([])
  first.exchange.payment.charge = { ...settledCharge, id: 'chg_sent', state: 'authorized' }
  await flight.lost()
  land(flight, first, 'x')
  first.leave(true)
  await flight.lost()
  expect(lost).toEqual(['chg_sent', 'chg_1'])
})
