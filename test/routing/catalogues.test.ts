import { Readable } from 'node:stream'
import { expect, test } from 'vitest'
import type { TollwayEvent } from '../../src/core/telemetry/events.ts'
import { Catalogues } from '../../src/io/routing/catalogues.ts'
import type { IncomingReply, OutgoingRequest } from '../../src/io/transport/upstream.ts'
import { ManualTimers } from '../kit/manual-timers.ts'
import { route } from './routes.ts'

const HOUR_MS = 3_600_000

const PAID = route('paid/*', { model: '*', catalogue: true })
const PLAIN = route('plain/*', { model: '*', apiBase: 'http://other.test/v1' })

/** A transport that answers what the test says; a mock, because time and failures are the subject. */
class FakeUpstream {
  readonly asked: OutgoingRequest[] = []
  answer: () => Promise<IncomingReply> = () => Promise.resolve(page(200, '{"data":[{"id":"a"},{"id":"b"}]}'))

  send(request: OutgoingRequest): Promise<IncomingReply> {
    this.asked.push(request)
    return this.answer()
  }
}

function page(status: number, text: string): IncomingReply {
  return { status, headers: {}, body: Readable.from([Buffer.from(text)]) }
}

function open() {
  const upstream = new FakeUpstream()
  const timers = new ManualTimers()
  const clock = { at: 0, now: () => clock.at }
  const events: TollwayEvent[] = []
  const catalogues = new Catalogues({
    routes: [PAID, PAID, PLAIN],
    upstream,
    clock,
    timers,
    observers: [(event) => events.push(event)],
  })
  return { upstream, timers, clock, events, catalogues }
}

test('reads a catalogue on first use, once for all routes of a seller, and only for routes that have one', async () => {
  const { upstream, catalogues, events } = open()
  expect(upstream.asked).toEqual([])
  expect(catalogues.names(PAID)).toEqual([])
  await Promise.all([catalogues.load(), catalogues.load()])
  expect(upstream.asked).toMatchObject([
    { method: 'GET', url: 'http://seller.test/v1/models', toSeller: true },
  ])
  expect(catalogues.names(PAID)).toEqual(['paid/a', 'paid/b'])
  expect(catalogues.names(PLAIN)).toEqual([])
  expect(events).toEqual([{ type: 'catalogue', seller: 'http://seller.test', ok: true, models: 2 }])
})

test('reads once an hour, in the background', async () => {
  const { upstream, clock, catalogues } = open()
  await catalogues.load()
  clock.at = HOUR_MS - 1
  await catalogues.load()
  expect(upstream.asked).toHaveLength(1)
  clock.at = HOUR_MS
  const reply = Promise.withResolvers<IncomingReply>()
  upstream.answer = () => reply.promise
  await catalogues.load()
  expect(upstream.asked).toHaveLength(2)
  expect(catalogues.names(PAID)).toEqual(['paid/a', 'paid/b'])
})

test.each<[string, () => Promise<IncomingReply>]>([
  ['an error', () => Promise.reject(new Error('reset'))],
  ['a status', () => Promise.resolve(page(429, '{"data":[]}'))],
  ['no JSON', () => Promise.resolve(page(200, '<html>'))],
  ['another shape', () => Promise.resolve(page(200, '{"rows":[]}'))],
  ['an empty list', () => Promise.resolve(page(200, '{"data":[]}'))],
  ['too much', () => Promise.resolve(page(200, ' '.repeat(4_194_305)))],
])(
  'keeps the last list when the seller answers with %s, and tries again after five minutes',
  async (_name, answer) => {
    const { upstream, clock, events, catalogues } = open()
    await catalogues.load()
    clock.at = HOUR_MS
    upstream.answer = answer
    await catalogues.load()
    await expect.poll(() => events.length).toBe(2)
    expect(events[1]).toMatchObject({ ok: false, models: 2 })
    expect(catalogues.names(PAID)).toEqual(['paid/a', 'paid/b'])
    await catalogues.load()
    clock.at += 299_999
    await catalogues.load()
    expect(upstream.asked).toHaveLength(2)
    clock.at += 1
    await catalogues.load()
    expect(upstream.asked).toHaveLength(3)
  },
)

test('waits three seconds once for a silent seller that was never read', async () => {
  const { upstream, timers, catalogues } = open()
  upstream.answer = () => new Promise(() => {})
  const loading = catalogues.load()
  await timers.fire(3_000)
  await loading
  expect(catalogues.names(PAID)).toEqual([])
  expect(upstream.asked).toHaveLength(1)
})
