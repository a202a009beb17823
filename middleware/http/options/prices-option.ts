/** Prices per token as the option of a middleware, for calls that handlers of the host send themselves. */
import { z } from 'zod'
import { parseUsd } from '../../../src/core/money/money.ts'
import { capture, parsePattern, specificity } from '../../../src/core/name-pattern.ts'
import type { ModelInfo } from '../../../src/core/routing/route.ts'

/** What the provider bills for a model. */
export interface PlainPrices {
  /** USD per input token as decimal text, at most 18 decimals, e.g. `"0.00000015"`. */
  readonly inputUsdPerToken?: string | undefined
  /** USD per output token. */
  readonly outputUsdPerToken?: string | undefined
  /** USD per token of hidden reasoning; default as other output. */
  readonly reasoningUsdPerToken?: string | undefined
  /** USD per input token that was read from a cache; default as other input. */
  readonly cachedInputUsdPerToken?: string | undefined
  /** USD per input token that was written to a cache; default as other input. */
  readonly cacheWriteUsdPerToken?: string | undefined
  /** USD per picture in the request; at `/images/*` of one that is made, unless `outputUsdPerImage` is given. */
  readonly inputUsdPerImage?: string | undefined
  /** USD per picture that is made. */
  readonly outputUsdPerImage?: string | undefined
  /** USD per second of audio that is transcribed, elsewhere per second that the call takes. */
  readonly inputUsdPerSecond?: string | undefined
  readonly outputUsdPerSecond?: string | undefined
  /** USD per request, in addition; at most six decimals. */
  readonly usdPerRequest?: string | undefined
  /** Most output tokens of a request that names no limit; default 16,384. */
  readonly maxOutputTokens?: number | undefined
  /** Input and output tokens together: no request is reserved more input. */
  readonly contextWindow?: number | undefined
  /** Input tokens that the handler adds to what the client sent, such as a system prompt; default 0. */
  readonly addedInputTokens?: number | undefined
}

/** The prices of the models that one entry of the option names. */
export interface ModelPrices {
  /** As written: a name, or a pattern. */
  readonly name: string
  readonly info: ModelInfo
  readonly addedInputTokens: number
}

/** Finds the prices of a model: an exact name before patterns, the longer pattern first. */
export type PriceList = (model: string) => ModelPrices | undefined

const perToken = z
  .string('write USD as decimal text, e.g. "0.0000025"')
  .regex(
    /^(?:0|[1-9]\d{0,5})(?:\.\d{1,18})?$/,
    'write USD as decimal text with at most 18 decimals, e.g. "0.0000025"',
  )
const usd = z.string('write USD as decimal text, e.g. "0.01"').transform((text, context) => {
  const micro = parseUsd(text)
  if (micro !== undefined) return micro
  context.addIssue('write USD as decimal text, e.g. "0.01"')
  return z.NEVER
})
const tokens = z.int('give a whole number of tokens')

const ENTRY = z
  .strictObject({
    inputUsdPerToken: perToken.optional(),
    outputUsdPerToken: perToken.optional(),
    reasoningUsdPerToken: perToken.optional(),
    cachedInputUsdPerToken: perToken.optional(),
    cacheWriteUsdPerToken: perToken.optional(),
    inputUsdPerImage: perToken.optional(),
    outputUsdPerImage: perToken.optional(),
    inputUsdPerSecond: perToken.optional(),
    outputUsdPerSecond: perToken.optional(),
    usdPerRequest: usd.optional(),
    maxOutputTokens: tokens.min(1, 'give at least 1 token').optional(),
    contextWindow: tokens.min(1, 'give at least 1 token').optional(),
    addedInputTokens: tokens.min(0, 'give 0 or more tokens').default(0),
  })
  .refine(
    ({
      usdPerRequest,
      maxOutputTokens: _most,
      contextWindow: _window,
      addedInputTokens: _added,
      ...prices
    }) => usdPerRequest !== undefined || Object.values(prices).some((price) => price !== undefined),
    'give inputUsdPerToken, outputUsdPerToken, usdPerRequest or another price; "0" for a free model',
  )

/** Checks an option that holds prices by model. */
export const pricesOption = z.record(z.string().min(1), ENTRY).transform((entries): PriceList => {
  const listed = Object.entries(entries)
    .map(([name, { usdPerRequest, addedInputTokens, ...info }]) => ({
      name,
      addedInputTokens,
      info: { ...info, microUsdPerRequest: usdPerRequest },
      pattern: parsePattern(name),
    }))
    .toSorted((a, b) => specificity(b.pattern) - specificity(a.pattern))
  return (model) => listed.find(({ pattern }) => capture(pattern, model) !== undefined)
})
