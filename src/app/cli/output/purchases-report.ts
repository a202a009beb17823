/** Purchases for people and for programs. */
import { findNetwork } from '../../../core/money/assets.ts'
import { formatUnits, formatUsd } from '../../../core/money/money.ts'
import type { StoredPurchase } from '../../../core/vouchers/purchase.ts'
import type { PoolStatus } from '../../../core/vouchers/voucher.ts'
import type { KnownPurchase } from '../../buying/read-purchases.ts'
import { renderTable } from './table.ts'

/** One purchase as JSON. Amounts are decimal strings in smallest units. */
export function purchaseJson({
  purchase,
  status,
  elsewhere,
}: KnownPurchase): Readonly<Record<string, unknown>> {
  const { payer, name, endpoint, model, signedBy, ordered, delivered, maxPrice } = purchase
  const pool = status?.pool
  return {
    name,
    payer,
    endpoint,
    model,
    public_model: `paid/${model}`,
    signed_by: signedBy,
    ordered,
    delivered,
    price: pool?.amount.toString() ?? null,
    symbol: pool?.symbol ?? null,
    decimals: pool?.decimals ?? null,
    network: pool?.network ?? null,
    asset: pool?.asset ?? null,
    pay_to: pool?.payTo ?? null,
    method: pool?.method ?? null,
    max_price: maxPrice?.toString() ?? null,
    cost: purchase.cost.toString(),
    budget: purchase.order?.budget?.toString() ?? null,
    remaining: status?.counts.ready ?? 0,
    counts: status ? { ...status.counts } : null,
    handed_over: elsewhere,
    exposure: status?.exposure.toString() ?? '0',
    exposure_usd: formatUsd(status?.exposureMicroUsd ?? 0n),
    earliest_expiry: formatTime(status?.earliestExpiry),
    draining: pool?.drainingSince !== undefined,
    auto_refill: refillJson(status),
  }
}

function refillJson(status: PoolStatus | undefined): Readonly<Record<string, unknown>> | null {
  const refill = status?.pool.refill
  if (!refill) return null
  return {
    threshold: refill.threshold,
    count: refill.count,
    max_total: refill.maxTotal ?? null,
    max_spend_per_day: refill.maxPerDay?.toString() ?? null,
    max_price: refill.maxPrice?.toString() ?? null,
  }
}

/** The list as a table. */
export function renderPurchases(views: readonly KnownPurchase[]): string {
  if (views.length === 0) return 'No purchases yet. See `tollway buy --help`.\n'
  const rows = views.map(({ purchase, status, elsewhere }) => [
    purchase.name,
    purchase.model,
    String(status?.counts.ready ?? 0),
    String(status?.counts.spent ?? 0),
    String(status?.counts.expired ?? 0),
    price(status),
    network(status),
    describeRefill(status),
    notes(purchase, status, elsewhere),
  ])
  return renderTable(['NAME', 'MODEL', 'LEFT', 'SPENT', 'EXPIRED', 'PRICE', 'NETWORK', 'REFILL', ''], rows)
}

/** One purchase in full. */
export function renderPurchase({ purchase, status, elsewhere }: KnownPurchase): string {
  const { name, payer, endpoint, model, signedBy, ordered, delivered } = purchase
  const counts = status?.counts
  const exposure = status
    ? `${formatUnits(status.exposure, status.pool.decimals)} ${status.pool.symbol} ($${formatUsd(status.exposureMicroUsd)})`
    : '-'
  return [
    renderTable(
      ['PURCHASE', name],
      [
        ['model', `${model}, served as paid/${model}`],
        ['seller', endpoint],
        ['paid to', status?.pool.payTo ?? '-'],
        ['price', `${price(status)} on ${network(status)}`],
        ['spent by', payer],
        ['signed by', signedBy],
        ['ordered', `${ordered}, ${delivered} of them signed`],
        ['unused value', exposure],
        ['first expiry', formatTime(status?.earliestExpiry) ?? '-'],
        ['refill', describeRefill(status)],
        ['exported', String(elsewhere)],
      ],
    ),
    counts
      ? renderTable(
          ['LEFT', 'HELD', 'SPENT', 'UNCERTAIN', 'EXPIRED', 'DROPPED'],
          [
            [counts.ready, counts.held, counts.spent, counts.uncertain, counts.expired, counts.dropped].map(
              String,
            ),
          ],
        )
      : 'Its voucher pool no longer exists.\n',
  ].join('\n')
}

function price(status: PoolStatus | undefined): string {
  return status ? `${formatUnits(status.pool.amount, status.pool.decimals)} ${status.pool.symbol}` : '-'
}

function network(status: PoolStatus | undefined): string {
  return status ? (findNetwork(status.pool.network)?.alias ?? status.pool.network) : '-'
}

function describeRefill(status: PoolStatus | undefined): string {
  const refill = status?.pool.refill
  return refill ? `${refill.count} at ${refill.threshold} left` : '-'
}

function notes(
  { ordered, delivered }: StoredPurchase,
  status: PoolStatus | undefined,
  elsewhere: number,
): string {
  return [
    ...(status?.pool.drainingSince === undefined ? [] : ['being used up']),
    ...(delivered < ordered ? [`${ordered - delivered} of the order still missing`] : []),
    ...(elsewhere > 0 ? [`${elsewhere} exported`] : []),
  ].join(', ')
}

/** Unix seconds as text for people and programs. */
export function formatTime(seconds: number | undefined): string | null {
  if (seconds === undefined) return null
  const at = new Date(seconds * 1000)
  return Number.isNaN(at.getTime()) ? 'never' : at.toISOString().replace('.000Z', 'Z')
}
