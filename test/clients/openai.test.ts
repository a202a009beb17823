/** The official OpenAI SDK, unchanged but for its base URL, through a paid route on a local chain. */
import OpenAI from 'openai'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { CALLER_KEY, PRICE_USD, startClientWorld, type ClientWorld } from './kit.ts'

let world: ClientWorld
let client: OpenAI

beforeAll(async () => {
  world = await startClientWorld()
  client = new OpenAI({ baseURL: `${world.url}/v1`, apiKey: CALLER_KEY })
})
afterAll(async () => {
  await world?.close()
})
beforeEach(async () => {
  await world.reset()
})

const ask = (content: string) => [{ role: 'user' as const, content }]
const weather = {
  type: 'function' as const,
  function: {
    name: 'get_weather',
    parameters: { type: 'object', properties: { city: { type: 'string' } } },
  },
}
/** One request is asked for its price and then paid. */
const ONE_PAID = { gateway: 1, seller: 2, payments: 1 }

describe.each(['paid/fast', 'paid/buffered'])('chat completions of %s', (model) => {
  test('an answer at once, with its price', async () => {
    const { data, response } = await client.chat.completions
      .create({ model, messages: ask('one') })
      .withResponse()
    expect(data.choices[0]?.message.content).toContain('one')
    expect(data.usage).toMatchObject({ cost: PRICE_USD })
    expect(response.headers.get('x-tollway-cost-usd')).toBe('0.001')
    expect(await world.passed()).toEqual(ONE_PAID)
  })

  test('a stream, with its price in the usage chunk', async () => {
    const stream = await client.chat.completions.create({
      model,
      messages: ask('two'),
      stream: true,
      stream_options: { include_usage: true },
    })
    let [text, cost, reason] = ['', 0, '']
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? ''
      reason = chunk.choices[0]?.finish_reason ?? reason
      cost = (chunk.usage as { cost?: number } | null | undefined)?.cost ?? cost
    }
    expect(text).toContain('two')
    expect([reason, cost]).toEqual(['stop', PRICE_USD])
    expect(await world.passed()).toEqual(ONE_PAID)
  })

  test('no usage chunk reaches a client that did not ask for one', async () => {
    const stream = await client.chat.completions.create({ model, messages: ask('three'), stream: true })
    for await (const chunk of stream) {
      expect(chunk.choices).not.toHaveLength(0)
      expect(chunk.usage ?? null).toBeNull()
    }
  })

  test("two rounds of tools with the SDK's own runner, streamed", async () => {
    const cities: string[] = []
    const runner = client.chat.completions.runTools({
      model,
      stream: true,
      messages: ask('Call get_weather with {"city":"Oslo"} and call get_weather with {"city":"Rome"}'),
      tools: [
        {
          type: 'function',
          function: {
            ...weather.function,
            description: 'the weather',
            parse: JSON.parse,
            function: ({ city }: { city: string }) => {
              cities.push(city)
              return `rain in ${city}`
            },
          },
        },
      ],
    })
    expect(await runner.finalContent()).toMatch(/rain in Oslo.*rain in Rome/)
    expect(cities).toEqual(['Oslo', 'Rome'])
    expect(await world.passed()).toEqual({ gateway: 2, seller: 4, payments: 2 })
  })

  test('structured output', async () => {
    const answer = await client.chat.completions.parse({
      model,
      messages: ask('four'),
      response_format: {
        type: 'json_schema',
        json_schema: {
          name: 'verdict',
          strict: true,
          schema: { type: 'object', properties: { word: { type: 'string' }, count: { type: 'integer' } } },
        },
      },
    })
    expect(JSON.parse(answer.choices[0]?.message.content ?? '')).toEqual({ word: 'paid', count: 1 })
  })

  test('eight calls at once are eight payments', async () => {
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, n) =>
        client.chat.completions.create({ model, messages: ask(`parallel ${n}`) }),
      ),
    )
    expect(
      answers.map(({ choices }) => /parallel (\d)/.exec(choices[0]?.message.content ?? '')?.[1]),
    ).toEqual(Array.from({ length: 8 }, (_, n) => String(n)))
    expect(await world.passed()).toEqual({ gateway: 8, seller: 16, payments: 8 })
  })

  test('a stream left in the middle is paid once, and the charge is booked', async () => {
    const stream = await client.chat.completions.create({ model, messages: ask('five'), stream: true })
    for await (const chunk of stream) {
      if (chunk.choices[0]?.delta.content) break
    }
    await expect.poll(async () => (await world.passed()).gateway).toBe(1)
    expect(await world.passed()).toEqual(ONE_PAID)
    const [charge] = await world.gateway.gateway.parts.ledger.store.charges({ limit: 1 })
    expect(charge?.state).toBe('settled')
  })
})

describe('other endpoints', () => {
  test('completions, whole and streamed', async () => {
    const whole = await client.completions.create({ model: 'paid/fast', prompt: 'six' })
    expect(whole.choices[0]?.text).toContain('six')
    let text = ''
    for await (const chunk of await client.completions.create({
      model: 'paid/fast',
      prompt: 'seven',
      stream: true,
    })) {
      text += chunk.choices[0]?.text ?? ''
    }
    expect(text).toContain('seven')
    expect(await world.passed()).toEqual({ gateway: 2, seller: 4, payments: 2 })
  })

  test('embeddings', async () => {
    const { data, usage } = await client.embeddings.create({ model: 'paid/fast', input: ['a', 'b'] })
    expect(data.map(({ embedding }) => embedding.length)).toEqual([8, 8])
    expect(usage).toMatchObject({ cost: PRICE_USD })
  })

  test('responses, with a tool in two rounds, streamed', async () => {
    const tools = [
      {
        type: 'function' as const,
        name: 'get_weather',
        parameters: weather.function.parameters,
        strict: false,
      },
    ]
    const question = 'Call get_weather with {"city":"Oslo"}'
    const first = await client.responses
      .stream({ model: 'paid/fast', input: question, tools })
      .finalResponse()
    const call = first.output.find((item) => item.type === 'function_call')
    expect(call).toMatchObject({ name: 'get_weather', arguments: '{"city":"Oslo"}' })
    expect(first.usage).toMatchObject({ cost: PRICE_USD })
    if (call?.type !== 'function_call') return
    const second = await client.responses.create({
      model: 'paid/fast',
      tools,
      input: [
        { role: 'user', content: question },
        call,
        { type: 'function_call_output', call_id: call.call_id, output: 'rain' },
      ],
    })
    expect(second.output_text).toContain('rain')
    expect(await world.passed()).toEqual({ gateway: 2, seller: 4, payments: 2 })
  })

  test('the list of models, and one by its name with a slash', async () => {
    const { data } = await client.models.list()
    expect(data.map(({ id }) => id)).toEqual(['paid/fast', 'paid/buffered'])
    expect((await client.models.retrieve('paid/fast')).id).toBe('paid/fast')
  })
})
