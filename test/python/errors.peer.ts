/** What Python's clients, with the retries they come with, do with each kind of error: how often they ask again, and pay. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { ERROR_CALLER_KEY, ERROR_CASES, startErrorWorld, type ErrorWorld } from '../clients/error-world.ts'
import { CLIENTS, startPythonClient, type PythonClient } from './python-client.ts'

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

describe.each(CLIENTS)('%s', (name) => {
  let client: PythonClient
  beforeAll(() => {
    client = startPythonClient(name)
  })
  afterAll(async () => {
    await client?.close()
  })

  test.each(ERROR_CASES)('$name: status $status, at most $payments payments', async (expected) => {
    const { model, key = ERROR_CALLER_KEY, prompt = `${name}: ${expected.name}` } = expected.call
    const result = await client.call({ url: world.url, key, model, prompt, how: 'whole' })
    expect(result.status, result.message).toBe(expected.status)
    const { seller, ...passed } = world.counts()
    expect(passed).toEqual({ gateway: expected.gateway, payments: expected.payments })
    expect(seller).toBeLessThanOrEqual(expected.seller)
  })

  test('a paid stream that is cut ends as a truncated answer: asked once, paid once', async () => {
    const call = { url: world.url, key: ERROR_CALLER_KEY, model: 'paid/cut', prompt: `${name} cut` }
    const { text, reason, message } = await client.call({ ...call, how: 'stream' })
    expect(text, message).toBe('half')
    if (name !== 'pydantic-ai') expect(reason).toMatch(/^(?:length|max_tokens)$/)
    expect(world.counts()).toMatchObject({ gateway: 1, payments: 1 })
  })
})
