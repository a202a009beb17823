/** Converts vouchers and pools to rows and back, as strictly as rows.ts. */
import type { AuthorizationMethod } from '../../../core/money/assets.ts'
import type { Voucher, VoucherPool, VoucherTerms } from '../../../core/vouchers/voucher.ts'
import type { Admitted } from '../rules/voucher-rules.ts'
import { amount, integer, oneOf, optionalText, rowToMicroUsd, text, type Row } from './rows.ts'

const METHODS: readonly AuthorizationMethod[] = ['eip3009', 'permit2']

/** The columns of terms. */
function termsToRow(terms: VoucherTerms): Record<string, string> {
  const { seller, network, asset, payTo, method } = terms
  return { seller, network, asset, pay_to: payTo, amount: terms.amount.toString(), method }
}

/** Terms from a row of `vouchers` or `voucher_pools`. */
export function rowToTerms(row: Row): VoucherTerms {
  return {
    seller: text(row, 'seller'),
    network: text(row, 'network'),
    asset: text(row, 'asset'),
    payTo: text(row, 'pay_to'),
    amount: amount(row, 'amount'),
    method: oneOf(row, 'method', METHODS),
  }
}

/** A row of `vouchers`. */
export function rowToVoucher(row: Row): Voucher {
  return {
    ...rowToTerms(row),
    id: text(row, 'id'),
    payer: text(row, 'payer'),
    pool: text(row, 'pool'),
    from: text(row, 'from_address'),
    nonce: text(row, 'nonce'),
    validAfter: integer(row, 'valid_after'),
    validBefore: integer(row, 'valid_before'),
    key: text(row, 'consume_key'),
    microUsd: rowToMicroUsd(row),
  }
}

/** A row of `voucher_pools`. */
export function rowToPool(row: Row): VoucherPool {
  const count = (name: string): number | undefined => (row[name] === null ? undefined : integer(row, name))
  const units = (name: string): bigint | undefined => (row[name] === null ? undefined : amount(row, name))
  return {
    ...rowToTerms(row),
    payer: text(row, 'payer'),
    name: text(row, 'name'),
    remoteModel: optionalText(row, 'remote_model'),
    symbol: text(row, 'symbol'),
    decimals: integer(row, 'decimals'),
    refill:
      row['refill_count'] === null
        ? undefined
        : {
            threshold: integer(row, 'refill_threshold'),
            count: integer(row, 'refill_count'),
            maxTotal: count('refill_max_total'),
            maxPerDay: units('refill_max_per_day'),
            maxPrice: units('refill_max_price'),
          },
    drainingSince: count('draining_since'),
  }
}

/** `voucherState()` in SQL. The first parameter is the time, milliseconds since the epoch. */
export const VOUCHER_STATE_SQL = `CASE charges.state
  WHEN 'held' THEN 'held' WHEN 'authorized' THEN 'held' WHEN 'settled' THEN 'spent'
  WHEN 'uncertain' THEN 'uncertain' WHEN 'released' THEN 'expired'
  ELSE coalesce(vouchers.closed, CASE WHEN vouchers.usable_until > ? THEN 'ready' ELSE 'expired' END) END`

/** Vouchers with the charges that claimed them. */
export const VOUCHERS_WITH_CHARGES = 'vouchers LEFT JOIN charges ON charges.id = vouchers.charge'

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
