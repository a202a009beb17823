/** Python's own clients, unchanged but for their base URL, through a paid route to official sellers on a local chain. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { CALLER_KEY, PRICE_USD, startClientWorld, type ClientWorld } from '../clients/kit.ts'
import {
  CLIENTS,
  startPythonClient,
  type PythonCall,
  type PythonClient,
  type PythonResult,
} from './python-client.ts'

const ONE_PAID = { gateway: 1, seller: 2, payments: 1 }

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

describe.each(CLIENTS)('%s', (name) => {
  let client: PythonClient
  beforeAll(() => {
    client = startPythonClient(name)
  })
  afterAll(async () => {
    await client?.close()
  })
  const ask = async (how: PythonCall['how'], prompt: string, model: string): Promise<PythonResult> =>
    await client.call({ url: world.url, key: CALLER_KEY, how, prompt, model })

  describe.each(['paid/fast', 'paid/buffered'])('on %s', (model) => {
    test('an answer at once, with its price where the client shows it', async () => {
      const { text, cost, message } = await ask('whole', 'one', model)
      expect(text, message).toContain('one')
      if (name !== 'pydantic-ai') expect(cost).toBe(PRICE_USD)
      expect(await world.passed()).toEqual(ONE_PAID)
    })

    test('a stream, to its end', async () => {
      const { text, cost, reason, message } = await ask('stream', 'two', model)
      expect(text, message).toContain('two')
      if (name !== 'pydantic-ai') expect(reason).toBe(name === 'anthropic' ? 'end_turn' : 'stop')
      if (name === 'openai') expect(cost).toBe(PRICE_USD)
      expect(await world.passed()).toEqual(ONE_PAID)
    })

    test('two rounds of tools', async () => {
      const { text, message } = await ask('tools', 'Call get_weather with {"city":"Oslo"}', model)
      expect(text, message).toContain('rain in Oslo')
      expect(await world.passed()).toEqual({ gateway: 2, seller: 4, payments: 2 })
    })

    // Anthropic's Messages have no response format.
    if (name !== 'anthropic') {
      test('structured output', async () => {
        const { text, message } = await ask('schema', 'three', model)
        expect(JSON.parse(text ?? '{}'), message).toEqual({ word: 'paid', count: 1 })
      })
    }

    test('a stream that is left in the middle is paid once', async () => {
      const { text, message } = await ask('leave', 'four', model)
      expect(text, message).not.toBe('')
      await expect.poll(async () => (await world.passed()).gateway).toBe(1)
      expect(await world.passed()).toEqual(ONE_PAID)
    })
  })
})
