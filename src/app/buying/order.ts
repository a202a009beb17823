/** Orders (core/purchase): whether a command continues one, and how much may be signed for it. */
import { findAsset } from '../../core/money/assets.ts'
import { ConfigError } from '../../core/errors.ts'
import { formatUnits } from '../../core/money/money.ts'
import { highestPrice } from '../../core/policy/price-change.ts'
import type { Purchase, PurchaseOrder, StoredPurchase } from '../../core/vouchers/purchase.ts'
import { AMOUNT_SPELLINGS, parseSpelledAmount } from '../../core/money/spelled-amount.ts'
import { EXPORT_ROUTE, type PoolStatus } from '../../core/vouchers/voucher.ts'
import type { Asset } from '../../core/money/assets.ts'
import type { BuyingConfig, BuyingContext } from './buying-context.ts'
import type { PriceCap } from './terms.ts'

/** The order as given on the command line. */
export interface OrderRequest {
  readonly count?: number | undefined
  readonly budget?: string | undefined
  /** Whether the vouchers will be exported to another program. */
  readonly handOver?: boolean | undefined
}

/** How many vouchers of an order to sign. */
export interface OrderPart {
  readonly count: number
  /** Missing vouchers that the budget does not cover at this price, and that are therefore given up. */
  readonly cut: number
}

/** Ordered vouchers that are not signed yet. */
export function owedOf({ ordered, delivered }: StoredPurchase): number {
  return Math.max(0, ordered - delivered)
}

/** How many of the missing vouchers to sign now: no more than the order's budget covers. */
export function payable(purchase: StoredPurchase, price: bigint): OrderPart {
  const owed = owedOf(purchase)
  const ceiling = purchase.order?.ceiling
  if (ceiling === undefined) return { count: owed, cut: 0 }
  const covered = ceiling > purchase.cost ? (ceiling - purchase.cost) / price : 0n
  const count = covered < BigInt(owed) ? Number(covered) : owed
  return { count, cut: owed - count }
}

/**
 * The highest price of one voucher: the given cap, else its price when ordered plus `policy.max_price_change`. Without either,
 * the budget is the only limit.
 * @param said the given cap, smallest units
 */
export function capOf(
  { policy }: Pick<BuyingConfig, 'policy'>,
  said: bigint | undefined,
  order: Pick<PurchaseOrder, 'price' | 'budget'> | undefined,
): PriceCap | undefined {
  if (said !== undefined) return { amount: said, bought: undefined }
  const { maxPriceChange } = policy
  if (!order || (maxPriceChange === undefined && order.budget !== undefined)) return undefined
  return { amount: highestPrice(order.price, maxPriceChange ?? 0n), bought: order.price }
}

/** The request id under which the ledger keeps the charges of an order's export. */
export function handOverId({ name, order }: Pick<Purchase, 'name' | 'order'>): string {
  return order ? `export_${name}_${order.at}` : `export_${name}`
}

/** How many vouchers of an order were exported. @throws TollwayError `store_unavailable` */
export async function handedOver(
  { ledger }: Pick<BuyingContext, 'ledger'>,
  purchase: Pick<Purchase, 'payer' | 'name' | 'order'>,
): Promise<number> {
  const { payer, order } = purchase
  const requestId = handOverId(purchase)
  const limit = 1000
  let count = 0
  for (let before; ;) {
    const page = await ledger.store.charges({ route: EXPORT_ROUTE, payer, from: order?.at, limit, before })
    for (const charge of page) {
      const left = charge.authorization !== undefined || charge.reason === 'taken_over'
      if (charge.requestId === requestId && left) count += 1
    }
    before = page.at(-1)
    if (page.length < limit) return count
  }
}

/** Whether a command continues the order of a purchase: it is not fully signed, or not fully exported. */
export function isOpen(purchase: StoredPurchase, { handOver }: OrderRequest): boolean {
  return owedOf(purchase) > 0 || (handOver === true && purchase.order?.handOver === true)
}

/**
 * Refuses to continue an order with another number or budget than its own.
 * @throws ConfigError
 */
export function assertSameOrder(
  { name, order }: StoredPurchase,
  { count, budget }: OrderRequest,
  standing: PoolStatus | undefined,
  assets: readonly Asset[],
): void {
  const pool = standing?.pool
  const asset = pool && findAsset(assets, pool.network, pool.asset)
  if (!order || !asset) return
  const limit = readAmount(budget, asset, '--budget')
  const isOther = (said: unknown, own: unknown): boolean => said !== undefined && said !== own
  if (!isOther(count, order.count) && !isOther(limit, order.budget)) return
  const options = [
    ...(order.count === undefined ? [] : [`--count ${order.count}`]),
    ...(order.budget === undefined
      ? []
      : [`--budget '${formatUnits(order.budget, asset.decimals)} ${asset.symbol}'`]),
  ].join(' ')
  throw new ConfigError(
    `${name} has an unfinished order: ${options}. Run the same command to finish it, or omit --count and --budget; \`tollway remove ${name} --now\` discards it. Nothing was signed.`,
  )
}

/** A new order. @param cost total cost of the earlier orders, smallest units */
export function newOrder(
  order: Pick<PurchaseOrder, 'at' | 'count' | 'budget' | 'size' | 'price' | 'handOver'>,
  cost: bigint,
): PurchaseOrder {
  return { ...order, ceiling: order.budget === undefined ? undefined : cost + order.budget }
}

/** Reads an amount of a token as people type it. @throws ConfigError that names the option */
export function readAmount(text: string | undefined, asset: Asset, option: string): bigint | undefined {
  if (text === undefined) return undefined
  const amount = parseSpelledAmount(text, asset)
  if (amount !== undefined && amount > 0n) return amount
  throw new ConfigError(
    `${option}: "${text}" is not an amount of ${asset.symbol}. Write ${AMOUNT_SPELLINGS.replaceAll('USDC', asset.symbol)}.`,
  )
}
