/** The cost of calls to keyed upstreams, from every kind of price. */
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { mostOf, usedBy } from '../../src/core/metering/call-size.ts'
import { tellsUse } from '../../src/core/metering/metered-call.ts'
import { costOf, highestCost, isPriced } from '../../src/core/metering/token-prices.ts'
import { readCatalogue } from '../../src/core/routing/catalogue.ts'
import { lowerMaxTokens } from '../../src/core/routing/max-tokens.ts'
import { parseConfig } from '../../src/app/config/load.ts'

const perToken = fc.option(
  fc.integer({ min: 0, max: 10_000_000 }).map((units) => (units / 1e12).toFixed(12)),
  { nil: undefined },
)
const PRICES = fc.record({
  inputUsdPerToken: perToken,
  outputUsdPerToken: perToken,
  reasoningUsdPerToken: perToken,
  cachedInputUsdPerToken: perToken,
  cacheWriteUsdPerToken: perToken,
  inputUsdPerImage: perToken,
  outputUsdPerImage: perToken,
  inputUsdPerSecond: perToken,
  outputUsdPerSecond: perToken,
  microUsdPerRequest: fc.option(fc.bigInt({ min: 0n, max: 1_000_000n }), { nil: undefined }),
})

describe('what was reserved', () => {
  test('rule 2: is never less than what is booked, whatever the kinds of tokens, pictures and time', () => {
    const usage = fc.record({
      input: fc.nat(5000),
      output: fc.nat(5000),
      cached: fc.nat(9000),
      write: fc.nat(9000),
      thought: fc.nat(9000),
      tookMs: fc.nat(60_000),
    })
    fc.assert(
      fc.property(
        PRICES,
        usage,
        fc.constantFrom('/chat/completions', '/images/edits', '/rerank'),
        (info, used, endpoint) => {
          const body = Buffer.from(JSON.stringify({ max_tokens: 5000, n: 2, pad: 'x'.repeat(5000) }))
          const most = mostOf({ body, endpoint, maxMs: 60_000 }, info)
          const told = {
            inputTokens: Math.min(used.input, most.inputTokens),
            outputTokens: Math.min(used.output, most.outputTokens),
            cachedInputTokens: used.cached,
            cacheWriteTokens: used.write,
            reasoningTokens: used.thought,
          }
          const size = usedBy(endpoint, most, told, used.tookMs)
          expect(size && costOf(info, size)).toBeLessThanOrEqual(highestCost(info, most))
        },
      ),
    )
  })

  test.each([1e308, 1e300, Number.MAX_VALUE, 31_536_000])(
    'rule 2: an answer that tells %s seconds costs no more than the audio that was sent can last',
    (seconds) => {
      const endpoint = '/audio/transcriptions'
      const info = { inputUsdPerSecond: '0.0001' }
      const most = mostOf({ body: Buffer.alloc(5000), endpoint, maxMs: 60_000 }, info)
      const size = usedBy(endpoint, most, { inputTokens: 0, outputTokens: 0, seconds }, 10)
      expect(size && costOf(info, size)).toBe(highestCost(info, most))
    },
  )

  test('rule 2: zeros tell nothing: an upstream that does not count is booked at the most', () => {
    const tokens = { inputUsdPerToken: '0.000001' }
    const time = { inputUsdPerSecond: '0.0001' }
    expect(tellsUse({ inputTokens: 0, outputTokens: 0 }, tokens)).toBe(false)
    expect(tellsUse({ inputTokens: 0, outputTokens: 0, seconds: 3 }, tokens)).toBe(false)
    expect(tellsUse({ inputTokens: 0, outputTokens: 0 }, time)).toBe(false)
    expect(tellsUse({ inputTokens: 0, outputTokens: 0, seconds: 0 }, time)).toBe(true)
    expect(tellsUse({ inputTokens: 1, outputTokens: 0 }, tokens)).toBe(true)
    expect(tellsUse({ inputTokens: 0, outputTokens: 1 }, tokens)).toBe(true)
  })

  test('bounds the seconds of audio by its bytes, and takes the seconds that the answer tells', () => {
    const call = { body: Buffer.alloc(1000), endpoint: '/audio/transcriptions', maxMs: 1 }
    const most = mostOf(call, { inputUsdPerSecond: '0.1' })
    expect(most.milliseconds).toBe(2000)
    const none = { inputTokens: 0, outputTokens: 0 }
    expect(usedBy(call.endpoint, most, none, 5)?.milliseconds).toBe(2000)
    expect(usedBy(call.endpoint, most, { ...none, seconds: 0.0001 }, 5)?.milliseconds).toBe(1)
  })
})

