/** A call that an upstream bills to a key, from its reservation to the end of its answer. */
import type { Charge } from '../charge/charge.ts'
import type { ModelInfo } from '../routing/route.ts'
import type { Usage } from '../stream/usage.ts'
import { usedBy, type CallSize } from './call-size.ts'
import { costOf, isFixedPrice, isPriced } from './token-prices.ts'

/** What was reserved for a call, and by which prices. */
export interface MeteredCall {
  /** Its `microUsd` is the most that the call may cost; `undefined` where the model has no price. */
  readonly charge: Charge
  readonly info: ModelInfo | undefined
  /** The most that it may take. */
  readonly most: CallSize
  /** Without `/v1`. */
  readonly endpoint: string
  /** A handler of the host sends it and answers for itself: its cost is booked, and not told in the answer. */
  readonly isHandlers?: boolean | undefined
}

/** What a call costs, as far as that is known. */
export interface CallCost {
  /** Micro-USD. */
  readonly microUsd: bigint
  /** `false`: it is the most that the call may cost, which counts until the answer tells its usage. */
  readonly isExact: boolean
}

/**
 * @param usage of the answer, or as much of it as came
 * @param tookMs how long the call took, once it is over: an upstream may bill that
 * @returns `undefined` for a call without a price
 */
export function costOfCall(
  { charge, info, most, endpoint, isHandlers }: MeteredCall,
  usage: Usage | undefined,
  tookMs?: number,
): CallCost | undefined {
  if (charge.microUsd === undefined || !isPriced(info)) return undefined
  if (isFixedPrice(info)) return { microUsd: charge.microUsd, isExact: true }
  // What a handler reports is its own word: it may know that nothing was used.
  const isTold = usage !== undefined && (isHandlers === true || tellsUse(usage, info))
  if (!isTold) return { microUsd: charge.microUsd, isExact: false }
  const size = usedBy(endpoint, most, usage, tookMs)
  return size === undefined
    ? { microUsd: charge.microUsd, isExact: false }
    : { microUsd: costOf(info, size), isExact: true }
}

/** Whether a usage says what was used: upstreams that do not count send zeros, and nothing that tokens are billed for takes none. */
export function tellsUse(
  { inputTokens, outputTokens, seconds }: Usage,
  info: ModelInfo | undefined,
): boolean {
  if (inputTokens > 0 || outputTokens > 0) return true
  const isTimed = info?.inputUsdPerSecond !== undefined || info?.outputUsdPerSecond !== undefined
  return isTimed && seconds !== undefined
}
