import { describe, expect, test } from 'vitest'
import { DEFAULT_OUTPUT_TOKENS, mostTokens, REFERENCE_TOKENS } from '../../src/core/metering/token-counts.ts'
import { costOf, highestCost, isPriced } from '../../src/core/metering/token-prices.ts'

const body = (value: object): Buffer => Buffer.from(JSON.stringify(value))

describe('the most tokens of a request', () => {
  test('are one per byte of the body, and the limit of the request times its answers', () => {
    const question = body({ messages: [{ role: 'user', content: 'héllo' }], max_tokens: 10, n: 3 })
    expect(mostTokens(question, '/chat/completions', {})).toEqual({
      inputTokens: question.length,
      outputTokens: 30,
    })
  })

  test('without a limit are what the model can write, for each answer', () => {
    expect(mostTokens(body({ n: 2 }), '/chat/completions', { maxOutputTokens: 100 }).outputTokens).toBe(200)
    expect(mostTokens(body({}), '/chat/completions', {}).outputTokens).toBe(DEFAULT_OUTPUT_TOKENS)
    expect(mostTokens(body({ input: 'x' }), '/embeddings', {}).outputTokens).toBe(0)
    expect(mostTokens(undefined, '/chat/completions', {})).toEqual({ inputTokens: 0, outputTokens: 0 })
  })

  test('include what the body only refers to, and are never more than the model can read', () => {
    const picture = body({
      messages: [{ content: [{ type: 'image_url', image_url: { url: 'https://x' } }] }],
    })
    expect(mostTokens(picture, '/chat/completions', {}).inputTokens).toBe(picture.length + REFERENCE_TOKENS)
    expect(mostTokens(picture, '/chat/completions', { contextWindow: 5000 }).inputTokens).toBe(5000)
    expect(mostTokens(body({ a: 'x'.repeat(99) }), '/responses', { contextWindow: 50 }).inputTokens).toBe(50)
  })
})

describe('the cost', () => {
  const info = {
    inputUsdPerToken: '0.0000025',
    outputUsdPerToken: '0.00001',
    reasoningUsdPerToken: '0.00002',
  }

  test('rule 1: is rounded up once, against the caller', () => {
    expect(costOf({ inputUsdPerToken: '0.000000000000000001' }, { inputTokens: 1, outputTokens: 0 })).toBe(1n)
    expect(costOf(info, { inputTokens: 1, outputTokens: 0 })).toBe(3n)
    expect(costOf(info, { inputTokens: 2, outputTokens: 0 })).toBe(5n)
    expect(costOf(info, { inputTokens: 0, outputTokens: 0 })).toBe(0n)
  })

  test('of reasoning is its own, and a price per request comes on top', () => {
    const counts = { inputTokens: 100, outputTokens: 30, reasoningTokens: 20 }
    expect(costOf(info, counts)).toBe(250n + 100n + 400n)
    expect(costOf({ ...info, microUsdPerRequest: 7n }, counts)).toBe(757n)
    expect(costOf({ outputUsdPerToken: '0.00001' }, counts)).toBe(300n)
  })

  test('is never above the most that was reserved for the same tokens', () => {
    for (const reasoningTokens of [0, 7, 30]) {
      const counts = { inputTokens: 100, outputTokens: 30, reasoningTokens }
      for (const thought of ['0', '0.00001', '0.00002']) {
        const prices = { ...info, reasoningUsdPerToken: thought }
        expect(costOf(prices, counts) <= highestCost(prices, counts)).toBe(true)
      }
    }
  })

  test('is known with any price, zero too', () => {
    expect(isPriced({ inputUsdPerToken: '0' })).toBe(true)
    expect(isPriced({ microUsdPerRequest: 0n })).toBe(true)
    expect(isPriced({ contextWindow: 5 })).toBe(false)
    expect(isPriced(undefined)).toBe(false)
  })
})
