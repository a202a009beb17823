/** Vercel's AI SDK with its OpenAI-compatible provider, through a paid route on a local chain. */
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { generateText, jsonSchema, Output, stepCountIs, streamText, tool } from 'ai'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { CALLER_KEY, PRICE_USD, startClientWorld, type ClientWorld } from './kit.ts'

let world: ClientWorld
let provider: ReturnType<typeof createOpenAICompatible>

beforeAll(async () => {
  world = await startClientWorld()
  provider = createOpenAICompatible({
    name: 'tollway',
    baseURL: `${world.url}/v1`,
    apiKey: CALLER_KEY,
    includeUsage: true,
    supportsStructuredOutputs: true,
  })
})
afterAll(async () => {
  await world?.close()
})
beforeEach(async () => {
  await world.reset()
})

const ONE_PAID = { gateway: 1, seller: 2, payments: 1 }
const weather = (cities: string[]) =>
  tool({
    description: 'the weather',
    inputSchema: jsonSchema<{ city: string }>({ type: 'object', properties: { city: { type: 'string' } } }),
    execute: ({ city }) => {
      cities.push(city)
      return `rain in ${city}`
    },
  })

describe.each(['paid/fast', 'paid/buffered'])('the AI SDK on %s', (model) => {
  test('an answer at once, with its price', async () => {
    const { text, usage } = await generateText({ model: provider(model), prompt: 'one' })
    expect(text).toContain('one')
    expect(usage.raw).toMatchObject({ cost: PRICE_USD })
    expect(await world.passed()).toEqual(ONE_PAID)
  })

  test('a stream, with its price', async () => {
    const result = streamText({ model: provider(model), prompt: 'two' })
    let text = ''
    for await (const part of result.textStream) text += part
    expect(text).toContain('two')
    expect((await result.usage).raw).toMatchObject({ cost: PRICE_USD })
    expect(await result.finishReason).toBe('stop')
    expect(await world.passed()).toEqual(ONE_PAID)
  })

  test.each(['whole', 'streamed'])('two rounds of tools, %s', async (how) => {
    const cities: string[] = []
    const options = {
      model: provider(model),
      prompt: 'Call get_weather with {"city":"Oslo"}',
      tools: { get_weather: weather(cities) },
      stopWhen: stepCountIs(3),
    }
    const text = how === 'whole' ? (await generateText(options)).text : await streamText(options).text
    expect(text).toContain('rain in Oslo')
    expect(cities).toEqual(['Oslo'])
    expect(await world.passed()).toEqual({ gateway: 2, seller: 4, payments: 2 })
  })

  test('structured output', async () => {
    const { output } = await generateText({
      model: provider(model),
      prompt: 'three',
      output: Output.object({
        schema: jsonSchema<{ word: string; count: number }>({
          type: 'object',
          properties: { word: { type: 'string' }, count: { type: 'integer' } },
          required: ['word', 'count'],
          additionalProperties: false,
        }),
      }),
    })
    expect(output).toEqual({ word: 'paid', count: 1 })
  })

  test('eight calls at once are eight payments', async () => {
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, n) => generateText({ model: provider(model), prompt: `parallel ${n}` })),
    )
    answers.forEach(({ text }, n) => expect(text).toContain(`parallel ${n}`))
    expect(await world.passed()).toEqual({ gateway: 8, seller: 16, payments: 8 })
  })

  test('a stream that is aborted is paid once', async () => {
    const leaving = new AbortController()
    const result = streamText({ model: provider(model), prompt: 'four', abortSignal: leaving.signal })
    for await (const part of result.fullStream) if (part.type === 'text-delta') leaving.abort()
    await expect.poll(async () => (await world.passed()).gateway).toBe(1)
    expect(await world.passed()).toEqual(ONE_PAID)
  })
})
