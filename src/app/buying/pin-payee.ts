import type { Clock } from '../../core/clock.ts'
import type { VoucherTerms } from '../../core/vouchers/voucher.ts'
import type { LedgerUse } from '../../io/ledger/ledger-use.ts'

/** Pins the payee that vouchers are signed for, unless one is pinned already; later quotes are compared with it (rule 6). */
export async function pinPayee(
  ledger: LedgerUse<'note', 'notePin'>,
  { seller, network, asset, payTo }: VoucherTerms,
  clock: Clock,
): Promise<void> {
  const apiBase = `${seller}/v1`
  const isNew = await ledger.store.notePin({ apiBase, network, asset, payTo, pinnedAt: clock.now() })
  if (!isNew) return
  await ledger.note('seller.pinned', { api_base: apiBase, network, asset, pay_to: payTo })
}
