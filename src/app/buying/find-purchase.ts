import { ConfigError } from '../../core/errors.ts'
import type { StoredPurchase } from '../../core/vouchers/purchase.ts'
import type { Store } from '../../io/store/store.ts'
import { unknownName } from '../../io/names/nearest-name.ts'

/** The error for a name that no purchase has. */
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
 * The purchase with a name.
 * @param payer only of this payer (`--pool`)
 * @throws ConfigError when there is none, or several payers have one
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
  throw new ConfigError(`Several payers have a purchase "${name}": ${payers}. Name one with --pool.`)
}
