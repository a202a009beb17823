/** Pinned payees and known prices in the SQLite ledger. Called inside the store's transactions. */
import type { StatementSync } from 'node:sqlite'
import { matchesSeller, notedPrice, rangesOf } from '../rules/price-rules.ts'
import type { Connection } from './file/file.ts'
import { rowToPin, rowToPrice } from '../rows/rows.ts'
import type {
  KnownPrice,
  Pin,
  PriceKey,
  PriceRange,
  SellerFilter,
  SellerStore,
} from '../contracts/sellers.ts'
import type { InTransaction } from '../synchronous-store.ts'

/** The sellers of the SQLite ledger. */
export class SqliteSellers implements InTransaction<SellerStore> {
  readonly #pin: StatementSync
  readonly #pinsOf: StatementSync
  readonly #allPins: StatementSync
  readonly #price: StatementSync
  readonly #pricesOf: StatementSync
  readonly #allPrices: StatementSync
  readonly #pathPrices: StatementSync
  readonly #writePrice: StatementSync
  readonly #dropPrices: StatementSync
  readonly #writePin: StatementSync
  readonly #addPin: StatementSync
  readonly #dropPins: StatementSync

  constructor(db: Connection) {
    this.#pin = db.prepare('SELECT * FROM pins WHERE api_base = ? AND network = ? AND asset = ?')
    this.#pinsOf = db.prepare('SELECT * FROM pins WHERE api_base = ? ORDER BY api_base, network, asset')
    this.#allPins = db.prepare('SELECT * FROM pins ORDER BY api_base, network, asset')
    const order = 'ORDER BY api_base, endpoint, model, network, asset'
    this.#price = db.prepare(
      'SELECT * FROM prices WHERE api_base = ? AND endpoint = ? AND model = ? AND network = ? AND asset = ?',
    )
    this.#pricesOf = db.prepare(`SELECT * FROM prices WHERE api_base = ? ${order}`)
    this.#allPrices = db.prepare(`SELECT * FROM prices ${order}`)
    this.#pathPrices = db.prepare('SELECT * FROM prices WHERE api_base = ? AND endpoint = ?')
    this.#writePrice = db.prepare(`INSERT OR REPLACE INTO prices
      (api_base, endpoint, model, network, asset, first, pinned, last, updated_at)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`)
    this.#dropPrices = db.prepare('DELETE FROM prices WHERE api_base = ?')
    this.#writePin = db.prepare(
      'INSERT OR REPLACE INTO pins (api_base, network, asset, pay_to, pinned_at) VALUES (?, ?, ?, ?, ?)',
    )
    this.#addPin = db.prepare(
      'INSERT OR IGNORE INTO pins (api_base, network, asset, pay_to, pinned_at) VALUES (?, ?, ?, ?, ?)',
    )
    this.#dropPins = db.prepare('DELETE FROM pins WHERE api_base = ?')
  }

  pin({ apiBase, network, asset }: Pick<Pin, 'apiBase' | 'network' | 'asset'>): Pin | undefined {
    const row = this.#pin.get(apiBase, network, asset)
    return row && rowToPin(row)
  }

  pins(apiBase?: string): Pin[] {
    return (apiBase === undefined ? this.#allPins.all() : this.#pinsOf.all(apiBase)).map(rowToPin)
  }

  notePin({ apiBase, network, asset, payTo, pinnedAt }: Pin): boolean {
    return Number(this.#addPin.run(apiBase, network, asset, payTo, pinnedAt).changes) > 0
  }

  trustPin({ apiBase, network, asset, payTo, pinnedAt }: Pin): void {
    this.#writePin.run(apiBase, network, asset, payTo, pinnedAt)
  }

  forgetSeller(apiBase: string): { readonly pins: number; readonly prices: number } {
    const pins = Number(this.#dropPins.run(apiBase).changes)
    return { pins, prices: Number(this.#dropPrices.run(apiBase).changes) }
  }

  price({ apiBase, endpoint, model, network, asset }: PriceKey): KnownPrice | undefined {
    const row = this.#price.get(apiBase, endpoint, model, network, asset)
    return row && rowToPrice(row)
  }

  prices(apiBase?: string): KnownPrice[] {
    const rows = apiBase === undefined ? this.#allPrices.all() : this.#pricesOf.all(apiBase)
    return rows.map(rowToPrice)
  }

  priceRanges(of: Pick<PriceKey, 'apiBase' | 'endpoint'> & Pick<SellerFilter, 'model'>): PriceRange[] {
    const prices = this.#pathPrices.all(of.apiBase, of.endpoint).map(rowToPrice)
    return rangesOf(prices.filter((price) => matchesSeller(price, of)))
  }

  notePrice(key: PriceKey, paid: bigint, at: number): void {
    this.#write(notedPrice(this.price(key), key, paid, at))
  }

  trustPrice(filter: SellerFilter, pinned: bigint, at: number): KnownPrice[] {
    const changed = this.prices(filter.apiBase)
      .filter((price) => matchesSeller(price, filter))
      .map((price) => ({ ...price, pinned, updatedAt: at }))
    for (const price of changed) this.#write(price)
    return changed
  }

  #write(price: KnownPrice): void {
    const { apiBase, endpoint, model, network, asset, updatedAt } = price
    const amounts = [price.first, price.pinned, price.last].map(String)
    this.#writePrice.run(apiBase, endpoint, model, network, asset, ...amounts, updatedAt)
  }
}
