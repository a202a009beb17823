/** `tollway remove`: removes a purchase once its vouchers are used up. Exported vouchers are reported; they cannot be taken back. */
import type { StoredPurchase } from '../../core/vouchers/purchase.ts'
import type { BuyingContext } from './buying-context.ts'

/** The result of a removal. */
export interface Removed {
  readonly purchase: StoredPurchase
  /** `removed`: it no longer exists. `draining`: its remaining vouchers are used up first. */
  readonly result: 'removed' | 'draining'
  /** Unused vouchers that were discarded. */
  readonly dropped: number
  readonly ready: number
  /** Vouchers in use by requests. */
  readonly held: number
  /** Exported vouchers that are not known to be used. */
  readonly elsewhere: number
  /** When the last remaining voucher expires, Unix seconds. */
  readonly until: number | undefined
}

/**
 * Removes a purchase.
 * @param now discard unused vouchers instead of letting them be used up
 * @throws TollwayError `store_unavailable`
 */
export async function remove(
  context: BuyingContext,
  purchase: StoredPurchase,
  now: boolean,
): Promise<Removed> {
  const { payer, name } = purchase
  const { clock } = context
  const book = context.book(payer)
  const standing = await book.pool(payer, name)
  // With any terms: the other program may still use them.
  const exported = standing ? await book.store.exported(payer, name, clock.now()) : []
  const common = { purchase, elsewhere: exported.length }
  if (!standing) {
    // A purchase without a pool has no vouchers.
    await book.store.remove(payer, name)
    return { ...common, result: 'removed', dropped: 0, ready: 0, held: 0, until: undefined }
  }
  const { pool } = standing
  const left = await book.store.list({
    payer,
    pool: name,
    states: ['ready', 'held'],
    limit: 1000,
    at: clock.now(),
  })
  const handed = new Set(exported.map(({ id }) => id))
  const own = left.filter(({ id }) => !handed.has(id))
  const ready = own.filter(({ state }) => state === 'ready').length
  const until = [...own, ...exported].reduce<number | undefined>(
    (latest, { validBefore }) => Math.max(latest ?? 0, validBefore),
    undefined,
  )
  if (now || own.length === 0) {
    const dropped = await book.remove(pool)
    return { ...common, result: 'removed', dropped, ready: 0, held: own.length - ready, until }
  }
  await book.drain(pool)
  return { ...common, result: 'draining', dropped: 0, ready, held: own.length - ready, until }
}
