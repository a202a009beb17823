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
    usdPerRequest: usd.optional(),
    maxOutputTokens: tokens.min(1, 'give at least 1 token').optional(),
    contextWindow: tokens.min(1, 'give at least 1 token').optional(),
    addedInputTokens: tokens.min(0, 'give 0 or more tokens').default(0),
  })
  .refine(
    ({ inputUsdPerToken, outputUsdPerToken, usdPerRequest }) =>
      (inputUsdPerToken ?? outputUsdPerToken ?? usdPerRequest) !== undefined,
    'give inputUsdPerToken, outputUsdPerToken or usdPerRequest; "0" for a free model',
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
