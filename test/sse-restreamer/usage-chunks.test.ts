/** Which usage chunks reach the client, and in which order: before `[DONE]`, and only if it asked for them. */
import type { ServerResponse } from 'node:http'
import OpenAI from 'openai'
import { afterEach, describe, expect, test } from 'vitest'
import { auditLogger } from '../../middleware/audit-logger.ts'
import { ManualTimers } from '../kit/manual-timers.ts'
import { ask, signalled, startWorld, type World, type WorldOptions } from '../kit/relay-world.ts'
import { eventsOf } from '../kit/sse.ts'

const worlds: World[] = []

afterEach(async () => {
  for (const started of worlds.splice(0)) await started.close()
})

const data = (value: unknown): string =>
  `data: ${typeof value === 'string' ? value : JSON.stringify(value)}\n\n`
const COUNTS = { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 }
const HELLO = data({ id: 'c', choices: [{ index: 0, delta: { role: 'assistant', content: 'hello' } }] })
const STOP = data({ id: 'c', choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] })
const DONE = data('[DONE]')
const EMPTY = { index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null, logprobs: null }

/** Bodies of a usage chunk that sellers send. */
const USAGES: readonly [string, string][] = [
  ['no choices', data({ id: 'c', usage: COUNTS })],
  ['choices of null', data({ id: 'c', choices: null, usage: COUNTS })],
  ['an empty list of choices', data({ id: 'c', choices: [], usage: COUNTS })],
  ['one empty choice', data({ id: 'c', choices: [EMPTY], usage: COUNTS })],
  ['one choice without a delta', data({ id: 'c', choices: [{ index: 0 }], usage: COUNTS })],
  [
    'one empty choice that repeats its end',
    data({ id: 'c', choices: [{ ...EMPTY, finish_reason: 'stop' }], usage: COUNTS }),
  ],
  [
    'several lines',
    'data: {"id":"c","choices":null,\ndata: "usage":{"prompt_tokens":5,"completion_tokens":2}}\n\n',
  ],
  ['usage in x_groq', data({ choices: [], x_groq: { usage: COUNTS } })],
]

interface Scripted extends Partial<WorldOptions> {
  readonly chunks: readonly string[]
  readonly usageChunk: 'asked' | 'forced' | undefined
  /** The connection stays open behind the last chunk. */
  readonly stays?: boolean
  readonly streams?: boolean
}

/** A seller that sends its chunks one after another; `go` lets the next one out. */
async function script({ chunks, usageChunk, stays, streams = true, ...rest }: Scripted) {
  const timers = new ManualTimers()
  const seller = signalled<ServerResponse>()
  const started = await startWorld({
    kind: 'paid',
    exchange: { request: { stream: streams, body: Buffer.from('{}') }, relay: { usageChunk } },
    restreamer: { timers, keepaliveMs: 0 },
    seller: (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      const [first = '', ...others] = chunks
      response.write(first, () => seller.resolve(response))
      if (others.length > 0) return
      if (stays !== true) response.end()
    },
    ...rest,
  })
  worlds.push(started)
  const send = async (text: string): Promise<void> => {
    const response = await seller.promise
    await new Promise<void>((resolve) => response.write(text, () => resolve()))
  }
  return { ...started, timers, send, seller: seller.promise }
}

const withoutCost = (text: string): string => text.replaceAll(/,?"cost":0\.001/g, '')

describe.each(USAGES)('a usage chunk with %s', (_name, usage) => {
  test('is read and stripped when only Tollway asked for it', async () => {
    const { url, exchange } = await script({ chunks: [HELLO + STOP + usage + DONE], usageChunk: 'forced' })
    expect(await (await ask(url)).text()).toBe(HELLO + STOP + DONE)
    expect(exchange().relay.usage).toEqual({ inputTokens: 5, outputTokens: 2 })
  })

  test('stays when the client asked for it', async () => {
    const { url } = await script({ chunks: [HELLO + STOP + usage + DONE], usageChunk: 'asked' })
    expect(withoutCost(await (await ask(url)).text())).toBe(HELLO + STOP + usage + DONE)
  })

  test('behind [DONE] in the same chunk goes before it', async () => {
    for (const usageChunk of ['asked', 'forced', undefined] as const) {
      const { url, exchange } = await script({ chunks: [HELLO + STOP + DONE + usage], usageChunk })
      const expected = HELLO + STOP + (usageChunk === 'forced' ? '' : usage) + DONE
      expect(withoutCost(await (await ask(url)).text())).toBe(expected)
      expect(exchange().relay.usage).toEqual({ inputTokens: 5, outputTokens: 2 })
    }
  })

  test('behind [DONE] in a later chunk goes before it, although the connection stays', async () => {
    const { url, send } = await script({
      chunks: [HELLO + STOP + DONE, usage],
      usageChunk: 'asked',
      stays: true,
    })
    const answer = await ask(url)
    await answer.until('"stop"')
    await send(`: heartbeat\n\n${usage}`)
    expect(withoutCost(await answer.text())).toBe(`${HELLO}${STOP}${usage}${DONE}: heartbeat\n\n`)
  })

  test('behind [DONE] in a later chunk is in the JSON that a stream becomes', async () => {
    const { url, send, exchange } = await script({
      chunks: [HELLO + STOP + DONE, usage],
      usageChunk: 'forced',
      stays: true,
      streams: false,
    })
    const asking = ask(url)
    await send(usage)
    const answer = await asking
    expect(JSON.parse(await answer.text())).toMatchObject({
      choices: [{ message: { content: 'hello' }, finish_reason: 'stop' }],
      usage: { prompt_tokens: 5, completion_tokens: 2, cost: 0.001 },
    })
    expect(exchange().relay.usage).toEqual({ inputTokens: 5, outputTokens: 2 })
  })
})

