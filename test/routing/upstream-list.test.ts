import { Readable } from 'node:stream'
import { expect, test } from 'vitest'
import type { TollwayEvent } from '../../src/core/telemetry/events.ts'
import { UpstreamList } from '../../src/io/routing/upstream-list.ts'
import type { IncomingReply, OutgoingRequest } from '../../src/io/transport/upstream.ts'
import { ManualTimers } from '../kit/manual-timers.ts'

function page(status: number, text: string): Promise<IncomingReply> {
  return Promise.resolve({ status, headers: {}, body: Readable.from([Buffer.from(text)]) })
}

/** A list whose transport answers what the test says; a mock, because time and failures are the subject. */
function open(apiKey?: string) {
  const asked: OutgoingRequest[] = []
  const transport = { answer: () => page(200, '{"data":[{"id":"a","n":1}]}') }
  const upstream = {
    send(request: OutgoingRequest) {
      asked.push(request)
      return transport.answer()
    },
  }
  const timers = new ManualTimers()
  const clock = { at: 0, now: () => clock.at }
  const events: TollwayEvent[] = []
  const observers = [(event: TollwayEvent) => events.push(event)]
  const parts = { upstream, clock, timers, observers }
  return {
    asked,
    transport,
    timers,
    clock,
    events,
    list: new UpstreamList({ apiBase: 'http://up.test/v1', apiKey }, parts),
  }
}

test('an upstream without a key of ours is asked without any', async () => {
  const { asked, list } = open()
  await Promise.all([list.load(), list.load()])
  expect(asked).toHaveLength(1)
  expect(asked[0]).toMatchObject({ method: 'GET', url: 'http://up.test/v1/models', toSeller: false })
  expect(Object.keys(asked[0]?.headers ?? {})).toEqual(['accept', 'accept-encoding', 'user-agent'])
  expect([...list.entries.values()]).toEqual([{ id: 'a', n: 1 }])
})

test.each<[string, () => Promise<IncomingReply>]>([
  ['an error', () => Promise.reject(new Error('reset'))],
  ['a status', () => page(401, '{"data":[]}')],
  ['no JSON', () => page(200, '<html>')],
  ['another shape', () => page(200, '{"rows":[]}')],
  ['too much', () => page(200, ' '.repeat(4_194_305))],
])(
  'keeps the last list when the upstream answers with %s, and asks again after 30 seconds',
  async (_, answer) => {
    const { asked, transport, clock, events, list } = open('k')
    await list.load()
    transport.answer = answer
    clock.at = 60_000
    await list.load()
    expect(events[1]).toEqual({ type: 'catalogue', seller: 'http://up.test', ok: false, models: 1 })
    expect([...list.entries.keys()]).toEqual(['a'])
    clock.at += 29_999
    await list.load()
    expect(asked).toHaveLength(2)
    clock.at += 1
    await list.load()
    expect(asked).toHaveLength(3)
  },
)

test('an upstream that lists nothing any more is believed', async () => {
  const { transport, clock, list } = open()
  await list.load()
  transport.answer = () => page(200, '{"data":[]}')
  clock.at = 60_000
  await list.load()
  expect(list.entries.size).toBe(0)
})

test('waits three seconds at most for a silent upstream', async () => {
  const { transport, timers, list } = open()
  transport.answer = () => new Promise(() => {})
  const loading = list.load()
  await timers.fire(3_000)
  await loading
  expect(list.entries.size).toBe(0)
})
