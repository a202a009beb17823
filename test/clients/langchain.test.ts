/** LangChain's ChatOpenAI through a paid route on a local chain. */
import { HumanMessage, ToolMessage } from '@langchain/core/messages'
import { tool } from '@langchain/core/tools'
import { ChatOpenAI } from '@langchain/openai'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { CALLER_KEY, startClientWorld, type ClientWorld } from './kit.ts'

let world: ClientWorld

beforeAll(async () => {
  world = await startClientWorld()
})
afterAll(async () => {
  await world?.close()
})
beforeEach(async () => {
  await world.reset()
})

const chat = (model: string): ChatOpenAI =>
  new ChatOpenAI({ model, apiKey: CALLER_KEY, configuration: { baseURL: `${world.url}/v1` } })
const ONE_PAID = { gateway: 1, seller: 2, payments: 1 }
const weather = tool(({ city }) => `rain in ${city}`, {
  name: 'get_weather',
  description: 'the weather',
  schema: z.object({ city: z.string() }),
})

describe.each(['paid/fast', 'paid/buffered'])('LangChain on %s', (model) => {
  test('an answer at once', async () => {
    const answer = await chat(model).invoke('one')
    expect(answer.text).toContain('one')
    expect(await world.passed()).toEqual(ONE_PAID)
  })

  test('a stream', async () => {
    let text = ''
    for await (const chunk of await chat(model).stream('two')) text += chunk.text
    expect(text).toContain('two')
    expect(await world.passed()).toEqual(ONE_PAID)
  })

  test('two rounds of tools', async () => {
    const bound = chat(model).bindTools([weather])
    const question = new HumanMessage('Call get_weather with {"city":"Oslo"}')
    const first = await bound.invoke([question])
    expect(first.tool_calls).toMatchObject([{ name: 'get_weather', args: { city: 'Oslo' } }])
    const [call] = first.tool_calls ?? []
    const result = new ToolMessage({
      content: await weather.invoke({ city: 'Oslo' }),
      tool_call_id: call?.id ?? '',
    })
    expect((await bound.invoke([question, first, result])).text).toContain('rain in Oslo')
    expect(await world.passed()).toEqual({ gateway: 2, seller: 4, payments: 2 })
  })

  test('structured output', async () => {
    const schema = z.object({ word: z.string(), count: z.number() })
    const answer = await chat(model).withStructuredOutput(schema, { method: 'jsonSchema' }).invoke('three')
    expect(answer).toEqual({ word: 'paid', count: 1 })
  })

  test('eight calls at once are eight payments', async () => {
    const answers = await chat(model).batch(Array.from({ length: 8 }, (_, n) => `parallel ${n}`))
    answers.forEach(({ text }, n) => expect(text).toContain(`parallel ${n}`))
    expect(await world.passed()).toEqual({ gateway: 8, seller: 16, payments: 8 })
  })

  test('a stream that is aborted is paid once', async () => {
    const leaving = new AbortController()
    const read = async (): Promise<void> => {
      for await (const chunk of await chat(model).stream('four', { signal: leaving.signal })) {
        if (chunk.text !== '') leaving.abort()
      }
    }
    await expect(read()).rejects.toThrow()
    await expect.poll(async () => (await world.passed()).gateway).toBe(1)
    expect(await world.passed()).toEqual(ONE_PAID)
  })
})
