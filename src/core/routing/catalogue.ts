/**
 * A seller's list of models with prices (`GET <api_base>/models`), as BlockRun and its like write it. Prices there are JSON
 * numbers: they are shown and compared, and nothing is ever charged by them; what is paid is the quote.
 */
import { z } from 'zod'
import { formatUnits } from '../money/money.ts'
import { matchesPattern, type Candidate, type ModelInfo, type Route } from './route.ts'

/** A model of a catalogue. */
export interface CatalogueEntry {
  /** The seller's own name for it. */
  readonly id: string
  readonly info: ModelInfo
}

/** Most models of one catalogue that are kept; real ones have some hundred. */
export const MAX_CATALOGUE_MODELS = 2_000

/** USD for a million tokens, and for a request; above it a price is taken for a mistake. */
const MAX_USD = 1_000_000

const MAX_TOKENS = 1_000_000_000

/** What {@link typicalMicroUsd} takes a request for: BlockRun's own default of `max_tokens`, and as much input. */
const TYPICAL_TOKENS = 1_024n

/** Digits behind the point of a price per token: a million tokens to the micro-USD. */
const TOKEN_DECIMALS = 12

const price = z.preprocess(
  (value) => (typeof value === 'string' && value.trim() !== '' ? Number(value) : value),
  z.number().min(0).max(MAX_USD).optional().catch(undefined),
)
const tokens = z.int().min(1).max(MAX_TOKENS).optional().catch(undefined)

const ROW = z.object({
  // Printable and without blanks or a *, which is a pattern here.
  id: z.string().regex(/^[\x21-\x29\x2b-\x7e]{1,200}$/),
  pricing: z.object({ input: price, output: price, flat: price }).optional().catch(undefined),
  inputPrice: price,
  outputPrice: price,
  flatPrice: price,
  billing_mode: z.string().optional().catch(undefined),
  available: z.boolean().optional().catch(undefined),
  hidden: z.boolean().optional().catch(undefined),
  context_window: tokens,
  contextWindow: tokens,
  max_output: tokens,
  maxOutput: tokens,
})

/**
 * Reads a catalogue in either spelling: `{data: [...]}` or `{models: [...]}`, prices in `pricing` or in `inputPrice` and
 * `outputPrice` (USD for a million tokens). Rows and prices that cannot be meant are left out.
 * @returns at most {@link MAX_CATALOGUE_MODELS}, each id once; `undefined` when it is no catalogue
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
  return {
    contextWindow: row.context_window ?? row.contextWindow,
    maxOutputTokens: row.max_output ?? row.maxOutput,
    microUsdPerRequest: flat === undefined ? undefined : microUsd(flat),
    inputUsdPerToken: perToken(row.pricing?.input ?? row.inputPrice),
    outputUsdPerToken: perToken(row.pricing?.output ?? row.outputPrice),
  }
}

function microUsd(usd: number): bigint {
  return BigInt(Math.round(usd * 1e6))
}

/** USD of one token as a decimal string. */
function perToken(usdPerMillion: number | undefined): string | undefined {
  return usdPerMillion === undefined ? undefined : formatUnits(microUsd(usdPerMillion), TOKEN_DECIMALS)
}

/**
 * What a request costs by the catalogue, micro-USD rounded up: the flat price, or that of 1,024 tokens each way. For
 * comparing sellers that were never paid; `undefined` where no price is known.
 */
export function typicalMicroUsd(info: ModelInfo): bigint | undefined {
  const { microUsdPerRequest, inputUsdPerToken, outputUsdPerToken } = info
  if (microUsdPerRequest !== undefined) return microUsdPerRequest
  if (outputUsdPerToken === undefined) return undefined
  const units = parseTokenUsd(inputUsdPerToken ?? '0') + parseTokenUsd(outputUsdPerToken)
  return ceilToMicro(units * TYPICAL_TOKENS)
}

/** A decimal USD price of one token in units of 10^-18 USD. @param usd as {@link ModelInfo} has it, at most 18 decimals */
export function parseTokenUsd(usd: string): bigint {
  const [whole = '0', fraction = ''] = usd.split('.')
  return BigInt(whole + fraction.slice(0, 18).padEnd(18, '0'))
}

function ceilToMicro(units: bigint): bigint {
  return (units + 10n ** 12n - 1n) / 10n ** 12n
}

/**
 * The name a client uses to get the seller's model by a route: the reverse of what the route does to names.
 * @returns `undefined` when the route cannot reach it
 */
export function publicName(
  { modelName, model }: Pick<Route, 'modelName' | 'model'>,
  id: string,
): string | undefined {
  if (!modelName.includes('*')) return (model ?? modelName) === id ? modelName : undefined
  if (model === undefined) return matchesPattern(modelName, id) ? id : undefined
  // Every name the pattern matches means one and the same model: none is its name.
  if (!model.includes('*') || !matchesPattern(model, id)) return undefined
  const [before = '', after = ''] = model.split('*')
  return modelName.replace('*', () => id.slice(before.length, id.length - after.length))
}

/** What sellers list of their models. */
export interface ModelCatalogue {
  /** Brings the rest up to date; never rejects. */
  load(): Promise<void>
  /** The names under which the models of a route's seller can be asked for; empty where they are not known. */
  names(route: Route): readonly string[]
  /** What the seller says of a candidate's model. */
  find(candidate: Candidate): ModelInfo | undefined
}
