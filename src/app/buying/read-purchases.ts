/** Reads purchases without touching a key, for `tollway list` and `status`. */
import type { StoredPurchase } from '../../core/vouchers/purchase.ts'
import type { PoolStatus } from '../../core/vouchers/voucher.ts'
import { openExistingStore } from '../../io/ledger/open-store.ts'
import type { Store } from '../../io/store/store.ts'
import { assertShared } from '../operations/command-ledger.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'

/** A purchase and its pool. */
export interface KnownPurchase {
  readonly purchase: StoredPurchase
  readonly status: PoolStatus | undefined
  readonly elsewhere: number
}

/**
 * Reads all purchases, or those with a given name.
 * @param now milliseconds since the epoch
 * @throws NoLedgerError; TollwayError `store_unavailable`
 */
export async function readPurchases(
  config: Pick<ResolvedConfig, 'store'>,
  now: number,
  query: { readonly name?: string | undefined; readonly payer?: string | undefined } = {},
): Promise<KnownPurchase[]> {
  assertShared(config)
  const store = await openExistingStore(config.store)
  try {
    return await knownPurchases(store, now, query)
  } finally {
    await store.close()
  }
}

/** The same, from an open store. */
export async function knownPurchases(
  store: Pick<Store, 'purchases' | 'vouchers'>,
  now: number,
  query: { readonly name?: string | undefined; readonly payer?: string | undefined } = {},
): Promise<KnownPurchase[]> {
  const pools = await store.vouchers.pools({ at: now })
  const purchases = await store.purchases.list(query)
  return await Promise.all(
    purchases.map(async (purchase) => {
      const { payer, name } = purchase
      const status = pools.find(({ pool }) => pool.payer === payer && pool.name === name)
      const elsewhere = (await store.vouchers.exported(payer, name, now)).length
      return { purchase, status, elsewhere }
    }),
  )
}
