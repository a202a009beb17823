/** `tollway buy`: orders vouchers, signs them and keeps them. */
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

/** When and how a purchase is refilled, as typed. */
export interface RefillRequest {
  readonly threshold?: number | undefined
  readonly count?: number | undefined
  readonly maxTotal?: number | undefined
  readonly maxSpendPerDay?: string | undefined
}

/** What `tollway buy` was told. */
export interface BuyRequest extends OrderRequest {
  readonly name: string
  readonly endpoint: string
  readonly model: string
  /** Who spends the vouchers. */
  readonly payer: string
  readonly signedBy: string
  /** 1 to {@link MAX_ORDER}. */
  readonly count?: number | undefined
  readonly costCap?: string | undefined
  readonly refill?: RefillRequest | undefined
  readonly choice: OfferChoice
  readonly lifeSeconds: number
  /** Signs although the wallet's balance does not cover it. */
  readonly force?: boolean | undefined
}

/** What it came to. */
export interface Bought extends Filled {
  readonly purchase: StoredPurchase
  readonly status: PoolStatus
  /** How many this run was to sign. */
  readonly wanted: number
  /** Whether it continued an order that was cut off. */
  readonly resumed: boolean
  /** Vouchers given up because the seller's terms changed. */
  readonly dropped: number
}

/** Name of a purchase: it becomes part of file names and of an upstream's path. */
const NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/

/**
 * Buys. A run of the same name while an order is not delivered in full continues it.
 * @throws ConfigError when it cannot be meant
 * @throws TollwayError with the gate's codes, `seller_unavailable`, `signer_unavailable`, `insufficient_funds`, `store_unavailable`
 */
export async function buy(
  parts: BuyingContext,
  wish: BuyRequest,
  signal: AbortSignal,
  onProgress?: (done: number, wanted: number) => void,
): Promise<Bought> {
  const { config, ledger, clock } = parts
  const before = await existing(parts, wish)
  const book = parts.book(wish.payer)
  const standing = await book.pool(wish.payer, wish.name)
  const resumed = before !== undefined && isOpen(before, wish)
  if (resumed) assertSameOrder(before, wish, standing, config.assets)
  else if (wish.count === undefined && wish.budget === undefined) throw numberMissing()
  if (resumed && standing && owedOf(before) === 0) {
    // Signed in full, and not handed over in full.
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
  const asked = await askTerms(parts, wish, signal)
  const { quote, terms, signer } = asked
  assertSameToken(standing?.pool, quote)
  const said = readAmount(wish.costCap, quote.asset, '--cost-cap') ?? before?.maxPrice
  assertWithinCap(quote, capOf(config, said, resumed ? before.order : undefined))
  // Everything that can be refused is, before anything changes.
  const count = resumed ? payable(before, quote.amount).count : countOf(wish, quote)
  const refill = refillOf(wish, quote, count, said) ?? withPrice(standing?.pool.refill, said)
  if (wish.force !== true) await signer.ready?.(quote, signal, BigInt(count))
  const pool: VoucherPool = {
    ...terms,
    payer: wish.payer,
    name: wish.name,
    remoteModel: wish.model,
    symbol: quote.asset.symbol,
    decimals: quote.asset.decimals,
    refill,
    drainingSince: undefined,
  }
  if (asked.pin) await pinPayee(ledger, terms, clock)
  const dropped = await book.define(pool)
  // What was dropped is not delivered any more.
  const now = await stored(parts, wish)
  const { delivered, cost } = now ?? { delivered: 0, cost: 0n }
  const part = resumed && now ? payable(now, quote.amount) : { count, cut: 0 }
  const wanted = part.count
  const handOver = wish.handOver === true
  const at = clock.now()
  const order = resumed
    ? before.order && { ...before.order, handOver: handOver || before.order.handOver }
    : newOrder(
        {
          at,
          count: wish.count,
          budget: readAmount(wish.budget, quote.asset, '--budget'),
          size: count,
          price: quote.amount,
          handOver,
        },
        cost,
      )
  await ledger.store.purchases.save({
    payer: wish.payer,
    name: wish.name,
    endpoint: readInference(wish.endpoint).url,
    model: wish.model,
    signedBy: wish.signedBy,
    lifeSeconds: wish.lifeSeconds,
    maxPrice: said,
    // What the budget does not cover is ordered no more.
    ordered: delivered + wanted,
    createdAt: at,
    order,
  })
  await ledger.note('purchase.ordered', {
    payer: wish.payer,
    pool: wish.name,
    seller: terms.seller,
    model: wish.model,
    signed_by: wish.signedBy,
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
  const purchase = await stored(parts, wish)
  const status = await book.pool(wish.payer, wish.name)
  if (!purchase || !status) {
    throw new ConfigError(`${wish.name} was removed while it was being bought. Run \`tollway buy\` again.`)
  }
  const stopped = filled.stopped ?? (part.cut > 0 ? 'budget' : undefined)
  return { ...filled, stopped, purchase, status, wanted, resumed, dropped }
}

/** What orders cost is added up: in one token. */
function assertSameToken(pool: VoucherPool | undefined, { asset }: Quote): void {
  if (!pool || (pool.network === asset.network && pool.asset === asset.address)) return
  throw new ConfigError(
    `${pool.name} is bought in ${pool.symbol} on ${pool.network}, and this offer is in ${asset.symbol} on ${asset.network}. Choose the same with --token and --network, or run \`tollway remove ${pool.name} --now\` first.`,
  )
}

/** The purchase of the name, if there is one; refuses what would mix it up with another. */
async function existing(parts: BuyingContext, wish: BuyRequest): Promise<StoredPurchase | undefined> {
  if (!NAME.test(wish.name)) {
    throw new ConfigError(
      `"${wish.name}" cannot name a purchase: small letters, digits, - and _, beginning with a letter or digit, at most 63.`,
    )
  }
  const { url } = readInference(wish.endpoint)
  const purchases = await parts.ledger.store.purchases.list({ payer: wish.payer })
  const same = purchases.find(({ name }) => name === wish.name)
  if (same && (same.endpoint !== url || same.model !== wish.model)) {
    throw new ConfigError(
      `${wish.name} buys ${same.model} at ${same.endpoint} already. Give this purchase another name.`,
    )
  }
  const rival = purchases.find(({ name, model }) => name !== wish.name && model === wish.model)
  if (rival) {
    throw new ConfigError(
      `Model ${wish.model} is bought by ${rival.name} already. Top up ${rival.name} instead of making a second pool.`,
    )
  }
  const standing = await parts.book(wish.payer).pool(wish.payer, wish.name)
  if (standing?.pool.drainingSince !== undefined) {
    throw new ConfigError(
      `${wish.name} is being used up. Wait until it is gone, or run \`tollway remove ${wish.name} --now\` first.`,
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

/** How many to sign. @throws ConfigError, TollwayError `price_above_limit` when the budget does not cover it */
function countOf({ count, budget }: BuyRequest, quote: Quote): number {
  const limit = readAmount(budget, quote.asset, '--budget')
  const units = (value: bigint): string => `${formatUnits(value, quote.asset.decimals)} ${quote.asset.symbol}`
  if (limit === undefined) {
    if (count !== undefined) return count
    throw numberMissing()
  }
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

function numberMissing(): ConfigError {
  return new ConfigError('Say how many to buy: --count 100, or --budget 1.50 for as many as that buys.')
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
