/** Loads x402-buyer's files into the store, and keeps the list of upstreams that are served from them. */
import { ANY_PAYEE } from '../../src/core/policy/payees.ts'
import type { VoucherPool } from '../../src/core/vouchers/voucher.ts'
import type { UpstreamDocument } from '../../src/io/external-payers/obol/documents.ts'
import { ObolFilesError, readObolFiles, type ObolFiles } from '../../src/io/external-payers/obol/files.ts'
import type { ObolPoolOptions, ObolUpstream, ReloadReport } from './pool-options.ts'
import { describeRefusals, readUpstream } from './read-upstream.ts'
import { VoucherCheck } from './voucher-check.ts'

interface UpstreamResult {
  readonly served: boolean
  readonly added: number
  readonly dropped: number
  readonly problems: readonly string[]
}

/** The files of one pool. Loads must not overlap: see `ReloadSchedule`. */
export class PoolLoader {
  readonly #options: ObolPoolOptions
  readonly #check: VoucherCheck
  readonly #upstreams = new Map<string, ObolUpstream>()
  /** Ids of the vouchers in each upstream's file. */
  readonly #listed = new Map<string, ReadonlySet<string>>()
  /** Upstreams whose files hold more vouchers than the limits admit, with one voucher's value in micro-USD. */
  readonly #heldBack = new Map<string, bigint | undefined>()
  /** Names of upstreams whose vouchers must be used in a fixed order. */
  readonly #ordered = new Set<string>()
  #digest: string | undefined
  #problems = ''

  /** @param signal stops the checks of signatures */
  constructor(options: ObolPoolOptions, signal: AbortSignal) {
    this.#options = options
    this.#check = new VoucherCheck({ assets: options.assets, signal })
  }

  /** The upstreams that are served now. */
  get upstreams(): readonly ObolUpstream[] {
    return [...this.#upstreams.values()]
  }

  /** Whether an upstream's vouchers must be used in a fixed order. */
  isOrdered(name: string): boolean {
    return this.#ordered.has(name)
  }

  /** Whether a voucher is gone from an upstream's file; `false` when the file could never be read. */
  isUnlisted(name: string, id: string): boolean {
    const listed = this.#listed.get(name)
    return listed !== undefined && !listed.has(id)
  }

  /** Whether a voucher that did not fit under the limits would fit now. */
  async hasRoom(): Promise<boolean> {
    for (const [name, microUsd] of this.#heldBack) {
      const pool = this.#upstreams.get(name)?.pool
      if (pool && (await this.#options.book.room(pool, 1, microUsd, false)) > 0) return true
    }
    return false
  }

  /** Stops serving an upstream. The next load brings it back if its files are still there. */
  async remove(name: string): Promise<void> {
    const upstream = this.#upstreams.get(name)
    this.#upstreams.delete(name)
    this.#digest = undefined
    if (upstream) await this.#options.book.remove(upstream.pool)
  }

  /**
   * Reads the files, or the store where there are none.
   * @throws ObolFilesError when they cannot be read as a whole; what was loaded before stays in service
   */
  async load(reason: string): Promise<ReloadReport> {
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
      if (error instanceof ObolFilesError) this.#reportOnce({ ...unchanged, problems: [error.message] })
      throw error
    }
    const isNew = files.digest !== this.#digest
    if (!isNew && reason !== 'admin' && !(await this.hasRoom())) return unchanged
    const report = await this.#apply(files, reason)
    this.#digest = files.digest
    if (!isNew && report.added + report.dropped === 0) return { ...report, changed: false }
    this.#problems = report.problems.join('\n')
    onReload(report)
    return report
  }

  async #apply(files: ObolFiles, reason: string): Promise<ReloadReport> {
    const { book, payer } = this.#options
    const problems = [...files.unreadable.values()]
    let [added, dropped] = [0, 0]
    const kept = new Set(files.unreadable.keys())
    for (const [name, document] of files.upstreams) {
      const result = await this.#loadUpstream(name, document, files)
      problems.push(...result.problems)
      added += result.added
      dropped += result.dropped
      if (result.served) kept.add(name)
    }
    for (const { pool } of await book.pools(payer)) {
      if (kept.has(pool.name)) continue
      this.#upstreams.delete(pool.name)
      dropped += await book.remove(pool)
    }
    for (const known of [this.#upstreams, this.#listed, this.#heldBack]) {
      for (const name of known.keys()) if (!kept.has(name)) known.delete(name)
    }
    this.#check.keep(kept)
    problems.push(...sharedModels(this.upstreams))
    return { reason, changed: true, added, dropped, problems }
  }

  async #loadUpstream(name: string, document: UpstreamDocument, files: ObolFiles): Promise<UpstreamResult> {
    const { book, payer, assets, consumed } = this.#options
    const used = consumed?.keys.get(name) ?? new Set<string>()
    const read = await readUpstream({ payer, name, document, files, used, assets, check: this.#check })
    if (typeof read === 'string') {
      return { served: false, added: 0, dropped: 0, problems: [`upstream ${name} is not served: ${read}`] }
    }
    const { pool, vouchers } = read
    await this.#trustPayee(pool)
    let dropped = await book.define(pool)
    // Used vouchers are marked first, so that none of them is ever free.
    await book.store.spentElsewhere(payer, name, [...used])
    // A file of authorizations that cannot be read says nothing about the known ones.
    if (!files.unreadable.has(name)) {
      const listed = new Set(vouchers.map(({ id }) => id))
      this.#listed.set(name, listed)
      dropped += await book.store.retain(payer, name, listed)
    }
    const result = await book.add(pool, vouchers, false)
    const { count = 0, exposure = 0 } = result.refused
    if (count + exposure > 0) this.#heldBack.set(name, vouchers[0]?.microUsd)
    else this.#heldBack.delete(name)
    if (vouchers.some(({ turn }) => turn !== undefined)) this.#ordered.add(name)
    else this.#ordered.delete(name)
    this.#upstreams.set(name, { name, pool, document: { url: document.url, network: document.network } })
    const refused = new Map([...read.refused, ...Object.entries(result.refused)])
    const problems = describeRefusals(refused).map((refusal) => `upstream ${name}: ${refusal}`)
    return { served: true, added: result.added, dropped, problems }
  }

  /** Serves the pools in the store. @returns whether the list of pools changed */
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

  /** A payee in the files was chosen by the operator who bought there, so it counts as configured, not as discovered (rule 6). */
  async #trustPayee({ seller, network, asset, payTo }: VoucherPool): Promise<void> {
    const { store, clock } = this.#options
    for (const apiBase of [`${seller}/v1`, seller]) {
      const pins = await store.pins(apiBase)
      const pin = pins.find((each) => each.network === network && each.asset === asset)
      if (pin?.payTo === payTo || pin?.payTo === ANY_PAYEE) continue
      await store.trustPin({ apiBase, network, asset, payTo, pinnedAt: clock.now() })
    }
  }

  /** A lasting failure is reported once, not at every reload. */
  #reportOnce(report: ReloadReport): void {
    const text = report.problems.join('\n')
    if (text === this.#problems) return
    this.#problems = text
    this.#options.onReload?.(report)
  }
}

function sharedModels(upstreams: readonly ObolUpstream[]): string[] {
  const byModel = Map.groupBy(upstreams, ({ pool }) => pool.remoteModel)
  return [...byModel].flatMap(([model, list]) =>
    list.length > 1 && model !== undefined
      ? [`model ${model} is sold by ${list.map(({ name }) => name).join(', ')}: they are tried in this order`]
      : [],
  )
}
