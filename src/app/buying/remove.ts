/** `tollway remove`: lets a purchase be used up and then forgets it; what other programs hold is told, it cannot be taken back. */
import type { StoredPurchase } from '../../core/vouchers/purchase.ts'
import type { BuyingContext } from './buying-context.ts'

/** What it came to. */
export interface Removed {
  readonly purchase: StoredPurchase
  /** `removed`: it is gone. `draining`: what is left is used up first. */
  readonly result: 'removed' | 'draining'
  /** Free ones that were given up. */
  readonly dropped: number
  readonly ready: number
  /** On their way. */
  readonly held: number
  /** Handed to another program and not known to be used. */
  readonly elsewhere: number
  /** When the last of those that are left ends, Unix seconds. */
  readonly until: number | undefined
}

/**
 * Removes a purchase.
 * @param now gives up what is free instead of letting it be used up
 * @throws TollwayError `store_unavailable`
 */
export async function remove(parts: BuyingContext, purchase: StoredPurchase, now: boolean): Promise<Removed> {
  const { payer, name } = purchase
  const { clock } = parts
  const book = parts.book(payer)
  const standing = await book.pool(payer, name)
  // Of whatever terms: whoever has them may still use them.
  const exported = standing ? await book.store.exported(payer, name, clock.now()) : []
  const common = { purchase, elsewhere: exported.length }
  if (!standing) {
    // A purchase without a pool holds nothing.
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
