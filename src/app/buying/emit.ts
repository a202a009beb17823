/**
 * Hands vouchers over to another program, as the files that it reads. From that moment they count as authorized in the
 * budgets (rule 8): nobody asks us before using them. A run that was cut off writes the same vouchers again.
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

/** What is written. */
export type EmitFormat = 'obol' | 'purchase-request'

/** What was handed over. */
export interface Emitted {
  /** Absolute. */
  readonly files: readonly string[]
  /** In the files, those of earlier runs included. */
  readonly count: number
  /** Newly handed over. */
  readonly handedOver: number
  /** Handed over before at terms that the seller does not ask any more: not in the files. */
  readonly leftOut: number
  /** Why not more, e.g. `budget_exhausted`. */
  readonly stopped: TollwayError | undefined
}

/** The most authorizations of a PurchaseRequest. */
const MAX_MANIFEST = 2500

/**
 * Hands over what was ordered and is not handed over yet, however often it is cut off.
 * @param directory made when missing
 * @throws Error as `node:fs` does, when the files cannot be written: run again, nothing is lost
 * @throws TollwayError `store_unavailable`
 */
export async function emit(
  parts: BuyingContext,
  purchase: StoredPurchase,
  pool: VoucherPool,
  format: EmitFormat,
  directory: string,
): Promise<Emitted> {
  const { clock, config, ledger } = parts
  const out = resolve(directory)
  const book = parts.book(purchase.payer)
  const ever = await book.store.exported(pool.payer, pool.name, clock.now())
  const before = await book.exported(pool)
  const size = purchase.order?.size ?? purchase.ordered
  const count = Math.max(0, size - (await handedOver(parts, purchase)))
  // Written once before anything is handed over: a directory that cannot be written is found out in time.
  write(out, format, purchase, pool, before, config.assets)
  const room = format === 'obol' ? count : Math.min(count, Math.max(0, MAX_MANIFEST - before.length))
  const { vouchers, stopped } = await book.export(pool, room, config.budgets, handOverId(purchase))
  const all = [...before, ...vouchers]
  const files = write(out, format, purchase, pool, all, config.assets)
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

/** Whether nothing that was ordered is left to hand over: what is missing was used up or given up. */
function isAll({ code }: TollwayError, purchase: StoredPurchase): boolean {
  return code === 'pool_exhausted' && owedOf(purchase) === 0
}

function write(
  out: string,
  format: EmitFormat,
  purchase: StoredPurchase,
  pool: VoucherPool,
  vouchers: readonly SignedVoucher[],
  assets: readonly Asset[],
): string[] {
  const { name } = purchase
  const auths = vouchers.map(({ key, payment }) => ({ id: key, payment: JSON.parse(payment) as unknown }))
  if (format === 'purchase-request') {
    const path = join(out, `${name}.yaml`)
    replaceFile(path, stringify(manifest(purchase, pool, auths, assets), { lineWidth: 0 }), 0o600)
    return [path]
  }
  const files = [join(out, 'auths', `${name}.json`), join(out, 'config', `${name}.json`)] as const
  // Signatures are money: for their owner only. The configuration comes last, so that no upstream is without its pool.
  replaceFile(files[0], `${JSON.stringify(auths)}\n`, 0o600)
  replaceFile(files[1], `${JSON.stringify(upstream(pool, assets))}\n`, 0o600)
  return [...files]
}

/** One upstream of x402-buyer's configuration: all the keys that its controller writes. */
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
): Readonly<Record<string, unknown>> {
  const { refill } = pool
  return {
    apiVersion: 'obol.org/v1alpha1',
    kind: 'PurchaseRequest',
    metadata: { name, namespace: 'llm' },
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
