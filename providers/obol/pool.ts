/**
 * Obol's pre-signed pool: a replacement for x402-buyer that reads its files. It holds no key and starts no signer. Each
 * payment is a voucher from the store, claimed for exactly the terms that passed the gate, and used at most once.
 */
import { z } from 'zod'
import type { Authorization, ChargeOutcome, Provider } from '../../src/core/payer/provider.ts'
import { Quote } from '../../src/core/policy/gate.ts'
import { voucherRecord, type PoolStatus, type SignedVoucher } from '../../src/core/vouchers/voucher.ts'
import { encodePayment, type Offer } from '../../src/core/x402/x402.ts'
import { GAS_SPONSORING, paymentExtensions } from '../../src/core/x402/extensions.ts'
import { HEADERS } from '../../src/core/x402/payment-headers.ts'
import { PermitQueue } from '../shared/permit-queue.ts'
import { firstClaim, isWithoutVoucher, upstreamsFor } from './pool-claim.ts'
import { PoolLoader } from './pool-loader.ts'
import type { ObolPoolOptions, ObolUpstream, ReloadReport } from './pool-options.ts'
import { ReloadSchedule } from './reload-schedule.ts'

/** The payment that a voucher carries. */
const PAYMENT = z.object({
  payload: z.record(z.string(), z.unknown()),
  extensions: z.record(z.string(), z.unknown()).optional(),
})

/** The extensions of a payment that carries its own allowance. */
const SPONSORED = z.object({ [GAS_SPONSORING]: z.object({ info: z.record(z.string(), z.unknown()) }) })

/** A payer whose payments are the vouchers of an Obol pool. */
export class ObolPool implements Provider {
  readonly name = 'obol'
  readonly #options: ObolPoolOptions
  readonly #loader: PoolLoader
  readonly #reloads: ReloadSchedule<ReloadReport>
  /** The voucher that each open charge claimed. */
  readonly #claimed = new Map<string, Pick<SignedVoucher, 'id' | 'pool' | 'key'>>()
  readonly #permits = new PermitQueue()
  readonly #closing = new AbortController()

  private constructor(options: ObolPoolOptions) {
    this.#options = options
    this.#loader = new PoolLoader(options, this.#closing.signal)
    const { reloadMs, timers } = options
    this.#reloads = new ReloadSchedule({
      load: (reason) => this.#loader.load(reason),
      intervalMs: reloadMs,
      timers,
    })
  }

  /**
   * Loads the files and starts to reload them at the interval.
   * @throws ObolFilesError when they cannot be read as a whole
   * @throws TollwayError `store_unavailable`
   */
  static async open(options: ObolPoolOptions): Promise<ObolPool> {
    const pool = new ObolPool(options)
    const { consumed, book, payer } = options
    for (const [name, keys] of await book.store.usedKeys(payer)) consumed?.mark(name, keys)
    await pool.#loader.load('start')
    pool.#reloads.start()
    return pool
  }

  /** The User-Agent sent to sellers, if it differs from the default. */
  get userAgent(): string | undefined {
    return this.#options.userAgent
  }

  get networks(): readonly string[] {
    return [...new Set(this.upstreams.map(({ pool }) => pool.network))]
  }

  /** The upstreams that are served now. */
  get upstreams(): readonly ObolUpstream[] {
    return this.#loader.upstreams
  }

  supports(offer: Offer): boolean {
    const { assetTransferMethod: method = 'eip3009' } = offer.extra as {
      readonly assetTransferMethod?: unknown
    }
    // The claim compares price and payee, because its error says which of them differs.
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
      throw new TypeError(
        'obol was given a quote that did not pass the gate, so no voucher was used. Pass on the quote that paymentInterceptor() hands to authorize().',
      )
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
      // A voucher that did not fit under the limits when the files were read may fit by now.
      if (!isWithoutVoucher(error) || !(await this.#loader.hasRoom())) throw error
      await this.reload('exhausted').done
      return await claim()
    })
    signal.throwIfAborted()
    const { payload, extensions } = PAYMENT.parse(JSON.parse(voucher.payment))
    this.#claimed.set(charge, { id: voucher.id, pool: voucher.pool, key: voucher.key })
    const header = encodePayment(
      quote.offer,
      quote.resource,
      payload,
      paymentExtensions(quote.extensions, charge, withSponsoring(extensions, quote)),
    )
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
    this.#permits.leave(charge)
    if (!claimed) return
    // The store has released or kept the voucher already. A used one is also recorded in the file that other programs read.
    if (state !== 'released') return this.#options.consumed?.mark(claimed.pool, [claimed.key])
    // The voucher was removed from its file while the charge was open.
    if (this.#loader.isUnlisted(claimed.pool, claimed.id)) await this.#options.book.store.drop([claimed.id])
  }

  /** The state of every upstream's pool in the store. @throws TollwayError `store_unavailable` */
  async status(): Promise<ReadonlyMap<string, PoolStatus>> {
    const pools = await this.#options.book.pools(this.#options.payer)
    return new Map(pools.map((status) => [status.pool.name, status]))
  }

  /** How many of an upstream's authorizations were ever used, here or by x402-buyer. */
  usedCount(name: string): number {
    return this.#options.consumed?.keys.get(name)?.size ?? 0
  }

  /** See {@link ReloadSchedule.reload}. */
  reload(reason: string): { readonly pending: boolean; readonly done: Promise<ReloadReport> } {
    return this.#reloads.reload(reason)
  }

  /** Stops serving an upstream. The next reload brings it back if its files are still there. */
  async remove(name: string): Promise<void> {
    await this.#loader.remove(name)
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return
    this.#closing.abort()
    await this.#reloads.close()
    await this.#options.consumed?.close()
  }

  /** @throws TollwayError as `VoucherBook.claim` and `PermitQueue.enter` */
  async #claim(
    { name, pool }: ObolUpstream,
    { method }: Quote,
    charge: string,
    signal: AbortSignal,
  ): Promise<SignedVoucher> {
    // Vouchers that carry their own allowance are used in the order of their nonces, one after another.
    if (this.#loader.isOrdered(name)) await this.#permits.enter(pool.asset, charge, signal)
    return await this.#options.book.claim(charge, method, name).catch((error: unknown) => {
      this.#permits.leave(charge)
      throw error
    })
  }
}

/**
 * Adds the seller's own text about gas sponsoring to a voucher's extensions. Official sellers accept the allowance only
 * together with that text, which Obol's tools leave out. Signed values win.
 */
function withSponsoring(
  extensions: Readonly<Record<string, unknown>> | undefined,
  { sponsoring }: Quote,
): Readonly<Record<string, unknown>> | undefined {
  const own = SPONSORED.safeParse(extensions)
  if (!own.success || sponsoring === undefined) return extensions
  return { ...extensions, [GAS_SPONSORING]: { info: { ...sponsoring, ...own.data[GAS_SPONSORING].info } } }
}
