/** Anthropic's SDK, unchanged but for its base URL, through a paid route on a local chain. */
import Anthropic, { APIUserAbortError, NotFoundError } from '@anthropic-ai/sdk'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { CALLER_KEY, PRICE_USD, startClientWorld, type ClientWorld } from './kit.ts'

let world: ClientWorld
let client: Anthropic

beforeAll(async () => {
  world = await startClientWorld()
  client = new Anthropic({ baseURL: world.url, apiKey: CALLER_KEY })
})
afterAll(async () => {
  await world?.close()
})
beforeEach(async () => {
  await world.reset()
})

const ONE_PAID = { gateway: 1, seller: 2, payments: 1 }
const say = (content: string) => [{ role: 'user' as const, content }]
const tools: Anthropic.Tool[] = [
  { name: 'get_weather', input_schema: { type: 'object', properties: { city: { type: 'string' } } } },
]

describe.each(['paid/fast', 'paid/buffered'])('messages of %s', (model) => {
  test('an answer at once, with its price', async () => {
    const message = await client.messages.create({ model, max_tokens: 100, messages: say('one') })
    expect(message.content).toMatchObject([{ type: 'text', text: expect.stringContaining('one') }])
    expect(message.usage).toMatchObject({ cost: PRICE_USD })
    expect(await world.passed()).toEqual(ONE_PAID)
  })

  test('a stream, with its price in the final usage', async () => {
    const stream = client.messages.stream({ model, max_tokens: 100, messages: say('two') })
    const costs: unknown[] = []
    stream.on('streamEvent', (event) => {
      if (event.type === 'message_delta') costs.push((event.usage as { cost?: number }).cost)
    })
    expect(await stream.finalText()).toContain('two')
    expect(costs).toEqual([PRICE_USD])
    expect(await world.passed()).toEqual(ONE_PAID)
  })

  test('two rounds of tools, the first streamed', async () => {
    const question = say('Call get_weather with {"city":"Oslo"}')
    const first = await client.messages
      .stream({ model, max_tokens: 100, messages: question, tools })
      .finalMessage()
    expect(first.stop_reason).toBe('tool_use')
    const use = first.content.find((block) => block.type === 'tool_use')
    expect(use).toMatchObject({ name: 'get_weather', input: { city: 'Oslo' } })
    const second = await client.messages.create({
      model,
      max_tokens: 100,
      tools,
      messages: [
        ...question,
        { role: 'assistant', content: first.content },
        {
          role: 'user',
          content: [
            { type: 'tool_result', tool_use_id: use?.type === 'tool_use' ? use.id : '', content: 'rain' },
          ],
        },
      ],
    })
    expect(second.content).toMatchObject([{ type: 'text', text: expect.stringContaining('rain') }])
    expect(await world.passed()).toEqual({ gateway: 2, seller: 4, payments: 2 })
  })

  test('eight calls at once are eight payments', async () => {
    await Promise.all(
      Array.from({ length: 8 }, (_, n) =>
        client.messages.create({ model, max_tokens: 100, messages: say(`parallel ${n}`) }),
      ),
    )
    expect(await world.passed()).toEqual({ gateway: 8, seller: 16, payments: 8 })
  })

  test('a stream that is aborted is paid once', async () => {
    const stream = client.messages.stream({ model, max_tokens: 100, messages: say('three') })
    stream.on('text', () => stream.abort())
    await expect(stream.done()).rejects.toThrow(APIUserAbortError)
    await expect.poll(async () => (await world.passed()).gateway).toBe(1)
    expect(await world.passed()).toEqual(ONE_PAID)
  })
})

test("errors have Anthropic's own form, and are thrown as what they are", async () => {
  const wrong = client.messages.create({ model: 'unknown', max_tokens: 1, messages: say('x') })
  await expect(wrong).rejects.toThrow(NotFoundError)
  await expect(wrong).rejects.toMatchObject({ error: { type: 'error', error: { type: 'not_found_error' } } })
  expect((await world.passed()).payments).toBe(0)
})
