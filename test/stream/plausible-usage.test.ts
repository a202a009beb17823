import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { allowedTokens } from '../../src/core/routing/max-tokens.ts'
import { plausibleUsage } from '../../src/core/stream/plausible-usage.ts'

const body = (members: Record<string, unknown>): Buffer =>
  Buffer.from(JSON.stringify({ model: 'm', ...members }))

const TEMPLATE = 32

const count = fc.oneof(fc.nat(100), fc.maxSafeNat())

describe('the counts of an answer', () => {
  test('are never more than the bytes that travelled and the limit of the request, of a seller that is paid per request', () => {
    fc.assert(
      fc.property(
        fc.record({
          inputTokens: count,
          outputTokens: count,
          reasoningTokens: fc.option(count, { nil: undefined }),
        }),
        fc.jsonValue(),
        fc.nat(10_000),
        fc.nat(10_000),
        (claimed, text, answerBytes, maxTokens) => {
          const request = body({ text, image_url: 'https://a.test', previous_response_id: 'r' })
          const usage = plausibleUsage(claimed, { request, answerBytes, maxTokens, isKeyed: false })
          expect(usage).toEqual({
            inputTokens: Math.min(claimed.inputTokens, request.length + TEMPLATE),
            outputTokens: Math.min(claimed.outputTokens, Math.max(answerBytes, maxTokens)),
          })
        },
      ),
    )
  })

  test('are never more than two million over that, of any other', () => {
    fc.assert(
      fc.property(
        count,
        count,
        count,
        fc.nat(10_000),
        (inputTokens, outputTokens, reasoningTokens, answerBytes) => {
          const request = body({ image_url: 'https://a.test' })
          const claimed = { inputTokens, outputTokens, reasoningTokens }
          const usage = plausibleUsage(claimed, { request, answerBytes, maxTokens: 0, isKeyed: true })
          expect(usage.inputTokens).toBeLessThanOrEqual(request.length + TEMPLATE + 2_000_000)
          expect(usage.outputTokens).toBeLessThanOrEqual(answerBytes + 2_000_000)
        },
      ),
    )
  })

  test.each([
    ['hidden reasoning', {}, { inputTokens: 5, outputTokens: 9_000, reasoningTokens: 8_990 }],
    [
      'an image by address',
      { content: [{ image_url: 'https://a.test' }] },
      { inputTokens: 1_100, outputTokens: 9 },
    ],
    ['an earlier turn', { previous_response_id: 'resp_1' }, { inputTokens: 90_000, outputTokens: 9 }],
    [
      'a hosted search',
      { tools: [{ type: 'web_search_preview' }] },
      { inputTokens: 30_000, outputTokens: 9 },
    ],
  ])("believe the operator's own provider %s", (_name, members, { inputTokens, outputTokens, ...hidden }) => {
    const evidence = { request: body(members), answerBytes: 100, maxTokens: 0, isKeyed: true }
    const claimed = { inputTokens, outputTokens, ...hidden }
    expect(plausibleUsage(claimed, evidence)).toEqual(claimed)
    const stranger = plausibleUsage(claimed, { ...evidence, isKeyed: false })
    expect(stranger.inputTokens + stranger.outputTokens).toBeLessThan(inputTokens + outputTokens)
  })

  test('are bounded for a keyed provider too where nothing says that tokens did not travel', () => {
    const evidence = { request: body({}), answerBytes: 100, maxTokens: 0, isKeyed: true }
    const claimed = { inputTokens: 1e9, outputTokens: 1e9 }
    expect(plausibleUsage(claimed, evidence)).toEqual({
      inputTokens: body({}).length + TEMPLATE,
      outputTokens: 100,
    })
  })
})

describe('the tokens that a request allows', () => {
  test.each<[Record<string, unknown>, number]>([
    [{}, 0],
    [{ max_tokens: 50 }, 50],
    [{ max_completion_tokens: 70 }, 70],
    [{ max_output_tokens: 30, max_tokens: 20 }, 30],
    [{ max_tokens: 50, n: 3 }, 150],
    [{ max_tokens: 50, best_of: 4, n: 2 }, 200],
    [{ max_tokens: 50, n: 999_999_999 }, 50 * 128],
    [{ max_tokens: '50' }, 0],
    [{ max_tokens: -1 }, 0],
    [{ max_tokens: 1e300 }, 0],
    [{ n: 7 }, 0],
  ])('are, with %j, %i', (members, tokens) => {
    expect(allowedTokens(body(members))).toBe(tokens)
  })
})
