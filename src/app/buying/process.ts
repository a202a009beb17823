/** `tollway process`: maintains purchases, for example from cron. A failing purchase does not stop the others. */
import { TollwayError } from '../../core/errors.ts'
import type { StoredPurchase } from '../../core/vouchers/purchase.ts'
import type { BuyingContext } from './buying-context.ts'
import { refill, type RefillReport } from './refill.ts'

/** The result for one purchase. */
export type Processed =
  | { readonly ok: true; readonly report: RefillReport }
  | { readonly ok: false; readonly purchase: StoredPurchase; readonly error: TollwayError }

/**
 * Maintains purchases one by one. Every failure is recorded.
 * @throws TollwayError `store_unavailable`, `audit_unavailable`, which affect all purchases
 */
export async function processPurchases(
  context: BuyingContext,
  purchases: readonly StoredPurchase[],
  signal: AbortSignal,
  onProgress?: (purchase: StoredPurchase, done: number, wanted: number) => void,
): Promise<Processed[]> {
  const results: Processed[] = []
  for (const purchase of purchases) {
    try {
      const report = await refill(context, purchase, {
        refreshTerms: true,
        signal,
        onProgress: (done, wanted) => onProgress?.(purchase, done, wanted),
      })
      results.push({ ok: true, report })
    } catch (error) {
      signal.throwIfAborted()
      const cause = failure(error)
      await noteRefusal(context, 'process', purchase, cause)
      results.push({ ok: false, purchase, error: cause })
    }
  }
  return results
}

/** A configuration mistake of one purchase (such as a missing payer) fails only that purchase. */
function failure(error: unknown): TollwayError {
  if (error instanceof TollwayError) {
    if (error.code === 'store_unavailable' || error.code === 'audit_unavailable') throw error
    return error
  }
  if (error instanceof Error && error.name === 'ConfigError') {
    return new TollwayError({ code: 'signer_unavailable', message: error.message, cause: error })
  }
  throw error
}

/** Records that a purchase was refused or failed, with nothing signed. */
export async function noteRefusal(
  { ledger }: Pick<BuyingContext, 'ledger'>,
  verb: string,
  { payer, name, endpoint, model }: Pick<StoredPurchase, 'payer' | 'name' | 'endpoint' | 'model'>,
  error: TollwayError,
): Promise<void> {
  const { code, details } = error
  await ledger.note('purchase.refused', { verb, payer, pool: name, endpoint, model, code, details })
}
