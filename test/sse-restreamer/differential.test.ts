/** The same generated conversations directly and through Tollway: nothing may differ but the documented cost. */
import type { ServerResponse } from 'node:http'
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CostSplicer } from '../../src/core/stream/cost-splicer.ts'
import { SseRelay } from '../../src/core/relay/sse-relay.ts'
import { conversations, type Conversation } from '../kit/conversations.ts'
import { ask, startWorld, type World } from '../kit/relay-world.ts'
import { eventsOf } from '../kit/sse.ts'

const SEED = 402
const ALL = 1000
/** Over real sockets; the others meet the same code in this process. */
const OVER_SOCKETS = 150

const generated = fc.sample(conversations, { seed: SEED, numRuns: ALL })

/** Takes every cost out, wherever a protocol has one; the seller sent none. */
function withoutCost(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutCost)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name]) => name !== 'cost')
      .map(([name, inner]) => [name, withoutCost(inner)]),
  )
}

function events(bytes: Buffer): unknown[] {
  return eventsOf(bytes).map(({ event, id, data }) => ({
    event,
    id,
    data: data === '[DONE]' ? data : withoutCost(JSON.parse(data)),
  }))
}

function understood({ type }: Conversation, bytes: Buffer): unknown {
  return type === 'text/event-stream' ? events(bytes) : withoutCost(JSON.parse(bytes.toString()))
}

describe('in this process', () => {
  test(`${ALL} conversations keep every event on paid routes, and say what they cost once`, () => {
    let costs = 0
    for (const talk of generated.filter(({ type }) => type === 'text/event-stream')) {
      const relay = new SseRelay({
        splicer: () => new CostSplicer('0.001'),
        shape: talk.kind,
        onTruncated: 'length',
      })
      const out = talk.chunks.map((chunk) => relay.push(chunk))
      const end = relay.end(false, { requestId: 'r', model: 'm', nowMs: 0 })
      expect(end).toMatchObject({ truncated: false, cut: false })
      const bytes = Buffer.concat([...out, end.bytes])
      expect(events(bytes)).toEqual(events(Buffer.concat(talk.chunks)))
      costs += bytes.toString().split('"cost":0.001').length - 1
    }
    expect(costs).toBeGreaterThan(ALL / 4)
  })
})

describe('over sockets', () => {
  let talk: Conversation | undefined
  const seller = (_request: unknown, response: ServerResponse): void => {
    if (!talk) throw new Error('nothing to say')
    const { chunks, type } = talk
    response.writeHead(200, { 'content-type': type })
    response.flushHeaders()
    const send = async (): Promise<void> => {
      for (const chunk of chunks) await new Promise<void>((resolve) => response.write(chunk, () => resolve()))
      response.end()
    }
    void send()
  }
  const worlds = new Map<string, World>()
  beforeAll(async () => {
    for (const kind of ['paid', 'unpaid'] as const) {
      for (const endpoint of new Set(generated.map((one) => one.endpoint))) {
        worlds.set(`${kind} ${endpoint}`, await startWorld({ kind, endpoint, seller }))
      }
    }
  })
  afterAll(async () => {
    for (const world of worlds.values()) await world.close()
  })

  async function through(kind: 'paid' | 'unpaid', one: Conversation): Promise<Buffer> {
    talk = one
    const world = worlds.get(`${kind} ${one.endpoint}`)
    if (!world) throw new Error('no such world')
    const answer = await ask(world.url)
    expect(await answer.end()).toBe('whole')
    return answer.bytes
  }

  test('unpaid conversations are the same bytes', async () => {
    for (const one of generated.slice(0, OVER_SOCKETS)) {
      expect((await through('unpaid', one)).equals(Buffer.concat(one.chunks))).toBe(true)
    }
  })

  test('paid conversations are the same events and the same JSON', async () => {
    for (const one of generated.slice(-OVER_SOCKETS)) {
      expect(understood(one, await through('paid', one))).toEqual(understood(one, Buffer.concat(one.chunks)))
    }
  })
})
