/** `tollway buy`: orders vouchers, signs them and stores them. */
import { ConfigError, TollwayError } from '../../core/errors.ts'
import { formatUnits } from '../../core/money/money.ts'
import { MAX_ORDER, type StoredPurchase } from '../../core/vouchers/purchase.ts'
import type { Quote } from '../../core/policy/gate.ts'
import type { PoolStatus, RefillPolicy, VoucherPool } from '../../core/vouchers/voucher.ts'
import { readInference } from './endpoint.ts'
import { fill, type Filled } from './fill.ts'
import type { OfferChoice } from './offer-choice.ts'
import {
  assertSameOrder,
  capOf,
  isOpen,
  newOrder,
  owedOf,
  payable,
  readAmount,
  type OrderRequest,
} from './order.ts'
import type { BuyingContext } from './buying-context.ts'
import { pinPayee } from './pin-payee.ts'
import { assertWithinCap, askTerms } from './terms.ts'

/** The refill policy, as typed. */
export interface RefillRequest {
  readonly threshold?: number | undefined
  readonly count?: number | undefined
  readonly maxTotal?: number | undefined
  readonly maxSpendPerDay?: string | undefined
}

/** The arguments of `tollway buy`. */
export interface BuyRequest extends OrderRequest {
  readonly name: string
  readonly endpoint: string
  readonly model: string
  /** The payer that spends the vouchers. */
  readonly payer: string
  readonly signedBy: string
  /** 1 to {@link MAX_ORDER}. */
  readonly count?: number | undefined
  readonly costCap?: string | undefined
  readonly refill?: RefillRequest | undefined
  readonly choice: OfferChoice
  readonly lifeSeconds: number
  /** Sign even if the wallet's balance does not cover it. */
  readonly force?: boolean | undefined
}

/** The result of a run. */
export interface Bought extends Filled {
  readonly purchase: StoredPurchase
  readonly status: PoolStatus
  /** Number of vouchers this run was to sign. */
  readonly wanted: number
  /** Whether it continued an interrupted order. */
  readonly resumed: boolean
  /** Vouchers discarded because the seller's terms changed. */
  readonly dropped: number
}

/** What an order without a number or a budget may cost, smallest units: buy.py's default, 100 USDC. */
const DEFAULT_BUDGET = '100000000'

/** An order with neither number nor budget buys as many as the default budget covers, {@link MAX_ORDER} at most. */
function withSize(request: BuyRequest): BuyRequest {
  const isSized = request.count !== undefined || request.budget !== undefined
  return isSized ? request : { ...request, budget: DEFAULT_BUDGET }
}

/** Name of a purchase: it becomes part of file names and of an upstream's path. */
const NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/

/**
 * Buys vouchers. Run again under the same name, it continues an incomplete order.
 * @throws ConfigError for invalid or contradictory arguments
 * @throws TollwayError with the gate's codes, `seller_unavailable`, `signer_unavailable`, `insufficient_funds`, `store_unavailable`
 */
export async function buy(
  context: BuyingContext,
  given: BuyRequest,
  signal: AbortSignal,
  onProgress?: (done: number, wanted: number) => void,
): Promise<Bought> {
  const { config, ledger, clock } = context
  const before = await existing(context, given)
  const book = context.book(given.payer)
  const standing = await book.pool(given.payer, given.name)
  const resumed = before !== undefined && isOpen(before, given)
  const request = resumed ? given : withSize(given)
  if (resumed) assertSameOrder(before, request, standing, config.assets)
  if (resumed && standing && owedOf(before) === 0) {
    // Fully signed, but not fully exported.
    return {
      added: 0,
      stopped: undefined,
      purchase: before,
      status: standing,
      wanted: 0,
      resumed,
      dropped: 0,
    }
  }
  const asked = await askTerms(context, request, signal)
  const { quote, terms, signer } = asked
  assertSameToken(standing?.pool, quote)
  const said = readAmount(request.costCap, quote.asset, '--cost-cap') ?? before?.maxPrice
  assertWithinCap(quote, capOf(config, said, resumed ? before.order : undefined))
  // Everything that can be refused is refused before anything changes.
  const count = resumed ? payable(before, quote.amount).count : countOf(request, quote)
  const refill = refillOf(request, quote, count, said) ?? withPrice(standing?.pool.refill, said)
  if (request.force !== true) await signer.ready?.(quote, signal, BigInt(count))
  const pool: VoucherPool = {
    ...terms,
    payer: request.payer,
    name: request.name,
    remoteModel: request.model,
    symbol: quote.asset.symbol,
    decimals: quote.asset.decimals,
    refill,
    drainingSince: undefined,
  }
  if (asked.pin) await pinPayee(ledger, terms, clock)
  const dropped = await book.define(pool)
  // Dropped vouchers no longer count as delivered.
  const now = await stored(context, request)
  const { delivered, cost } = now ?? { delivered: 0, cost: 0n }
  const part = resumed && now ? payable(now, quote.amount) : { count, cut: 0 }
  const wanted = part.count
  const handOver = request.handOver === true
  const at = clock.now()
  const order = resumed
    ? before.order && { ...before.order, handOver: handOver || before.order.handOver }
    : newOrder(
        {
          at,
          count: request.count,
          budget: readAmount(request.budget, quote.asset, '--budget'),
          size: count,
          price: quote.amount,
          handOver,
        },
        cost,
      )
  await ledger.store.purchases.save({
    payer: request.payer,
    name: request.name,
    endpoint: readInference(request.endpoint).url,
    model: request.model,
    signedBy: request.signedBy,
    lifeSeconds: request.lifeSeconds,
    maxPrice: said,
    // The order shrinks to what its budget covers.
    ordered: delivered + wanted,
    createdAt: at,
    order,
  })
  await ledger.note('purchase.ordered', {
    payer: request.payer,
    pool: request.name,
    seller: terms.seller,
    model: request.model,
    signed_by: request.signedBy,
    count: wanted,
    cut: part.cut,
    budget: order?.budget?.toString() ?? null,
    resumed,
    price: terms.amount.toString(),
    asset: terms.asset,
    network: terms.network,
    dropped,
  })
  onProgress?.(0, wanted)
  const filled = await fill({
    book,
    pool,
    terms: asked,
    count: wanted,
    ordered: true,
    signal,
    onProgress: (done) => onProgress?.(done, wanted),
  })
  const purchase = await stored(context, request)
  const status = await book.pool(request.payer, request.name)
  if (!purchase || !status) {
    throw new ConfigError(
      `${request.name} was removed during this run. Run \`tollway buy\` again to start a new purchase.`,
    )
  }
  const stopped = filled.stopped ?? (part.cut > 0 ? 'budget' : undefined)
  return { ...filled, stopped, purchase, status, wanted, resumed, dropped }
}

