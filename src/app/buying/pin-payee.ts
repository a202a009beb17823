import type { Clock } from '../../core/clock.ts'
import type { VoucherTerms } from '../../core/vouchers/voucher.ts'
import type { Ledger } from '../../io/ledger/ledger.ts'

/** Pins the payee that vouchers are signed for, unless one is pinned already; later quotes are compared with it (rule 6). */
export async function pinPayee(
  ledger: Ledger,
  { seller, network, asset, payTo }: VoucherTerms,
  clock: Clock,
): Promise<void> {
  const apiBase = `${seller}/v1`
  const pins = await ledger.pins(apiBase)
  if (pins.some((pin) => pin.network === network && pin.asset === asset)) return
  await ledger.store.trustPin({ apiBase, network, asset, payTo, pinnedAt: clock.now() })
  await ledger.note('seller.pinned', { api_base: apiBase, network, asset, pay_to: payTo })
}
