/** The columns of vouchers and pools in the Postgres ledger. */
import type { VoucherPool } from '../../../core/vouchers/voucher.ts'
import { termsToRow } from '../rows/voucher-rows.ts'
import type { Admitted } from '../rules/voucher-rules.ts'

/** Values by column. */
export type VoucherRow = Readonly<Record<string, string | number | null>>

/** A voucher that is added: all columns but those that it gets once. */
export function voucherColumns({ voucher, usableUntil }: Admitted): VoucherRow {
  return {
    id: voucher.id,
    payer: voucher.payer,
    pool: voucher.pool,
    ...termsToRow(voucher),
    from_address: voucher.from,
    nonce: voucher.nonce,
    valid_after: voucher.validAfter,
    valid_before: voucher.validBefore,
    micro_usd: voucher.microUsd?.toString() ?? null,
    consume_key: voucher.key,
    payment: voucher.payment,
    usable_until: usableUntil,
  }
}

/** A pool: all columns but when it was created. */
export function poolColumns(pool: VoucherPool): VoucherRow {
  const { refill } = pool
  return {
    payer: pool.payer,
    name: pool.name,
    ...termsToRow(pool),
    remote_model: pool.remoteModel ?? null,
    symbol: pool.symbol,
    decimals: pool.decimals,
    refill_threshold: refill?.threshold ?? null,
    refill_count: refill?.count ?? null,
    refill_max_total: refill?.maxTotal ?? null,
    refill_max_per_day: refill?.maxPerDay?.toString() ?? null,
    refill_max_price: refill?.maxPrice?.toString() ?? null,
    draining_since: pool.drainingSince ?? null,
  }
}
