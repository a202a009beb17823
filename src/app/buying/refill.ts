/** Refills a purchase: by command, from cron, and in the background of a gateway. */
import { ConfigError } from '../../core/errors.ts'
import { vouchersToSign } from '../../core/hooks/hook-facts.ts'
import type { StoredPurchase } from '../../core/vouchers/purchase.ts'
import { sameTerms, type AddRefusal, type PoolStatus, type VoucherPool } from '../../core/vouchers/voucher.ts'
import { fill, type Filled } from './fill.ts'
import { capOf, owedOf, payable } from './order.ts'
import type { BuyingContext } from './buying-context.ts'
import { pinPayee } from './pin-payee.ts'
import { assertWithinCap, askTerms } from './terms.ts'

/** The result of a refill. */
export interface RefillReport {
  readonly purchase: StoredPurchase
  /**
   * `refilled`; `enough`: more vouchers remain than the threshold; `no_policy`: no automatic refill; `draining`: the rest is
   * being used up; `removed`: it was used up and removed; `limit`: a limit on signed or unused vouchers left no room.
   */
  readonly result: 'refilled' | 'enough' | 'no_policy' | 'draining' | 'removed' | 'limit'
  readonly added: number
  /** Vouchers discarded because the seller's terms changed. */
  readonly dropped: number
  readonly stopped: AddRefusal | 'limit' | undefined
  /** The pool afterwards; `undefined` if it no longer exists. */
  readonly status: PoolStatus | undefined
}

/** Options of {@link refill}. */
export interface RefillOptions {
  /** Sign even if enough remain. */
  readonly force?: boolean | undefined
  /** How many to sign; default: the policy's count and what is missing of an order. */
  readonly count?: number | undefined
  /** Ask the seller even if enough remain, to find changed terms before a request does. */
  readonly refreshTerms?: boolean | undefined
  readonly signal: AbortSignal
  readonly onProgress?: ((done: number, wanted: number) => void) | undefined
}

/**
 * Refills one purchase. Changed terms within the caps are adopted: the old vouchers are discarded, since the seller no longer accepts them.
 * @throws TollwayError with the gate's codes, `price_above_limit`, `seller_unavailable`, `signer_unavailable`, `store_unavailable`
 */
export async function refill(
  context: BuyingContext,
  purchase: StoredPurchase,
  options: RefillOptions,
): Promise<RefillReport> {
  const { payer, name } = purchase
  const { force = false, refreshTerms = false, signal } = options
  const book = context.book(payer)
  const standing = await book.pool(payer, name)
  if (!standing) return { ...nothing(purchase, undefined), result: 'removed' }
  const { pool, counts } = standing
  if (pool.drainingSince !== undefined) {
    const gone = (await book.removeDrained(payer)).includes(name)
    return { ...nothing(purchase, gone ? undefined : standing), result: gone ? 'removed' : 'draining' }
  }
  const owed = owedOf(purchase)
  const policy = pool.refill
  const isLow = policy !== undefined && counts.ready <= policy.threshold
  if (!force && owed === 0 && !isLow && !refreshTerms) {
    return { ...nothing(purchase, standing), result: policy ? 'enough' : 'no_policy' }
  }
  const terms = await askTerms(
    context,
    { ...purchase, choice: { network: pool.network, token: pool.asset, method: pool.method } },
    signal,
  )
  const said = policy?.maxPrice ?? purchase.maxPrice
  assertWithinCap(terms.quote, capOf(context.config, said, purchase.order))
  const changed: VoucherPool = { ...pool, ...terms.terms }
  let dropped = 0
  if (!sameTerms(pool, changed)) {
    if (terms.pin) await pinPayee(context.ledger, terms.terms, context.clock)
    dropped = await book.define(changed)
  }
  return await top(context, purchase, changed, terms, dropped, { ...options, force })
}

/** Signs the vouchers missing of the order and those of the refill policy. */
async function top(
  context: BuyingContext,
  purchase: StoredPurchase,
  pool: VoucherPool,
  terms: Awaited<ReturnType<typeof askTerms>>,
  dropped: number,
  { force, count, signal, onProgress }: RefillOptions,
): Promise<RefillReport> {
  const { payer, name } = purchase
  const book = context.book(payer)
  const { purchases } = context.ledger.store
  const [now = purchase] = await purchases.list({ payer, name })
  const { count: owed, cut } = payable(now, pool.amount)
  // The order shrinks to what its budget covers.
  if (cut > 0) await purchases.save({ ...now, ordered: now.delivered + owed })
  const { refill: policy } = pool
  const ready = (await book.pool(payer, name))?.counts.ready ?? 0
  const isLow = policy !== undefined && ready + owed <= policy.threshold
  const asked = force === true || isLow ? (count ?? policy?.count ?? 0) : 0
  if (force === true && owed + cut + asked === 0) throw countNeeded(name)
  const more = withinBudget(asked, now, pool.amount)
  const wanted = owed + more
  const run = { book, pool, terms, signal }
  if (wanted > 0) {
    const { signedBy, model } = purchase
    await context.beforeSign?.(vouchersToSign({ payer: signedBy, model, count: wanted }, terms.quote), signal)
  }
  const first = await fill({
    ...run,
    count: owed,
    ordered: true,
    onProgress: (done) => onProgress?.(done, wanted),
  })
  const second: Filled =
    first.stopped === undefined
      ? await fill({
          ...run,
          count: more,
          ordered: false,
          onProgress: (done) => onProgress?.(first.added + done, wanted),
        })
      : { added: 0, stopped: first.stopped }
  const added = first.added + second.added
  const status = await book.pool(payer, name)
  const short = cut > 0 || more < asked ? 'budget' : undefined
  const report = { purchase: now, added, dropped, stopped: second.stopped ?? short, status }
  if (wanted === 0 && short === undefined) return { ...report, result: policy ? 'enough' : 'no_policy' }
  return { ...report, result: added === 0 ? 'limit' : 'refilled' }
}

function nothing(purchase: StoredPurchase, status: PoolStatus | undefined): Omit<RefillReport, 'result'> {
  return { purchase, added: 0, dropped: 0, stopped: undefined, status }
}

/** A refill may cost no more than the order it follows. */
function withinBudget(count: number, { order }: StoredPurchase, price: bigint): number {
  if (order?.budget === undefined) return count
  const covered = order.budget / price
  return covered < BigInt(count) ? Number(covered) : count
}

function countNeeded(name: string): ConfigError {
  return new ConfigError(
    `${name} has no refill policy. Give a number: \`tollway refill ${name} --count 100\`.`,
  )
}
