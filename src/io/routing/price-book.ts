/** Recent prices of requests in USD, from payments made: for choosing among sellers and for display. */
import { findAsset, type Asset } from '../../core/money/assets.ts'
import type { Clock } from '../../core/clock.ts'
import { toMicroUsd } from '../../core/money/money.ts'
import type { Candidate } from '../../core/routing/route.ts'
import type { SellerStore } from '../store/contracts/sellers.ts'

/** How long a reading of the store is fresh: prices change only with payments, which are seconds apart. */
const FRESH_MS = 2_000

/** Recent prices. Payments of other processes are seen within {@link FRESH_MS}. */
export class PriceBook {
  readonly #store: Pick<SellerStore, 'prices'>
  readonly #assets: readonly Asset[]
  readonly #clock: Clock
  readonly #known = new Map<string, bigint>()
  #readAt = Number.NEGATIVE_INFINITY
  #reading: Promise<void> | undefined

  constructor(store: Pick<SellerStore, 'prices'>, assets: readonly Asset[], clock: Clock) {
    this.#store = store
    this.#assets = assets
    this.#clock = clock
  }

  /** Reads the store when the last reading is old. Never rejects: old prices are better than no answer. */
  async load(): Promise<void> {
    if (this.#clock.now() - this.#readAt < FRESH_MS) return
    this.#reading ??= this.#read().finally(() => (this.#reading = undefined))
    await this.#reading
  }

  /**
   * The latest price of a candidate, micro-USD; the lowest if it was paid in several tokens.
   * @param endpoint without `/v1`; if omitted, the lowest price of all paths
   */
  of({ route, remoteModel }: Candidate, endpoint?: string): bigint | undefined {
    return this.#known.get(keyOf(route.apiBase, remoteModel, endpoint ?? ''))
  }

  async #read(): Promise<void> {
    const prices = await this.#store.prices().catch(() => undefined)
    this.#readAt = this.#clock.now()
    if (!prices) return
    this.#known.clear()
    for (const { apiBase, endpoint, model, network, asset: address, last } of prices) {
      const asset = findAsset(this.#assets, network, address)
      if (!asset?.usd) continue
      const microUsd = toMicroUsd(last, asset.decimals, asset.usd)
      for (const path of [endpoint, '']) {
        const key = keyOf(apiBase, model, path)
        const known = this.#known.get(key)
        if (known === undefined || microUsd < known) this.#known.set(key, microUsd)
      }
    }
  }
}

function keyOf(apiBase: string, model: string, endpoint: string): string {
  return [apiBase, model, endpoint].join('\n')
}
