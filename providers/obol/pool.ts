/**
 * Obol's pre-signed pool: a replacement for x402-buyer that reads its files. It holds no key and starts no signer: each payment
 * is a voucher from the store, claimed for exactly the terms that passed the gate, and used at most once.
 */
import { z } from 'zod'
import type { Asset } from '../../src/core/money/assets.ts'
import type { Clock } from '../../src/core/clock.ts'
import { GAS_SPONSORING } from '../../src/core/x402/x402.ts'
import type { Authorization, ChargeOutcome, Provider } from '../../src/core/payer/provider.ts'
import { Quote } from '../../src/core/policy/gate.ts'
import type { Timers } from '../../src/core/timers.ts'
import {
  voucherRecord,
  type PoolStatus,
  type SignedVoucher,
  type VoucherPool,
} from '../../src/core/vouchers/voucher.ts'
import { encodePayment, HEADERS, type Offer } from '../../src/core/x402/x402.ts'
import type { ConsumedFile } from '../../src/io/external-payers/obol/consumed-file.ts'
import type { UpstreamDocument } from '../../src/io/external-payers/obol/documents.ts'
import {
  ObolFilesError,
  readObolFiles,
  type ObolFiles,
  type ObolPaths,
} from '../../src/io/external-payers/obol/files.ts'
import type { Store } from '../../src/io/store/store.ts'
import type { VoucherBook } from '../../src/io/vouchers/voucher-book.ts'
import { PermitQueue } from '../shared/permit-queue.ts'
import { firstClaim, isWithoutVoucher, upstreamsFor } from './pool-claim.ts'
import { readUpstream, describeRefusals } from './read-upstream.ts'
import { VoucherCheck } from './voucher-check.ts'

/** What a reload found; counts are of vouchers. */
export interface ReloadReport {
  readonly reason: string
  /** Whether anything was different from before. */
  readonly changed: boolean
  readonly added: number
  readonly dropped: number
  /** One sentence each, without signatures. */
  readonly problems: readonly string[]
}

/** Options of {@link ObolPool.open}. */
export interface ObolPoolOptions {
  /** Its name under `payers`. */
  readonly payer: string
  /** Without it the vouchers come from the store alone. */
  readonly paths: ObolPaths | undefined
  /** x402-buyer's state file. */
  readonly consumed: ConsumedFile | undefined
  readonly book: VoucherBook
  readonly store: Pick<Store, 'charge' | 'trustPin' | 'pins'>
  readonly assets: readonly Asset[]
  /** Between two looks at the files, milliseconds; 0 for never by itself. */
  readonly reloadMs: number
  readonly clock: Clock
  readonly timers: Timers
  /** What sellers are told as User-Agent. */
  readonly userAgent?: string | undefined
  /** Told about every load that changed something or failed. */
  readonly onReload?: ((report: ReloadReport) => void) | undefined
}

/** What pool-vouchers.ts keeps of a payment. */
const PAYMENT = z.object({
  payload: z.record(z.string(), z.unknown()),
  extensions: z.record(z.string(), z.unknown()).optional(),
})

/** A payment that brings its allowance along. */
const SPONSORED = z.object({ [GAS_SPONSORING]: z.object({ info: z.record(z.string(), z.unknown()) }) })

/** An upstream as it is served. */
export interface ObolUpstream {
  readonly name: string
  readonly pool: VoucherPool
  /** As its file spells them, for `/status` and metrics. */
  readonly document: Pick<UpstreamDocument, 'url' | 'network'>
}

/** See the file's head. */
export class ObolPool implements Provider {
  readonly name = 'obol'
  readonly #options: ObolPoolOptions
  readonly #check: VoucherCheck
  readonly #upstreams = new Map<string, ObolUpstream>()
  /** What a charge claimed, until it ends. */
  readonly #claimed = new Map<string, Pick<SignedVoucher, 'id' | 'pool' | 'key'>>()
  /** Ids of the vouchers that stand in an upstream's file. */
  readonly #listed = new Map<string, ReadonlySet<string>>()
  /** Upstreams of which more stands in the files than the limits let in, and one voucher's value in micro-USD. */
  readonly #heldBack = new Map<string, bigint | undefined>()
  /** Names of upstreams whose vouchers must be used in an order. */
  readonly #inTurns = new Set<string>()
  readonly #line = new PermitQueue()
  #digest: string | undefined
  #problems = ''
  #loading: Promise<ReloadReport> | undefined
  #pending: Promise<ReloadReport> | undefined
  #cancel: (() => void) | undefined
  readonly #closing = new AbortController()

