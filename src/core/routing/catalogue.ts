/**
 * A seller's list of models with prices (`GET <api_base>/models`), as published by BlockRun and similar sellers. Its prices are
 * JSON numbers, used only for display and comparison; the amount paid always comes from the quote.
 */
import { z } from 'zod'
import { formatUnits } from '../money/money.ts'
import { capture, fillStars, parsePattern, starsOf } from '../name-pattern.ts'
import type { Candidate, ModelInfo, Route } from './route.ts'

/** A model of a catalogue. */
export interface CatalogueEntry {
  /** The seller's name for the model. */
  readonly id: string
  readonly info: ModelInfo
}

/** The most models kept of one catalogue; real ones have a few hundred. */
export const MAX_CATALOGUE_MODELS = 2_000

/** The highest plausible price, USD per million tokens or per request; anything above is ignored as a mistake. */
const MAX_USD = 1_000_000

const MAX_TOKENS = 1_000_000_000

/** The size of the request that {@link typicalMicroUsd} prices: BlockRun's default `max_tokens`, and the same number of input tokens. */
const TYPICAL_TOKENS = 1_024n

/** Decimals of a price per token: micro-USD per million tokens. */
const TOKEN_DECIMALS = 12

const price = z.preprocess(
  (value) => (typeof value === 'string' && value.trim() !== '' ? Number(value) : value),
  z.number().min(0).max(MAX_USD).optional().catch(undefined),
)
/** USD of one token or picture, as OpenRouter lists them: decimal text. */
const unitPrice = z
  .string()
  .regex(/^[0-9]{1,6}(?:\.[0-9]{1,18})?$/)
  .optional()
  .catch(undefined)
const tokens = z.int().min(1).max(MAX_TOKENS).optional().catch(undefined)

const ROW = z.object({
  // Printable, without spaces and without *, which would be a pattern.
  id: z.string().regex(/^[\x21-\x29\x2b-\x7e]{1,200}$/),
  pricing: z
    .object({
      input: price,
      output: price,
      flat: price,
      prompt: unitPrice,
      completion: unitPrice,
      request: unitPrice,
      image: unitPrice,
      internal_reasoning: unitPrice,
      input_cache_read: unitPrice,
      input_cache_write: unitPrice,
    })
    .optional()
    .catch(undefined),
  inputPrice: price,
  outputPrice: price,
  flatPrice: price,
  billing_mode: z.string().optional().catch(undefined),
  available: z.boolean().optional().catch(undefined),
  hidden: z.boolean().optional().catch(undefined),
  context_window: tokens,
  contextWindow: tokens,
  context_length: tokens,
  max_output: tokens,
  maxOutput: tokens,
})

/** The ids that a catalogue hides from lists; they can be asked for. */
export function hiddenIds(json: unknown): readonly string[] {
  return (rowsOf(json) ?? []).slice(0, MAX_CATALOGUE_MODELS).flatMap((row) => {
    const { success, data } = ROW.safeParse(row)
    return success && data.hidden === true && data.available !== false ? [data.id] : []
  })
}

/**
 * Reads a catalogue in either format: `{data: [...]}` or `{models: [...]}`, prices in `pricing` or in `inputPrice` and
 * `outputPrice` (USD per million tokens). Invalid rows and implausible prices are left out.
 * @returns at most {@link MAX_CATALOGUE_MODELS}, each id once; `undefined` when the JSON is not a catalogue
 */
export function readCatalogue(json: unknown): readonly CatalogueEntry[] | undefined {
  const rows = rowsOf(json)
  if (!rows) return undefined
  const entries = new Map<string, CatalogueEntry>()
  for (const row of rows) {
    if (entries.size >= MAX_CATALOGUE_MODELS) break
    const { success, data } = ROW.safeParse(row)
    if (!success || data.hidden === true || data.available === false || entries.has(data.id)) continue
    entries.set(data.id, { id: data.id, info: infoOf(data) })
  }
  return [...entries.values()]
}

function rowsOf(json: unknown): readonly unknown[] | undefined {
  if (typeof json !== 'object' || json === null) return undefined
  const rows = 'data' in json ? json.data : 'models' in json ? json.models : undefined
  return Array.isArray(rows) ? rows : undefined
}

