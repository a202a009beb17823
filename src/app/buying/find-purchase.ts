import { ConfigError } from '../../core/errors.ts'
import type { StoredPurchase } from '../../core/vouchers/purchase.ts'
import type { Store } from '../../io/store/store.ts'
import { unknownName } from '../../io/names/nearest-name.ts'

/** The error for an unknown purchase name. */
export function unknownPurchase(name: string, purchases: readonly { readonly name: string }[]): ConfigError {
  return new ConfigError(
    unknownName(
      'purchase',
      name,
      purchases.map((purchase) => purchase.name),
    ),
  )
}

/**
 * Finds a purchase by name.
 * @param payer only among the purchases of this payer (`--pool`)
 * @throws ConfigError if there is none, or if several payers have one
 */
export async function findPurchase(
  store: Pick<Store, 'purchases'>,
  name: string,
  payer: string | undefined,
): Promise<StoredPurchase> {
  const found = await store.purchases.list({ name, payer })
  const [purchase, other] = found
  if (!purchase) {
    throw unknownPurchase(name, await store.purchases.list({ payer }))
  }
  if (!other) return purchase
  const payers = found.map((one) => one.payer).join(', ')
  throw new ConfigError(`Several payers have a purchase "${name}": ${payers}. Choose one with --pool.`)
}
