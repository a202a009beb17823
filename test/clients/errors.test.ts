/**
 * What each real client does with each kind of error: how often it asks the gateway again, what of that reaches the
 * seller, and that no case is paid more than once. The clients are as their users have them, but for their waiting: a
 * `retry-after-ms` is put on failed answers before they see them, which those that know it obey.
 */
import Anthropic from '@anthropic-ai/sdk'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { ChatOpenAI } from '@langchain/openai'
import { generateText, streamText } from 'ai'
import OpenAI from 'openai'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { ERROR_CALLER_KEY, ERROR_CASES, startErrorWorld, type Call, type ErrorWorld } from './error-world.ts'

let world: ErrorWorld

beforeAll(async () => {
  world = await startErrorWorld()
})
afterAll(async () => {
  await world?.close()
})
afterEach(() => {
  world.reset()
})

/** Says to clients that would wait before they ask again that they need not. */
const impatient: typeof fetch = async (input, init) => {
  const answer = await fetch(input, init)
  if (answer.ok) return answer
  const headers = new Headers(answer.headers)
  headers.set('retry-after-ms', '1')
  return new Response(answer.body, { status: answer.status, headers })
}

/** Asks once, as its users would; gives the text, and throws what its users would catch. */
const CLIENTS: Readonly<Record<string, (call: Call) => Promise<string>>> = {
  async openai({ model, key = ERROR_CALLER_KEY, prompt = 'hi', stream = false }) {
    const client = new OpenAI({ baseURL: `${world.url}/v1`, apiKey: key, fetch: impatient })
    const messages = [{ role: 'user' as const, content: prompt }]
    if (!stream)
      return (await client.chat.completions.create({ model, messages })).choices[0]?.message.content ?? ''
    const runner = client.chat.completions.stream({ model, messages })
    const { choices } = await runner.finalChatCompletion()
    return `${choices[0]?.message.content} (${choices[0]?.finish_reason})`
  },
  async 'ai-sdk'({ model, key = ERROR_CALLER_KEY, prompt = 'hi', stream = false }) {
    const provider = createOpenAICompatible({
      name: 't',
      baseURL: `${world.url}/v1`,
      apiKey: key,
      fetch: impatient,
    })
    if (!stream) return (await generateText({ model: provider(model), prompt })).text
    const result = streamText({ model: provider(model), prompt })
    return `${await result.text} (${await result.finishReason})`
  },
  async langchain({ model, key = ERROR_CALLER_KEY, prompt = 'hi', stream = false }) {
    const chat = new ChatOpenAI({
      model,
      apiKey: key,
      maxRetries: 1,
      configuration: { baseURL: `${world.url}/v1` },
    })
    if (!stream) return (await chat.invoke(prompt)).text
    let [text, reason] = ['', '']
    for await (const chunk of await chat.stream(prompt)) {
      text += chunk.text
      const { finish_reason: ended } = chunk.response_metadata as { finish_reason?: string }
      reason = ended ?? reason
    }
    return `${text} (${reason})`
  },
  async anthropic({ model, key = ERROR_CALLER_KEY, prompt = 'hi', stream = false }) {
    const client = new Anthropic({ baseURL: world.url, apiKey: key, fetch: impatient })
    const asked = { model, max_tokens: 10, messages: [{ role: 'user' as const, content: prompt }] }
    const message = stream
      ? await client.messages.stream(asked).finalMessage()
      : await client.messages.create(asked)
    const text = message.content.map((block) => (block.type === 'text' ? block.text : '')).join('')
    return stream ? `${text} (${message.stop_reason})` : text
  },
}

function statusOf(thrown: unknown): number | undefined {
  const { status, statusCode, lastError } = thrown as {
    status?: number
    statusCode?: number
    lastError?: unknown
  }
  return status ?? statusCode ?? (lastError === undefined ? undefined : statusOf(lastError))
}

describe.each(Object.keys(CLIENTS))('%s', (name) => {
  const ask = async (call: Call): Promise<string> => (await CLIENTS[name]?.(call)) ?? ''

  test.each(ERROR_CASES)('$name: status $status, at most $payments payments', async (expected) => {
    const thrown: unknown = await ask({ prompt: `${name}: ${expected.name}`, ...expected.call }).then(
      (text) => new Error(`answered ${text}`),
      (reason: unknown) => reason,
    )
    expect(statusOf(thrown), String(thrown)).toBe(expected.status)
    const asked = name === 'langchain' ? (expected.langchain ?? expected.gateway) : expected.gateway
    const { seller, ...passed } = world.counts()
    expect(passed).toEqual({ gateway: asked, payments: expected.payments })
    const each = expected.seller / expected.gateway
    const repeats = expected.payments === 0 && expected.seller > 1 ? (asked - expected.gateway) * each : 0
    // A price that was heard once is refused without asking the seller again.
    if (expected.status === 402) expect(seller).toBeLessThanOrEqual(1)
    else expect(seller).toBe(expected.seller + repeats)
  })

  test('a paid stream that is cut ends as a truncated answer: asked once, paid once', async () => {
    const text = await ask({ model: 'paid/cut', stream: true, prompt: `${name} cut` })
    expect(text).toMatch(/^half \((?:length|max_tokens)\)$/)
    expect(world.counts()).toMatchObject({ gateway: 1, payments: 1 })
  })
})
