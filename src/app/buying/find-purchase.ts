import { ConfigError } from '../../core/errors.ts'
import type { StoredPurchase } from '../../core/vouchers/purchase.ts'
import type { Store } from '../../io/store/store.ts'

/**
 * The purchase of a name.
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
    throw new ConfigError(`There is no purchase "${name}". \`tollway list\` shows those that are there.`)
  }
  if (!other) return purchase
  const payers = found.map((one) => one.payer).join(', ')
  throw new ConfigError(`Several payers have a purchase "${name}": ${payers}. Name one with --pool.`)
}
