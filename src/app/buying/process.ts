/** `tollway process`: looks after purchases, as cron does it. One that fails does not stop the others. */
import { TollwayError } from '../../core/errors.ts'
import type { StoredPurchase } from '../../core/vouchers/purchase.ts'
import type { BuyingContext } from './buying-context.ts'
import { refill, type RefillReport } from './refill.ts'

/** What became of one purchase. */
export type Processed =
  | { readonly ok: true; readonly report: RefillReport }
  | { readonly ok: false; readonly purchase: StoredPurchase; readonly error: TollwayError }

/**
 * Looks after purchases, one after the other. Every failure is recorded.
 * @throws what is not of one purchase: `store_unavailable`, `audit_unavailable`
 */
export async function processPurchases(
  parts: BuyingContext,
  purchases: readonly StoredPurchase[],
  signal: AbortSignal,
  onProgress?: (purchase: StoredPurchase, done: number, wanted: number) => void,
): Promise<Processed[]> {
  const results: Processed[] = []
  for (const purchase of purchases) {
    try {
      const report = await refill(parts, purchase, {
        look: true,
        signal,
        onProgress: (done, wanted) => onProgress?.(purchase, done, wanted),
      })
      results.push({ ok: true, report })
    } catch (error) {
      signal.throwIfAborted()
      const told = failure(error)
      await noteRefusal(parts, 'process', purchase, told)
      results.push({ ok: false, purchase, error: told })
    }
  }
  return results
}

/** A mistake in one purchase's configuration (a payer that is gone) is that purchase's failure. */
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

/** Records that a purchase was refused or failed; nothing was signed for it. */
export async function noteRefusal(
  { ledger }: Pick<BuyingContext, 'ledger'>,
  verb: string,
  { payer, name, endpoint, model }: Pick<StoredPurchase, 'payer' | 'name' | 'endpoint' | 'model'>,
  error: TollwayError,
): Promise<void> {
  const { code, details } = error
  await ledger.note('purchase.refused', { verb, payer, pool: name, endpoint, model, code, details })
}