function infoOf(row: z.output<typeof ROW>): ModelInfo {
  const flat = row.billing_mode === 'free' ? 0 : (row.pricing?.flat ?? row.flatPrice)
  const byToken = row.pricing && openRouterPrices(row.pricing)
  if (byToken && flat === undefined) {
    const { context_window: window, max_output: most } = row
    return { contextWindow: window ?? row.context_length, maxOutputTokens: most ?? row.maxOutput, ...byToken }
  }
  return {
    contextWindow: row.context_window ?? row.contextWindow,
    maxOutputTokens: row.max_output ?? row.maxOutput,
    microUsdPerRequest: flat === undefined ? undefined : microUsd(flat),
    inputUsdPerToken: perToken(row.pricing?.input ?? row.inputPrice),
    outputUsdPerToken: perToken(row.pricing?.output ?? row.outputPrice),
  }
}

/** OpenRouter's prices, each of one token, picture or request; `undefined` where a row has none. */
function openRouterPrices(pricing: NonNullable<z.output<typeof ROW>['pricing']>): ModelInfo | undefined {
  const { prompt, completion, request, image, internal_reasoning: thought } = pricing
  if (prompt === undefined || completion === undefined) return undefined
  const { input_cache_read: read, input_cache_write: write } = pricing
  return {
    inputUsdPerToken: prompt,
    outputUsdPerToken: completion,
    ...(isSome(request) ? { microUsdPerRequest: ceilToMicro(parseTokenUsd(request)) } : {}),
    ...(isSome(image) ? { inputUsdPerImage: image } : {}),
    // Zero means that it costs what other output, or other input, does.
    ...(isSome(thought) ? { reasoningUsdPerToken: thought } : {}),
    ...(isSome(read) ? { cachedInputUsdPerToken: read } : {}),
    ...(isSome(write) ? { cacheWriteUsdPerToken: write } : {}),
  }
}

function isSome(usd: string | undefined): usd is string {
  return usd !== undefined && parseTokenUsd(usd) > 0n
}

function microUsd(usd: number): bigint {
  return BigInt(Math.round(usd * 1e6))
}

/** USD per token as a decimal string. */
function perToken(usdPerMillion: number | undefined): string | undefined {
  return usdPerMillion === undefined ? undefined : formatUnits(microUsd(usdPerMillion), TOKEN_DECIMALS)
}

/**
 * The catalogue price of a request, micro-USD rounded up: the flat price, or the price of 1,024 input and 1,024 output tokens.
 * For comparing sellers that were never paid; `undefined` when no price is known.
 */
export function typicalMicroUsd(info: ModelInfo): bigint | undefined {
  const { microUsdPerRequest, inputUsdPerToken, outputUsdPerToken } = info
  if (microUsdPerRequest !== undefined) return microUsdPerRequest
  if (outputUsdPerToken === undefined) return undefined
  const units = parseTokenUsd(inputUsdPerToken ?? '0') + parseTokenUsd(outputUsdPerToken)
  return ceilToMicro(units * TYPICAL_TOKENS)
}

/** A price per token in units of 10^-18 USD. @param usd decimal USD as in {@link ModelInfo}, at most 18 decimals */
export function parseTokenUsd(usd: string): bigint {
  const [whole = '0', fraction = ''] = usd.split('.')
  return BigInt(whole + fraction.slice(0, 18).padEnd(18, '0'))
}

function ceilToMicro(units: bigint): bigint {
  return (units + 10n ** 12n - 1n) / 10n ** 12n
}

/**
 * The name under which clients reach the seller's model through a route: the reverse of the route's renaming.
 * @returns `undefined` when the route cannot reach it
 */
export function publicName(
  { modelName, model }: Pick<Route, 'modelName' | 'model'>,
  id: string,
): string | undefined {
  if (!modelName.includes('*')) return (model ?? modelName) === id ? modelName : undefined
  const captured = capture(parsePattern(model ?? modelName), id)
  // Where the model has fewer stars, many names lead to it, so none of them is its name.
  if (captured?.length !== starsOf(parsePattern(modelName))) return undefined
  return fillStars(modelName, captured)
}

/** The models that sellers list. */
export interface ModelCatalogue {
  /** Updates what the other methods return; never rejects. */
  load(): Promise<void>
  /** The names under which clients reach the models of a route's seller; empty while they are unknown. */
  names(route: Route): readonly string[]
  /**
   * Whether a candidate's model is missing in a catalogue that was read, also after one more reading; never for an
   * unread one. Without it nothing is known to be missing.
   */
  lacks?(candidate: Candidate): Promise<boolean>
  /** What the seller lists about a candidate's model. */
  find(candidate: Candidate): ModelInfo | undefined
}