  private constructor(options: ObolPoolOptions) {
    this.#options = options
    this.#check = new VoucherCheck({ assets: options.assets, signal: this.#closing.signal })
  }

  /**
   * Loads the files and begins to watch them.
   * @throws ObolFilesError when they cannot be read as a whole
   * @throws TollwayError `store_unavailable`
   */
  static async open(options: ObolPoolOptions): Promise<ObolPool> {
    const pool = new ObolPool(options)
    const { consumed, book, payer } = options
    for (const [name, keys] of await book.store.usedKeys(payer)) consumed?.mark(name, keys)
    await pool.#load('start')
    pool.#watch()
    return pool
  }

  /** What sellers are told as User-Agent, if anything else than usual. */
  get userAgent(): string | undefined {
    return this.#options.userAgent
  }

  get networks(): readonly string[] {
    return [...new Set(this.upstreams.map(({ pool }) => pool.network))]
  }

  /** What is served now, by name. */
  get upstreams(): readonly ObolUpstream[] {
    return [...this.#upstreams.values()]
  }

  supports(offer: Offer): boolean {
    const { assetTransferMethod: method = 'eip3009' } = offer.extra as {
      readonly assetTransferMethod?: unknown
    }
    // Price and payee are left to the claim: it says what differs.
    return (
      offer.scheme === 'exact' &&
      this.upstreams.some(
        ({ pool }) =>
          pool.method === method &&
          pool.network === offer.network &&
          pool.asset === offer.asset.toLowerCase(),
      )
    )
  }

  async authorize(quote: Quote, charge: string, signal: AbortSignal): Promise<Authorization> {
    if (!Quote.isVetted(quote)) {
      throw new TypeError('obol pays only quotes that passed the gate: pass what vetChallenge() returned.')
    }
    signal.throwIfAborted()
    const { book, store } = this.#options
    const known = await store.charge(charge)
    const claim = async (): Promise<SignedVoucher> => {
      const own = known ? upstreamsFor(this.upstreams, known, quote.method) : []
      if (own.length === 0) return await book.claim(charge, quote.method)
      return await firstClaim(own, (upstream) => this.#claim(upstream, quote, charge, signal))
    }
    const voucher = await claim().catch(async (error: unknown) => {
      // What did not fit when the files were read may fit by now.
      if (!isWithoutVoucher(error) || !(await this.#hasRoom())) throw error
      await this.reload('exhausted').done
      return await claim()
    })
    signal.throwIfAborted()
    const { payload, extensions } = PAYMENT.parse(JSON.parse(voucher.payment))
    this.#claimed.set(charge, { id: voucher.id, pool: voucher.pool, key: voucher.key })
    const header = encodePayment(quote.offer, quote.resource, payload, echoed(extensions, quote))
    return {
      kind: 'authorization',
      header,
      // Obol's own sellers speak v2 and read the payment under its v1 name.
      ...(header.name === HEADERS.signature ? { alsoAs: [HEADERS.paymentV1] } : {}),
      record: voucherRecord(voucher),
    }
  }

  async closed(charge: string, { state }: ChargeOutcome): Promise<void> {
    const claimed = this.#claimed.get(charge)
    this.#claimed.delete(charge)
    this.#line.leave(charge)
    if (!claimed) return
    // The store gave a released one back, or keeps a sent one: here only the file for other programs is told.
    if (state !== 'released') return this.#options.consumed?.mark(claimed.pool, [claimed.key])
    // It was taken out of its file while it was held.
    const listed = this.#listed.get(claimed.pool)
    if (listed && !listed.has(claimed.id)) await this.#options.book.store.drop([claimed.id])
  }

  /** Every upstream's pool as it stands in the store. @throws TollwayError `store_unavailable` */
  async status(): Promise<ReadonlyMap<string, PoolStatus>> {
    const pools = await this.#options.book.pools(this.#options.payer)
    return new Map(pools.map((status) => [status.pool.name, status]))
  }

  /** How many of an upstream's authorizations were ever used, here or by x402-buyer. */
  usedCount(name: string): number {
    return this.#options.consumed?.keys.get(name)?.size ?? 0
  }

  /**
   * Reads the files again soon; calls while one waits join it.
   * @returns whether one was waiting already, and when it is done
   */
  reload(reason: string): { readonly pending: boolean; readonly done: Promise<ReloadReport> } {
    if (this.#pending) return { pending: true, done: this.#pending }
    const done = (this.#loading ?? Promise.resolve()).then(
      () => this.#begin(reason),
      () => this.#begin(reason),
    )
    this.#pending = done
    return { pending: false, done }
  }

  /** Stops serving an upstream; while its files are there, the next reload brings it back. */
  async remove(name: string): Promise<void> {
    const upstream = this.#upstreams.get(name)
    this.#upstreams.delete(name)
    this.#digest = undefined
    if (upstream) await this.#options.book.remove(upstream.pool)
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return
    this.#closing.abort()
    this.#cancel?.()
    await this.#pending?.catch(() => undefined)
    await this.#loading?.catch(() => undefined)
    await this.#options.consumed?.close()
  }

  #watch(): void {
    const { reloadMs, timers } = this.#options
    if (reloadMs === 0 || this.#closing.signal.aborted) return
    this.#cancel = timers.after(reloadMs, () => {
      this.reload('ticker')
        .done.catch(() => undefined)
        .finally(() => this.#watch())
    })
  }

  #begin(reason: string): Promise<ReloadReport> {
    this.#pending = undefined
    const loading = this.#load(reason).finally(() => {
      if (this.#loading === loading) this.#loading = undefined
    })
    this.#loading = loading
    return loading
  }

  async #load(reason: string): Promise<ReloadReport> {
    const { paths, onReload = () => undefined } = this.#options
    const unchanged = { reason, changed: false, added: 0, dropped: 0, problems: [] }
    if (!paths) {
      const changed = await this.#serveStored()
      const report = { ...unchanged, changed }
      if (changed) onReload(report)
      return report
    }
    let files: ObolFiles
    try {
      files = await readObolFiles(paths)
    } catch (error) {
      // What was loaded before goes on being served.
      if (error instanceof ObolFilesError) this.#tellOnce({ ...unchanged, problems: [error.message] })
      throw error
    }
    const isNew = files.digest !== this.#digest
    if (!isNew && reason !== 'admin' && !(await this.#hasRoom())) return unchanged
    const report = await this.#apply(files, reason)
    this.#digest = files.digest
    if (!isNew && report.added + report.dropped === 0) return { ...report, changed: false }
    this.#problems = report.problems.join('\n')
    onReload(report)
    return report
  }

  /** Whether something that did not fit under the limits would fit now. */
  async #hasRoom(): Promise<boolean> {
    for (const [name, microUsd] of this.#heldBack) {
      const pool = this.#upstreams.get(name)?.pool
      if (pool && (await this.#options.book.room(pool, 1, microUsd, false)) > 0) return true
    }
    return false
  }

  /** @throws TollwayError as the book, and what the line throws */
  async #claim(
    { name, pool }: ObolUpstream,
    { method }: Quote,
    charge: string,
    signal: AbortSignal,
  ): Promise<SignedVoucher> {
    // Allowances that come along are taken in the order of their nonces, each after the one before it.
    if (this.#inTurns.has(name)) await this.#line.enter(pool.asset, charge, signal)
    return await this.#options.book.claim(charge, method, name).catch((error: unknown) => {
      this.#line.leave(charge)
      throw error
    })
  }

  async #apply(files: ObolFiles, reason: string): Promise<ReloadReport> {
    const { book, payer } = this.#options
    const problems = [...files.unreadable.values()]
    let [added, dropped] = [0, 0]
    const stays = new Set(files.unreadable.keys())
    for (const [name, document] of files.upstreams) {
      const result = await this.#loadUpstream(name, document, files)
      problems.push(...result.problems)
      added += result.added
      dropped += result.dropped
      if (result.served) stays.add(name)
    }
    for (const { pool } of await book.pools(payer)) {
      if (stays.has(pool.name)) continue
      this.#upstreams.delete(pool.name)
      dropped += await book.remove(pool)
    }
    for (const name of this.#upstreams.keys()) if (!stays.has(name)) this.#upstreams.delete(name)
    for (const known of [this.#listed, this.#heldBack]) {
      for (const name of known.keys()) if (!stays.has(name)) known.delete(name)
    }
    this.#check.keep(stays)
    problems.push(...sharedModels(this.upstreams))
    return { reason, changed: true, added, dropped, problems }
  }

  async #loadUpstream(
    name: string,
    document: UpstreamDocument,
    files: ObolFiles,
  ): Promise<{ served: boolean; added: number; dropped: number; problems: string[] }> {
    const { book, payer, assets, consumed } = this.#options
    const used = consumed?.keys.get(name) ?? new Set<string>()
    const read = await readUpstream({ payer, name, document, files, used, assets, check: this.#check })
    if (typeof read === 'string') {
      return { served: false, added: 0, dropped: 0, problems: [`upstream ${name} is not served: ${read}`] }
    }
    const { pool, vouchers } = read
    await this.#trustPayee(pool)
    let dropped = await book.define(pool)
    // Used ones first: none of them may be free for a moment.
    await book.store.spentElsewhere(payer, name, [...used])
    // A file of authorizations that cannot be read says nothing about those that are known.
    if (!files.unreadable.has(name)) {
      const listed = new Set(vouchers.map(({ id }) => id))
      this.#listed.set(name, listed)
      dropped += await book.store.retain(payer, name, listed)
    }
    const result = await book.add(pool, vouchers, false)
    const { count = 0, exposure = 0 } = result.refused
    if (count + exposure > 0) this.#heldBack.set(name, vouchers[0]?.microUsd)
    else this.#heldBack.delete(name)
    if (vouchers.some(({ turn }) => turn !== undefined)) this.#inTurns.add(name)
    else this.#inTurns.delete(name)
    this.#upstreams.set(name, { name, pool, document: { url: document.url, network: document.network } })
    const refused = new Map([...read.refused, ...Object.entries(result.refused)])
    const problems = describeRefusals(refused).map((words) => `upstream ${name}: ${words}`)
    return { served: true, added: result.added, dropped, problems }
  }

  /** Serves what lies in the store, where there are no files. @returns whether the pools are others than before */
  async #serveStored(): Promise<boolean> {
    const before = [...this.#upstreams.keys()].join('\n')
    const pools = await this.#options.book.pools(this.#options.payer)
    this.#upstreams.clear()
    for (const { pool } of pools) {
      const { name, seller, network } = pool
      this.#upstreams.set(name, { name, pool, document: { url: seller, network } })
    }
    return [...this.#upstreams.keys()].join('\n') !== before
  }

  /** A payee that stands in the files was named by whoever bought there: it is configured, not found out (rule 6). */
  async #trustPayee({ seller, network, asset, payTo }: VoucherPool): Promise<void> {
    const { store, clock } = this.#options
    for (const apiBase of [`${seller}/v1`, seller]) {
      const pins = await store.pins(apiBase)
      if (pins.some((pin) => pin.network === network && pin.asset === asset && pin.payTo === payTo)) continue
      await store.trustPin({ apiBase, network, asset, payTo, pinnedAt: clock.now() })
    }
  }

  /** A fault that lasts is told once, not with every look. */
  #tellOnce(report: ReloadReport): void {
    const text = report.problems.join('\n')
    if (text === this.#problems) return
    this.#problems = text
    this.#options.onReload?.(report)
  }
}

/**
 * What a voucher answers to the seller's extensions. Official sellers take the allowance only beside what they say of it
 * themselves, which Obol's tools leave out; what is signed wins.
 */
function echoed(
  extensions: Readonly<Record<string, unknown>> | undefined,
  { sponsoring }: Quote,
): Readonly<Record<string, unknown>> | undefined {
  const own = SPONSORED.safeParse(extensions)
  if (!own.success || sponsoring === undefined) return extensions
  return { ...extensions, [GAS_SPONSORING]: { info: { ...sponsoring, ...own.data[GAS_SPONSORING].info } } }
}

function sharedModels(upstreams: readonly ObolUpstream[]): string[] {
  const byModel = Map.groupBy(upstreams, ({ pool }) => pool.remoteModel)
  return [...byModel].flatMap(([model, list]) =>
    list.length > 1 && model !== undefined
      ? [`model ${model} is sold by ${list.map(({ name }) => name).join(', ')}: they are tried in this order`]
      : [],
  )
}
