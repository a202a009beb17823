/** One seller's flood and everybody else: what is read of an answer between two turns of the event loop. */
import { gzipSync } from 'node:zlib'
import { afterEach, describe, expect, test, vi } from 'vitest'
import {
  ANSWERS_PER_TURN,
  FairShare,
  joinInSteps,
  Turns as SharedTurns,
  TURN_BYTES,
} from '../../middleware/sse-restreamer/fair-share.ts'
import { ResponseFromEvents } from '../../middleware/sse-restreamer/answer-from-events.ts'
import { ChoicesCollector } from '../../src/core/stream/choices-collector.ts'
import { JsonText } from '../../src/core/json/json-text.ts'
import { streamOfJson } from '../../src/core/stream/answer-conversion.ts'
import { CostSplicer } from '../../src/core/stream/cost-splicer.ts'
import { SseRelay } from '../../src/core/relay/sse-relay.ts'
import { ask, startWorld, type World } from '../kit/relay-world.ts'

const worlds: World[] = []

afterEach(async () => {
  vi.restoreAllMocks()
  for (const started of worlds.splice(0)) await started.close()
})

/** Counts turns of the event loop until it is stopped. */
class Turns {
  count = 0
  #isOver = false

  constructor() {
    const next = (): void => {
      this.count += 1
      if (!this.#isOver) setImmediate(next)
    }
    setImmediate(next)
  }

  stop(): void {
    this.#isOver = true
  }
}

/** Notes what every parser reads, by the turn of the loop. @returns the most bytes that one parser read in one turn */
function watchParsers(turns: Turns): () => number {
  const read = new Map<string, number>()
  let isInside = false
  for (const parser of [SseRelay, CostSplicer, JsonText]) {
    const push = Reflect.get(parser.prototype, 'push') as (chunk: Uint8Array) => unknown
    vi.spyOn(parser.prototype as { push: typeof push }, 'push').mockImplementation(function (
      this: object,
      chunk,
    ) {
      const key = `${parser.name} ${turns.count}`
      // The relay has the cost of an event set once it holds all of it.
      if (!isInside) read.set(key, (read.get(key) ?? 0) + chunk.length)
      const wasInside = isInside
      isInside = true
      const result: unknown = Reflect.apply(push, this, [chunk])
      isInside = wasInside
      return result
    })
  }
  return () => Math.max(...read.values())
}

const FLOODS = {
  'tiny events': 'data:1\n\n',
  'empty events': 'data: {}\n\n',
  'line ends': '\n',
  comments: ':\n\n',
  'lines of one event': 'data:[\n',
  'usage events': 'data: {"usage":{"prompt_tokens":1}}\n\n',
  'events of a chat':
    'data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}\n\n',
}

async function flood(
  text: string | Buffer,
  type: string,
  stream: boolean,
  kind: 'paid' | 'unpaid',
  gzip = false,
) {
  const started = await startWorld({
    kind,
    exchange: { request: { stream, body: Buffer.from('{}') } },
    seller: (_request, response) => {
      response.writeHead(200, { 'content-type': type, ...(gzip ? { 'content-encoding': 'gzip' } : {}) })
      response.end(gzip ? gzipSync(text) : text)
    },
  })
  worlds.push(started)
  const turns = new Turns()
  const most = watchParsers(turns)
  const answer = await ask(started.url)
  await answer.end()
  turns.stop()
  return most()
}

const START = 'data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}\n\n'

describe.each(['paid', 'unpaid'] as const)('a flood of a %s seller', (kind) => {
  test.each(Object.entries(FLOODS))(
    'of %s is read in slices, with turns for everything else between',
    async (_name, unit) => {
      const text = START + unit.repeat(Math.floor(300_000 / unit.length))
      expect(await flood(text, 'text/event-stream', true, kind)).toBeLessThanOrEqual(TURN_BYTES)
    },
  )

  test.each([
    ['for a client that wants JSON', 'application/json', false],
    ['for a client that streams', 'application/json', true],
  ])('of JSON members %s is read in slices', async (_name, type, stream) => {
    const members = Array.from({ length: 20_000 }, (_, at) => `"k${at}":1`).join(',')
    const text = `{"choices":[{"index":0,"message":{"content":"a"},"finish_reason":"stop"}],${members}}`
    expect(await flood(text, type, stream, kind)).toBeLessThanOrEqual(TURN_BYTES)
  })

  test('of events for a client that wants JSON is read in slices', async () => {
    const text = START + FLOODS['events of a chat'].repeat(3_000)
    expect(await flood(text, 'text/event-stream', false, kind)).toBeLessThanOrEqual(TURN_BYTES)
  })
})

test('a compressed flood that passes untouched is read as it is decoded, a piece in a turn', async () => {
  const text = START + FLOODS['tiny events'].repeat(40_000)
  // The decoder hands over pieces of 16 kB, each in a turn of its own.
  expect(await flood(text, 'text/event-stream', true, 'unpaid', true)).toBeLessThanOrEqual(4 * TURN_BYTES)
})

test('steps have a turn each', async () => {
  const turns = new Turns()
  const seen = new Set<number>()
  const share = new FairShare()
  const work = function* (): Generator<void, string, undefined> {
    for (let step = 0; step < 50; step += 1) {
      seen.add(turns.count)
      yield
    }
    return 'done'
  }
  expect(await share.steps(work())).toBe('done')
  turns.stop()
  expect(seen.size).toBe(50)
})

test('of many answers at once a few are read in a turn, and none is forgotten', async () => {
  const shared = new SharedTurns()
  const turns = new Turns()
  const read = new Map<number, number>()
  const readOne = async (): Promise<number> => {
    let bytes = 0
    for await (const slice of new FairShare(shared).slices(Buffer.alloc(10 * TURN_BYTES))) {
      // The first share of an answer is its own: the rest waits for its turn.
      if (bytes > 0) read.set(turns.count, (read.get(turns.count) ?? 0) + slice.length)
      bytes += slice.length
    }
    return bytes
  }
  const all = await Promise.all(Array.from({ length: 50 }, readOne))
  turns.stop()
  expect(new Set(all)).toEqual(new Set([10 * TURN_BYTES]))
  expect(Math.max(...read.values())).toBeLessThanOrEqual(ANSWERS_PER_TURN * TURN_BYTES)
})

test('tens of megabytes are put together a megabyte in a step', () => {
  const chunks = Array.from({ length: 4_000 }, (_, at) => Buffer.alloc(TURN_BYTES, at))
  const work = joinInSteps(chunks)
  let steps = 0
  for (let step = work.next(); ; step = work.next(), steps += 1) {
    if (step.done !== true) continue
    expect(step.value.equals(Buffer.concat(chunks))).toBe(true)
    break
  }
  expect(steps).toBe(15)
})

test('an event is read, parsed and collected in turns of their own', () => {
  const list = Array.from({ length: 30_000 }, () => ({}))
  const event = `data: ${JSON.stringify({ choices: [{ index: 0, delta: { x: list } }] })}\n\n`
  const answer = new ResponseFromEvents('chat', 1_000_000)
  const done: string[][] = [[]]
  const read = vi.spyOn(SseRelay.prototype, 'push').mockName('read')
  const add = vi.spyOn(ChoicesCollector.prototype, 'add').mockName('collect')
  const seen = new Map([read, add].map((spy) => [spy, 0]))
  const work = answer.push(Buffer.from(event))
  for (let isOver = false; !isOver;) {
    isOver = work.next().done === true
    const now = [read, add].filter((spy) => spy.mock.calls.length > (seen.get(spy) ?? 0))
    for (const spy of now) seen.set(spy, spy.mock.calls.length)
    done.push(now.map((spy) => spy.getMockName()))
  }
  expect(done.filter((names) => names.length > 0)).toEqual([['read'], ['collect']])
  // Between them the text is parsed, 4,096 values in a turn; the last of them collects nothing.
  const [from, to] = ['read', 'collect'].map((name) => done.findIndex((names) => names.includes(name)))
  expect((to ?? 0) - (from ?? 0)).toBe(Math.ceil((list.length + 6) / 4_096) + 1)
})

test.each([
  ['objects', '{},'.repeat(60_000)],
  ['texts', '"a",'.repeat(50_000)],
  ['lists', '[],'.repeat(60_000)],
])('no text of more than 64 kB is parsed in one go of an event of %s that becomes JSON', (_what, items) => {
  const event = `data: {"choices":[{"index":0,"delta":{"x":[${items}1]}}]}\n\n`
  const answer = new ResponseFromEvents('chat', 1_000_000)
  const parse = vi.spyOn(JSON, 'parse')
  try {
    for (const steps of [
      answer.push(Buffer.from(event)),
      answer.end(false, { requestId: 'r', model: 'm', nowMs: 0 }),
    ])
      while (steps.next().done !== true);
    expect(Math.max(...parse.mock.calls.map(([text]) => text.length))).toBeLessThanOrEqual(65_536)
  } finally {
    parse.mockRestore()
  }
})

describe('one event of megabytes for a client that wants JSON', () => {
  const answerTo = async (delta: string): Promise<{ status: number; text: string; truncated: boolean }> => {
    const started = await startWorld({
      kind: 'paid',
      exchange: { request: { stream: false, body: Buffer.from('{}') } },
      seller: (_request, response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        response.end(`${START}data: {"choices":[{"index":0,"delta":${delta}}]}\n\n${END}`)
      },
    })
    worlds.push(started)
    const answer = await ask(started.url)
    const text = await answer.text()
    return {
      status: answer.message.statusCode ?? 0,
      text,
      truncated: answer.message.headers['x-tollway-truncated'] === 'true',
    }
  }
  const END = 'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'

  test('is in its answer, whole', async () => {
    const content = 'b"\u00e9'.repeat(200_000)
    const answer = await answerTo(JSON.stringify({ content }))
    expect(answer.truncated).toBe(false)
    expect(JSON.parse(answer.text)).toMatchObject({ choices: [{ message: { content: `a${content}` } }] })
  })

  test.each([
    ['more values than may be parsed', `{"x":[${'[],'.repeat(120_000)}1]}`],
    ['more objects than are gathered', `{"x":[${'{},'.repeat(20_000)}1]}`],
  ])('with %s ends it there, told as truncated', async (_name, delta) => {
    const answer = await answerTo(delta)
    expect(answer.status).toBe(200)
    expect(answer.truncated).toBe(true)
    expect(JSON.parse(answer.text)).toMatchObject({
      choices: [{ message: { content: 'a' }, finish_reason: 'length' }],
    })
  })
})

describe('a whole answer of megabytes', () => {
  /** Counts the turns between the last byte that was read and the answer. */
  const stepsFor = async (stream: boolean, text: string): Promise<number> => {
    let steps = 0
    vi.spyOn(FairShare.prototype, 'steps').mockImplementation(async function <T>(
      this: FairShare,
      work: Generator<void, T, undefined>,
    ): Promise<T> {
      for (let step = work.next(); ; step = work.next()) {
        if (step.done === true) return step.value
        steps += 1
        await this.turn()
      }
    })
    await flood(text, 'application/json', stream, 'paid')
    return steps
  }
  const content = 'a'.repeat(2_000_000)
  const text = JSON.stringify({ choices: [{ index: 0, message: { content }, finish_reason: 'stop' }] })

  test('is looked through in steps', async () => {
    expect(await stepsFor(false, text)).toBeGreaterThanOrEqual(Math.floor(text.length / 65_536))
  })

  test('becomes a stream in steps: parsed, made into events, written event by event', async () => {
    const choices = Array.from({ length: 40 }, (_, index) => ({
      index,
      message: { content: 'a'.repeat(50_000) },
      finish_reason: 'stop',
    }))
    const many = JSON.stringify({ choices })
    const scan = Math.floor(many.length / 65_536)
    expect(await stepsFor(true, many)).toBeGreaterThanOrEqual(scan + 2 + 20)
  })
})

test('a share begins anew with a turn, and not with a chunk', async () => {
  const share = new FairShare()
  const turns = new Turns()
  const read = new Map<number, number>()
  for (let at = 0; at < 100; at++) {
    for await (const slice of share.slices(Buffer.alloc(1_000))) {
      read.set(turns.count, (read.get(turns.count) ?? 0) + slice.length)
    }
  }
  turns.stop()
  expect(Math.max(...read.values())).toBeLessThanOrEqual(TURN_BYTES)
  expect([...read.values()].reduce((sum, bytes) => sum + bytes, 0)).toBe(100_000)
})

describe('a JSON answer that becomes a stream', () => {
  test('repeats what stands beside its choices only where that stays small', () => {
    const choices = Array.from({ length: 1_000 }, (_, index) => ({
      index,
      message: { content: 'a' },
      finish_reason: 'stop',
    }))
    const answer = { id: 'c', created: 7, model: 'm', citations: ['x'.repeat(100_000)], choices }
    const stream = String(streamOfJson('chat', JSON.stringify(answer)))
    expect(stream.length).toBeLessThan(2_000_000)
    expect(stream.match(/"citations"/g)).toHaveLength(1)
    expect(stream.match(/"id":"c","created":7,"model":"m"/g)).toHaveLength(3_000)
    const small = String(
      streamOfJson('chat', JSON.stringify({ ...answer, citations: ['x'], choices: choices.slice(0, 2) })),
    )
    expect(small.match(/"citations"/g)).toHaveLength(6)
  })

  test('is passed on as JSON when it has more values than may be parsed in one go', async () => {
    const text = `{"choices":[{"index":0,"message":{"content":"a"}}],"a":[${'[],'.repeat(120_000)}1]}`
    const started = await startWorld({
      kind: 'paid',
      exchange: { request: { stream: true, body: Buffer.from('{}') } },
      seller: (_request, response) =>
        response.writeHead(200, { 'content-type': 'application/json' }).end(text),
    })
    worlds.push(started)
    const answer = await ask(started.url)
    expect(await answer.text()).toBe(text)
    expect(answer.message.headers['content-type']).toBe('application/json')
  })
})