/** The cost of orders is a sum in one token, so the token cannot change. */
function assertSameToken(pool: VoucherPool | undefined, { asset }: Quote): void {
  if (!pool || (pool.network === asset.network && pool.asset === asset.address)) return
  throw new ConfigError(
    `${pool.name} is bought in ${pool.symbol} on ${pool.network}, but this offer is in ${asset.symbol} on ${asset.network}. Choose the same token with --token and --network, or run \`tollway remove ${pool.name} --now\` first.`,
  )
}

/** The purchase with this name, if any. @throws ConfigError if the request would mix it up with another purchase */
async function existing(context: BuyingContext, request: BuyRequest): Promise<StoredPurchase | undefined> {
  if (!NAME.test(request.name)) {
    throw new ConfigError(
      `"${request.name}" is not a valid purchase name. Use up to 63 lower-case letters, digits, - and _, starting with a letter or digit.`,
    )
  }
  const { url } = readInference(request.endpoint)
  const purchases = await context.ledger.store.purchases.list({ payer: request.payer })
  const same = purchases.find(({ name }) => name === request.name)
  if (same && (same.endpoint !== url || same.model !== request.model)) {
    throw new ConfigError(
      `${request.name} already buys ${same.model} at ${same.endpoint}. Give this purchase another name.`,
    )
  }
  const rival = purchases.find(({ name, model }) => name !== request.name && model === request.model)
  if (rival) {
    throw new ConfigError(
      `Model ${request.model} is already bought by ${rival.name}. Add to ${rival.name} instead of creating a second pool.`,
    )
  }
  const standing = await context.book(request.payer).pool(request.payer, request.name)
  if (standing?.pool.drainingSince !== undefined) {
    throw new ConfigError(
      `${request.name} is being removed. Wait until its vouchers are used up, or run \`tollway remove ${request.name} --now\` first.`,
    )
  }
  return same
}

async function stored(
  { ledger }: BuyingContext,
  { payer, name }: BuyRequest,
): Promise<StoredPurchase | undefined> {
  const [purchase] = await ledger.store.purchases.list({ payer, name })
  return purchase
}

/** The number of vouchers to sign. @throws ConfigError, TollwayError `price_above_limit` if the budget does not cover it */
function countOf({ count, budget }: BuyRequest, quote: Quote): number {
  const limit = readAmount(budget, quote.asset, '--budget')
  const units = (value: bigint): string => `${formatUnits(value, quote.asset.decimals)} ${quote.asset.symbol}`
  if (limit === undefined) return count ?? MAX_ORDER
  const affordable = limit / quote.amount
  if (affordable === 0n || (count !== undefined && BigInt(count) > affordable)) {
    const what = count === undefined || affordable === 0n ? 'one' : String(count)
    const cost = quote.amount * BigInt(what === 'one' ? 1 : (count ?? 1))
    throw new TollwayError({
      code: 'price_above_limit',
      message: `The budget of ${units(limit)} does not cover ${what}, which costs ${units(cost)}; nothing was signed.`,
      advice: ['Give a larger --budget or a smaller --count.'],
    })
  }
  return count ?? Number(affordable < BigInt(MAX_ORDER) ? affordable : BigInt(MAX_ORDER))
}

function refillOf(
  { refill }: BuyRequest,
  quote: Quote,
  wanted: number,
  maxPrice: bigint | undefined,
): RefillPolicy | undefined {
  if (!refill) return undefined
  const count = refill.count ?? wanted
  return {
    count,
    threshold: refill.threshold ?? (count <= 1 ? 0 : Math.max(1, Math.floor(count / 5))),
    maxTotal: refill.maxTotal,
    maxPerDay: readAmount(refill.maxSpendPerDay, quote.asset, '--max-spend-per-day'),
    maxPrice,
  }
}

function withPrice(policy: RefillPolicy | undefined, maxPrice: bigint | undefined): RefillPolicy | undefined {
  return policy && { ...policy, maxPrice }
}
