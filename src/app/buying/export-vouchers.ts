/**
 * Exports vouchers to another program, as the files that it reads. From then on they count as authorized in the budgets
 * (rule 8), because the program uses them without asking us. An interrupted run writes the same vouchers again.
 */
import { join, resolve } from 'node:path'
import { stringify } from 'yaml'
import { findAsset, findNetwork, type Asset } from '../../core/money/assets.ts'
import type { TollwayError } from '../../core/errors.ts'
import type { StoredPurchase } from '../../core/vouchers/purchase.ts'
import type { SignedVoucher, VoucherPool } from '../../core/vouchers/voucher.ts'
import { replaceFile } from '../../io/files/replace-file.ts'
import { handedOver, handOverId, owedOf } from './order.ts'
import type { BuyingContext } from './buying-context.ts'

/** Format of the files. */
export type ExportFormat = 'obol' | 'purchase-request'

/** The result of an export. */
export interface Emitted {
  /** Absolute paths. */
  readonly files: readonly string[]
  /** Vouchers in the files, including those of earlier runs. */
  readonly count: number
  /** Newly exported vouchers. */
  readonly handedOver: number
  /** Vouchers exported earlier with terms that the seller no longer accepts: not in the files. */
  readonly leftOut: number
  /** Why the export stopped early, such as `budget_exhausted`. */
  readonly stopped: TollwayError | undefined
}

/** Where a PurchaseRequest goes unless another namespace is named. */
export const BUYER_NAMESPACE = 'llm'

/** The most authorizations a PurchaseRequest can hold. */
const MAX_MANIFEST = 2500

/**
 * Exports the ordered vouchers that are not exported yet; safe to interrupt and repeat.
 * @param directory created if missing
 * @param namespace of a PurchaseRequest
 * @throws Error from `node:fs` if the files cannot be written; nothing is lost, so run it again
 * @throws TollwayError `store_unavailable`
 */
export async function exportVouchers(
  context: BuyingContext,
  purchase: StoredPurchase,
  pool: VoucherPool,
  format: ExportFormat,
  directory: string,
  namespace = BUYER_NAMESPACE,
): Promise<Emitted> {
  const { clock, config, ledger } = context
  const out = resolve(directory)
  const book = context.book(purchase.payer)
  const ever = await book.store.exported(pool.payer, pool.name, clock.now())
  const before = await book.exported(pool)
  const size = purchase.order?.size ?? purchase.ordered
  const count = Math.max(0, size - (await handedOver(context, purchase)))
  // Write once before anything is exported, so that an unwritable directory is found in time.
  const to = { out, format, namespace }
  write(to, purchase, pool, before, config.assets)
  const room = format === 'obol' ? count : Math.min(count, Math.max(0, MAX_MANIFEST - before.length))
  const { vouchers, stopped } = await book.export(pool, room, config.budgets, handOverId(purchase))
  const all = [...before, ...vouchers]
  const files = write(to, purchase, pool, all, config.assets)
  const { order } = purchase
  if (order?.handOver === true && (stopped === undefined || isAll(stopped, purchase))) {
    await ledger.store.purchases.save({ ...purchase, order: { ...order, handOver: false } })
  }
  await ledger.note('vouchers.written', {
    payer: purchase.payer,
    pool: purchase.name,
    format,
    count: all.length,
    handed_over: vouchers.length,
    left_out: ever.length - before.length,
    stopped: stopped?.code ?? null,
  })
  const leftOut = ever.length - before.length
  return { files, count: all.length, handedOver: vouchers.length, leftOut, stopped }
}

/** Whether nothing of the order is left to export: the rest was used or discarded. */
function isAll({ code }: TollwayError, purchase: StoredPurchase): boolean {
  return code === 'pool_exhausted' && owedOf(purchase) === 0
}

function write(
  { out, format, namespace }: Readonly<{ out: string; format: ExportFormat; namespace: string }>,
  purchase: StoredPurchase,
  pool: VoucherPool,
  vouchers: readonly SignedVoucher[],
  assets: readonly Asset[],
): string[] {
  const { name } = purchase
  const auths = vouchers.map(({ key, payment }) => ({ id: key, payment: JSON.parse(payment) as unknown }))
  if (format === 'purchase-request') {
    const path = join(out, `${name}.yaml`)
    replaceFile(path, stringify(manifest(purchase, pool, auths, assets, namespace), { lineWidth: 0 }), 0o600)
    return [path]
  }
  const files = [join(out, 'auths', `${name}.json`), join(out, 'config', `${name}.json`)] as const
  // Signatures are money: only the owner may read them. The configuration is written last, when its pool exists.
  replaceFile(files[0], `${JSON.stringify(auths)}\n`, 0o600)
  replaceFile(files[1], `${JSON.stringify(upstream(pool, assets))}\n`, 0o600)
  return [...files]
}

/** One upstream of x402-buyer's configuration, with all the keys that its controller writes. */
function upstream(pool: VoucherPool, assets: readonly Asset[]): Readonly<Record<string, unknown>> {
  return { url: pool.seller, remoteModel: pool.remoteModel ?? pool.name, ...paymentOf(pool, assets) }
}

function paymentOf(pool: VoucherPool, assets: readonly Asset[]): Readonly<Record<string, unknown>> {
  const domain = findAsset(assets, pool.network, pool.asset)?.domain
  return {
    network: findNetwork(pool.network)?.alias ?? pool.network,
    payTo: pool.payTo,
    price: pool.amount.toString(),
    asset: pool.asset,
    assetSymbol: pool.symbol,
    assetDecimals: pool.decimals,
    assetTransferMethod: pool.method,
    eip712Name: domain?.name ?? '',
    eip712Version: domain?.version ?? '',
  }
}

/** A `PurchaseRequest` of obol.org/v1alpha1. */
function manifest(
  { name, model, endpoint }: StoredPurchase,
  pool: VoucherPool,
  preSignedAuths: readonly unknown[],
  assets: readonly Asset[],
  namespace: string,
): Readonly<Record<string, unknown>> {
  const { refill } = pool
  return {
    apiVersion: 'obol.org/v1alpha1',
    kind: 'PurchaseRequest',
    metadata: { name, namespace },
    spec: {
      endpoint,
      model,
      count: Math.max(1, preSignedAuths.length),
      preSignedAuths,
      autoRefill: refill
        ? {
            enabled: true,
            threshold: refill.threshold,
            count: refill.count,
            ...(refill.maxTotal === undefined ? {} : { maxTotal: refill.maxTotal }),
            ...(refill.maxPerDay === undefined ? {} : { maxSpendPerDay: refill.maxPerDay.toString() }),
          }
        : { enabled: false },
      payment: paymentOf(pool, assets),
    },
  }
}
