/**
 * How much a seller may ask under `policy.max_price_change`. A model and token that were paid before have a price of their own.
 * One that was not is held to the highest pinned price of what was: otherwise a client could raise the accepted price by a new
 * spelling of a model's name, and a seller by offering another token.
 */
import { findAsset, findNetwork, type Asset } from '../core/money/assets.ts'
import { fromMicroUsd, toMicroUsd } from '../core/money/money.ts'
import type { PriceLimit } from '../core/policy/gate-policy.ts'
import { highestPrice } from '../core/policy/price-change.ts'
import type { Route } from '../core/routing/route.ts'
import type { KnownPrice, PriceKey, PriceRange } from '../io/store/contracts/sellers.ts'

/** What {@link priceLimit} looks at. */
export interface PriceMemory {
  /** Millionths; `undefined` when prices may change freely. */
  readonly maxChange: bigint | undefined
  readonly known: readonly KnownPrice[]
  /** See {@link rangeFor}. */
  readonly ranges: readonly PriceRange[]
  readonly assets: readonly Asset[]
  keyOf(network: string, asset: string): PriceKey
}

/**
 * Which pinned prices hold for a model that has none in some token: those of the model itself, or of every model on this path if the
 * client chooses the name that the seller gets.
 */
export function rangeFor(
  { modelName, model }: Route,
  { apiBase, endpoint, model: remoteModel }: PriceKey,
): { readonly apiBase: string; readonly endpoint: string; readonly model?: string } {
  const isNamedByClient = modelName.includes('*') && (model === undefined || model.includes('*'))
  return { apiBase, endpoint, ...(isNamedByClient ? {} : { model: remoteModel }) }
}

/** The limit for one token; `undefined` when the first payment may set the price. */
export function priceLimit(memory: PriceMemory, network: string, asset: string): PriceLimit | undefined {
  if (memory.maxChange === undefined) return undefined
  const known = memory.known.find((price) => price.network === network && price.asset === asset)
  if (known) {
    const { pinned } = known
    return { pinned, highest: highestPrice(pinned, memory.maxChange), target: targetOf(known) }
  }
  const highest = borrowed(memory, network, asset)
  if (highest === undefined) return undefined
  const key = memory.keyOf(network, asset)
  const symbol = findAsset(memory.assets, network, asset)?.symbol ?? asset
  const target = `${targetOf(key)} --network ${findNetwork(network)?.alias ?? network} --asset ${symbol}`
  // Without an allowance: each new name would raise the highest price by it once more.
  return { pinned: highest, highest, isBorrowed: true, target }
}

/** The highest price pinned in this token, else what the highest in another token is worth in this one. */
function borrowed({ ranges, assets }: PriceMemory, network: string, asset: string): bigint | undefined {
  const same = ranges.find((range) => range.network === network && range.asset === asset)
  if (same) return same.highest
  const wanted = findAsset(assets, network, asset)
  if (!wanted?.usd) return undefined
  let highest: bigint | undefined
  for (const range of ranges) {
    const paid = findAsset(assets, range.network, range.asset)
    if (!paid?.usd) continue
    const micro = toMicroUsd(range.highest, paid.decimals, paid.usd)
    if (highest === undefined || micro > highest) highest = micro
  }
  return highest === undefined ? undefined : fromMicroUsd(highest, wanted.decimals, wanted.usd)
}

/** For people to copy into a shell: includes a client's text only when no shell can read anything else into it. */
function targetOf({ apiBase, endpoint, model }: PriceKey): string {
  const named = /^[A-Za-z0-9][A-Za-z0-9._:/@-]*$/.test(model) ? model : "'<model>'"
  return `${apiBase} --path ${endpoint} --model ${named}`
}