describe('a chunk with usage and something else', () => {
  test.each([
    ['content', data({ choices: [{ index: 0, delta: { content: 'x' } }], usage: COUNTS })],
    ['a finish reason', data({ choices: [{ index: 0, delta: {}, finish_reason: 'length' }], usage: COUNTS })],
    ['a tool call', data({ choices: [{ index: 0, delta: { tool_calls: [{ index: 0 }] } }], usage: COUNTS })],
  ])('keeps its %s', async (_name, chunk) => {
    const { url } = await script({ chunks: [HELLO + chunk + DONE], usageChunk: 'forced' })
    expect(withoutCost(await (await ask(url)).text())).toBe(HELLO + chunk + DONE)
  })

  test('that begins a choice is kept', async () => {
    const first = data({ choices: [EMPTY], usage: COUNTS })
    const { url } = await script({ chunks: [first + HELLO + STOP + DONE], usageChunk: 'forced' })
    expect(withoutCost(await (await ask(url)).text())).toBe(first + HELLO + STOP + DONE)
  })
})

describe('a seller without usage whose connection stays', () => {
  test('keeps a client that asked for usage for a second', async () => {
    const { url, timers } = await script({ chunks: [HELLO + STOP + DONE], usageChunk: 'asked', stays: true })
    const answer = await ask(url)
    await answer.until('"stop"')
    await timers.fire(1000)
    expect(await answer.text()).toBe(HELLO + STOP + DONE)
  })

  test('keeps no other client; usage that still comes is counted before the record is written', async () => {
    const records: Record<string, unknown>[] = []
    const written = signalled()
    const logger = auditLogger({
      audit: {
        append: async (_type, fields) => {
          records.push(fields)
          written.resolve()
        },
      },
    })
    const { url, send, exchange } = await script({
      chunks: [HELLO + STOP + DONE],
      usageChunk: 'forced',
      stays: true,
      onResponse: (response) => {
        const { req } = response
        logger(req, response, () => {})
      },
    })
    const answer = await ask(url)
    expect(await answer.text()).toBe(HELLO + STOP + DONE)
    expect(records).toEqual([])
    await send(data({ choices: [], usage: COUNTS }))
    await written.promise
    expect(records).toMatchObject([{ inputTokens: 5, outputTokens: 2 }])
    expect(exchange().relay.truncated).toBe(false)
  })
})

test('a cut behind [DONE] loses nothing', async () => {
  for (const usageChunk of ['asked', 'forced'] as const) {
    const { url, seller, exchange } = await script({ chunks: [HELLO + STOP + DONE], usageChunk, stays: true })
    const answer = await ask(url)
    await answer.until('"stop"')
    ;(await seller).destroy()
    expect(await answer.text()).toBe(HELLO + STOP + DONE)
    expect(exchange().relay.truncated).toBe(false)
  }
})

test('usage behind [DONE] reaches the OpenAI SDK with its cost', async () => {
  const { url, send } = await script({ chunks: [HELLO + STOP + DONE], usageChunk: 'asked', stays: true })
  const client = new OpenAI({ baseURL: url, apiKey: 'x', maxRetries: 0 })
  const stream = await client.chat.completions.create({
    model: 'm',
    messages: [{ role: 'user', content: 'hi' }],
    stream: true,
    stream_options: { include_usage: true },
  })
  await send(data({ id: 'c', choices: [], usage: COUNTS }))
  const chunks = []
  for await (const chunk of stream) chunks.push(chunk)
  expect(chunks.at(-1)?.usage).toEqual({ ...COUNTS, cost: 0.001 })
})

test('what follows [DONE] and is no usage stays behind it', async () => {
  const note = data({ note: 'receipt' })
  const { url } = await script({ chunks: [HELLO + STOP + DONE + note], usageChunk: 'asked' })
  expect(eventsOf(Buffer.from(await (await ask(url)).text())).map((event) => event.data)).toEqual(
    eventsOf(Buffer.from(HELLO + STOP + DONE + note)).map((event) => event.data),
  )
})
