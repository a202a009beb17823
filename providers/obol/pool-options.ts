/** What an Obol pool is opened with, and what it reports. */
import type { Clock } from '../../src/core/clock.ts'
import type { Asset } from '../../src/core/money/assets.ts'
import type { Timers } from '../../src/core/timers.ts'
import type { VoucherPool } from '../../src/core/vouchers/voucher.ts'
import type { ConsumedFile } from '../../src/io/external-payers/obol/consumed-file.ts'
import type { UpstreamDocument } from '../../src/io/external-payers/obol/documents.ts'
import type { ObolPaths } from '../../src/io/external-payers/obol/files.ts'
import type { ChargeStore } from '../../src/io/store/contracts/charges.ts'
import type { SellerStore } from '../../src/io/store/contracts/sellers.ts'
import type { VoucherBook } from '../../src/io/vouchers/voucher-book.ts'

/** The result of a reload; counts are of vouchers. */
export interface ReloadReport {
  readonly reason: string
  /** Whether anything changed. */
  readonly changed: boolean
  readonly added: number
  readonly dropped: number
  /** One sentence each, without signatures. */
  readonly problems: readonly string[]
}

/** Options of `ObolPool.open`. */
export interface ObolPoolOptions {
  /** Its name under `payers`. */
  readonly payer: string
  /** Without paths, only the vouchers in the store are used. */
  readonly paths: ObolPaths | undefined
  /** x402-buyer's state file. */
  readonly consumed: ConsumedFile | undefined
  readonly book: VoucherBook
  readonly store: Pick<ChargeStore, 'charge'> & Pick<SellerStore, 'pins' | 'trustPin'>
  readonly assets: readonly Asset[]
  /** Milliseconds between two automatic reloads; 0 turns them off. */
  readonly reloadMs: number
  readonly clock: Clock
  readonly timers: Timers
  /** The User-Agent sent to sellers. */
  readonly userAgent?: string | undefined
  /** Called after every load that changed something or failed. */
  readonly onReload?: ((report: ReloadReport) => void) | undefined
}

/** An upstream that is being served. */
export interface ObolUpstream {
  readonly name: string
  readonly pool: VoucherPool
  /** Spelled as in its file, for `/status` and metrics. */
  readonly document: Pick<UpstreamDocument, 'url' | 'network'>
}