describe('a limit that is lowered', () => {
  test('is the highest that fits', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 100_000 }),
        fc.nat(100_000),
        fc.integer({ min: 1, max: 500 }),
        (most, room, lowest) => {
          const limitIn = (body: Uint8Array): number =>
            (JSON.parse(Buffer.from(body).toString()) as { max_tokens: number }).max_tokens
          const found = lowerMaxTokens(
            Buffer.from(`{"max_tokens":${most}}`),
            lowest,
            (body) => limitIn(body) <= room,
          )
          if (lowest >= most || room < lowest) {
            expect(found).toBeUndefined()
            return
          }
          expect(found?.to).toBe(Math.min(room, most - 1))
          expect(found && limitIn(found.body)).toBe(found?.to)
        },
      ),
    )
  })
})

test("OpenRouter's catalogue has prices of single tokens, pictures and requests", () => {
  const pricing = {
    prompt: '0.00000125',
    completion: '0.00001',
    request: '0.0051',
    image: '0.00516',
    internal_reasoning: '0',
    input_cache_read: '0.00000031',
    input_cache_write: '0.000001625',
    web_search: '0',
  }
  const [entry] = readCatalogue({ data: [{ id: 'google/g', context_length: 1000, pricing }] }) ?? []
  expect(entry?.info).toEqual({
    contextWindow: 1000,
    maxOutputTokens: undefined,
    inputUsdPerToken: '0.00000125',
    outputUsdPerToken: '0.00001',
    microUsdPerRequest: 5100n,
    inputUsdPerImage: '0.00516',
    cachedInputUsdPerToken: '0.00000031',
    cacheWriteUsdPerToken: '0.000001625',
  })
  for (const wrong of [
    { prompt: '-1', completion: '1' },
    { prompt: 'free', completion: '0' },
    { prompt: 1 },
  ]) {
    const [row] = readCatalogue({ data: [{ id: 'a', pricing: wrong }] }) ?? []
    expect(isPriced(row?.info)).toBe(false)
  }
})

test("LiteLLM's names of prices are read where it has them, and its default limit", () => {
  const params = { model: 'openai/m', api_base: 'https://a.test/v1', max_tokens: 512 }
  const prices = {
    input_cost_per_token: 2.5e-6,
    cache_read_input_token_cost: 1.25e-7,
    cache_creation_input_token_cost: 3.125e-6,
    output_cost_per_reasoning_token: 1e-5,
    input_cost_per_image: 0.04,
    output_cost_per_second: 0.0001,
  }
  for (const entry of [
    { model_name: 'm', litellm_params: { ...params, ...prices } },
    { model_name: 'm', litellm_params: params, model_info: prices },
  ]) {
    const { routes } = parseConfig({ model_list: [entry] }, {})
    expect(routes[0]).toMatchObject({
      defaultMaxTokens: 512,
      info: {
        inputUsdPerToken: '0.0000025',
        cachedInputUsdPerToken: '0.000000125',
        cacheWriteUsdPerToken: '0.000003125',
        reasoningUsdPerToken: '0.00001',
        inputUsdPerImage: '0.04',
        outputUsdPerSecond: '0.0001',
      },
    })
  }
})
