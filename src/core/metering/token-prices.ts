/** What a request costs at an upstream that bills by tokens, from the prices of its model. */
import { parseTokenUsd } from '../routing/catalogue.ts'
import type { ModelInfo } from '../routing/route.ts'
import type { TokenCounts } from './token-counts.ts'

/** Units of 10^-18 USD in a micro-USD. */
const UNITS_PER_MICRO = 10n ** 12n

/** Whether a model has any price. */
export function isPriced(info: ModelInfo | undefined): info is ModelInfo {
  return (
    info?.microUsdPerRequest !== undefined ||
    info?.inputUsdPerToken !== undefined ||
    info?.outputUsdPerToken !== undefined
  )
}

/**
 * The cost of a request, micro-USD, rounded up once. Reasoning without a price of its own costs what other output does, and
 * cached input what other input does.
 */
export function costOf(info: ModelInfo, counts: TokenCounts): bigint {
  const input = parseTokenUsd(info.inputUsdPerToken ?? '0')
  const output = parseTokenUsd(info.outputUsdPerToken ?? '0')
  const { reasoningUsdPerToken: thought } = info
  const reasoning = Math.min(counts.reasoningTokens ?? 0, counts.outputTokens)
  const units =
    tokens(counts.inputTokens) * input +
    tokens(counts.outputTokens - reasoning) * output +
    tokens(reasoning) * (thought === undefined ? output : parseTokenUsd(thought))
  return (info.microUsdPerRequest ?? 0n) + (units + UNITS_PER_MICRO - 1n) / UNITS_PER_MICRO
}

/** The most that a request may cost: all of its output may be reasoning, or none. */
export function highestCost(info: ModelInfo, counts: TokenCounts): bigint {
  const plain = costOf(info, { ...counts, reasoningTokens: 0 })
  const thought = costOf(info, { ...counts, reasoningTokens: counts.outputTokens })
  return plain > thought ? plain : thought
}

function tokens(count: number): bigint {
  return BigInt(Math.max(0, Math.trunc(count)))
}
