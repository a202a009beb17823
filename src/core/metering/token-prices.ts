/** What a request costs at an upstream that bills a key, from the prices of its model. */
import { parseTokenUsd } from '../routing/catalogue.ts'
import type { ModelInfo } from '../routing/route.ts'
import type { CallSize } from './call-size.ts'

/** Units of 10^-18 USD in a micro-USD. */
const UNITS_PER_MICRO = 10n ** 12n

/** Whether a model has any price. */
export function isPriced(info: ModelInfo | undefined): info is ModelInfo {
  return info?.microUsdPerRequest !== undefined || PRICES_OF_UNITS.some((name) => info?.[name] !== undefined)
}

/** The prices of everything but the request itself. */
const PRICES_OF_UNITS = [
  'inputUsdPerToken',
  'outputUsdPerToken',
  'inputUsdPerImage',
  'outputUsdPerImage',
  'inputUsdPerSecond',
  'outputUsdPerSecond',
] as const satisfies readonly (keyof ModelInfo)[]

/** Whether the cost of a request is known before its answer: by the request, or by the pictures that it asks for. */
export function isFixedPrice(info: ModelInfo): boolean {
  return !(
    isPositive(info.inputUsdPerToken) ||
    isPositive(info.outputUsdPerToken) ||
    isPositive(info.reasoningUsdPerToken) ||
    isPositive(info.cachedInputUsdPerToken) ||
    isPositive(info.cacheWriteUsdPerToken) ||
    isPositive(info.inputUsdPerSecond) ||
    isPositive(info.outputUsdPerSecond)
  )
}

/**
 * The cost of a request, micro-USD, rounded up once. Reasoning without a price of its own costs what other output does, and
 * cached input what other input does.
 */
export function costOf(info: ModelInfo, size: CallSize): bigint {
  const { input, output, cached, cacheWrite, reasoning } = tokenPrices(info)
  const read = Math.min(size.cachedInputTokens ?? 0, size.inputTokens)
  const written = Math.min(size.cacheWriteTokens ?? 0, size.inputTokens - read)
  const thought = Math.min(size.reasoningTokens ?? 0, size.outputTokens)
  const units =
    whole(size.inputTokens - read - written) * input +
    whole(read) * cached +
    whole(written) * cacheWrite +
    whole(size.outputTokens - thought) * output +
    whole(thought) * reasoning +
    otherUnits(info, size)
  return (info.microUsdPerRequest ?? 0n) + (units + UNITS_PER_MICRO - 1n) / UNITS_PER_MICRO
}

/** The most that a request may cost: each token may be of the dearest kind. */
export function highestCost(info: ModelInfo, size: CallSize): bigint {
  const { input, output, cached, cacheWrite, reasoning } = tokenPrices(info)
  const units =
    whole(size.inputTokens) * highest(input, cached, cacheWrite) +
    whole(size.outputTokens) * highest(output, reasoning) +
    otherUnits(info, size)
  return (info.microUsdPerRequest ?? 0n) + (units + UNITS_PER_MICRO - 1n) / UNITS_PER_MICRO
}

function tokenPrices(
  info: ModelInfo,
): Record<'input' | 'output' | 'cached' | 'cacheWrite' | 'reasoning', bigint> {
  const input = price(info.inputUsdPerToken) ?? 0n
  const output = price(info.outputUsdPerToken) ?? 0n
  return {
    input,
    output,
    cached: price(info.cachedInputUsdPerToken) ?? input,
    cacheWrite: price(info.cacheWriteUsdPerToken) ?? input,
    reasoning: price(info.reasoningUsdPerToken) ?? output,
  }
}

/** Of pictures and time, in units of 10^-18 USD. */
function otherUnits(
  info: ModelInfo,
  { inputImages = 0, outputImages = 0, milliseconds = 0 }: CallSize,
): bigint {
  const given = price(info.inputUsdPerImage) ?? 0n
  const made = price(info.outputUsdPerImage) ?? given
  // LiteLLM's table has one of the two, or the same in both.
  const second = highest(price(info.inputUsdPerSecond) ?? 0n, price(info.outputUsdPerSecond) ?? 0n)
  const time = (whole(milliseconds) * second + 999n) / 1000n
  return whole(inputImages) * given + whole(outputImages) * made + time
}

function price(usd: string | undefined): bigint | undefined {
  return usd === undefined ? undefined : parseTokenUsd(usd)
}

function isPositive(usd: string | undefined): boolean {
  return (price(usd) ?? 0n) > 0n
}

function highest(...prices: readonly bigint[]): bigint {
  return prices.reduce((most, each) => (each > most ? each : most), 0n)
}

function whole(count: number): bigint {
  return BigInt(Math.max(0, Math.trunc(count)))
}
