/** `tollway buy`: orders vouchers, signs them and keeps them. */
import { ConfigError, TollwayError } from '../../core/errors.ts'
import { formatUnits } from '../../core/money.ts'
import { MAX_ORDER, type StoredPurchase } from '../../core/purchase.ts'
import type { Quote } from '../../core/requirement.ts'
import { AMOUNT_SPELLINGS, parseSpelledAmount } from '../../core/spelled-amount.ts'
import type { PoolStatus, RefillPolicy, VoucherPool } from '../../core/voucher.ts'
import { readInference } from './endpoint.ts'
import { fill, type Filled } from './fill.ts'
import type { OfferChoice } from './offer-choice.ts'
import type { BuyingParts } from './parts.ts'
import { pinPayee } from './pin-payee.ts'
import { assertWithinCap, askTerms } from './terms.ts'

/** When and how a purchase is refilled, as typed. */
export interface RefillWish {
  readonly threshold?: number | undefined
  readonly count?: number | undefined
  readonly maxTotal?: number | undefined
  readonly maxSpendPerDay?: string | undefined
}

/** What `tollway buy` was told. */
export interface BuyWish {
  readonly name: string
  readonly endpoint: string
  readonly model: string
  /** Who spends the vouchers. */
  readonly payer: string
  readonly signedBy: string
  /** 1 to {@link MAX_ORDER}. */
  readonly count?: number | undefined
  readonly budget?: string | undefined
  readonly costCap?: string | undefined
  readonly refill?: RefillWish | undefined
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
  parts: BuyingParts,
  wish: BuyWish,
  signal: AbortSignal,
  onProgress?: (done: number, wanted: number) => void,
): Promise<Bought> {
  const { ledger, clock } = parts
  const before = await existing(parts, wish)
  const resumed = before !== undefined && before.delivered < before.ordered
  if (!resumed && wish.count === undefined && wish.budget === undefined) throw numberMissing()
  const asked = await askTerms(parts, wish, signal)
  const { quote, terms, signer } = asked
  const cap = readAmount(wish.costCap, quote, '--cost-cap') ?? before?.maxPrice
  assertWithinCap(quote, cap)
  const book = parts.book(wish.payer)
  const standing = await book.pool(wish.payer, wish.name)
  // Everything that can be refused is, before anything changes.
  const count = resumed ? before.ordered - before.delivered : countOf(wish, quote)
  const refill = refillOf(wish, quote, count, cap) ?? withPrice(standing?.pool.refill, cap)
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
  const delivered = (await stored(parts, wish))?.delivered ?? 0
  const wanted = resumed ? before.ordered - delivered : count
  await ledger.store.purchases.save({
    payer: wish.payer,
    name: wish.name,
    endpoint: readInference(wish.endpoint).url,
    model: wish.model,
    signedBy: wish.signedBy,
    lifeSeconds: wish.lifeSeconds,
    maxPrice: cap,
    ordered: delivered + wanted,
    createdAt: clock.now(),
  })
  await ledger.note('purchase.ordered', {
    payer: wish.payer,
    pool: wish.name,
    seller: terms.seller,
    model: wish.model,
    signed_by: wish.signedBy,
    count: wanted,
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
  return { ...filled, purchase, status, wanted, resumed, dropped }
}

/** The purchase of the name, if there is one; refuses what would mix it up with another. */
async function existing(parts: BuyingParts, wish: BuyWish): Promise<StoredPurchase | undefined> {
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
  { ledger }: BuyingParts,
  { payer, name }: BuyWish,
): Promise<StoredPurchase | undefined> {
  const [purchase] = await ledger.store.purchases.list({ payer, name })
  return purchase
}

/** How many to sign. @throws ConfigError, TollwayError `price_above_limit` when the budget does not cover it */
function countOf({ count, budget }: BuyWish, quote: Quote): number {
  const limit = readAmount(budget, quote, '--budget')
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
  { refill }: BuyWish,
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
    maxPerDay: readAmount(refill.maxSpendPerDay, quote, '--max-spend-per-day'),
    maxPrice,
  }
}

function withPrice(policy: RefillPolicy | undefined, maxPrice: bigint | undefined): RefillPolicy | undefined {
  return policy && { ...policy, maxPrice }
}

function readAmount(text: string | undefined, { asset }: Quote, option: string): bigint | undefined {
  if (text === undefined) return undefined
  const amount = parseSpelledAmount(text, asset)
  if (amount !== undefined && amount > 0n) return amount
  throw new ConfigError(
    `${option}: "${text}" is not an amount of ${asset.symbol}. Write ${AMOUNT_SPELLINGS.replaceAll('USDC', asset.symbol)}.`,
  )
}
