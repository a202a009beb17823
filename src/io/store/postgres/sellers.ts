/** Pinned payees and known prices in the Postgres ledger. Called inside the store's transactions. */
import type { ChargeTerms } from '../../../core/charge/charge.ts'
import type {
  KnownPrice,
  Pin,
  PriceKey,
  PriceRange,
  SellerFilter,
  SellerStore,
} from '../contracts/sellers.ts'
import { rowToPin, rowToPrice } from '../rows/rows.ts'
import { checkPayee } from '../rules/payee-rules.ts'
import { matchesSeller, notedPrice, rangesOf } from '../rules/price-rules.ts'
import type { Transaction } from './database/transaction.ts'

const PIN_ORDER = 'ORDER BY api_base, network, asset'
const PRICE_ORDER = 'ORDER BY api_base, endpoint, model, network, asset'

/** The sellers of the Postgres ledger. */
export class PostgresSellers implements SellerStore {
  readonly #db: Transaction

  constructor(db: Transaction) {
    this.#db = db
  }

  /**
   * Compares the payee of a charge that is to be reserved (rule 6).
   * @throws TollwayError `payee_not_allowed`
   */
  async checkPayee(terms: ChargeTerms): Promise<void> {
    const { apiBase, network, asset, payTo } = terms
    const pinned = await this.#db.get(
      'SELECT * FROM pins WHERE api_base = ? AND network = ? AND asset = ?',
      apiBase,
      network,
      asset,
    )
    if (pinned) return checkPayee(terms, rowToPin(pinned), () => false)
    // First payments to one seller are reserved one after the other.
    await this.#db.lock([`first payment ${JSON.stringify([apiBase, network, asset])}`])
    // One statement sees one instant: a payment that settles now is either still open or has its payee pinned.
    const row = await this.#db.get(
      `SELECT pins.*, EXISTS (SELECT 1 FROM charges WHERE state IN ('held', 'authorized')
        AND api_base = ? AND network = ? AND asset = ? AND pay_to <> ?) AS is_open
      FROM (SELECT 1) AS one LEFT JOIN pins ON api_base = ? AND network = ? AND asset = ?`,
      apiBase,
      network,
      asset,
      payTo,
      apiBase,
      network,
      asset,
    )
    const pin = row && row['pay_to'] !== null ? rowToPin(row) : undefined
    checkPayee(terms, pin, () => row?.['is_open'] === 1)
  }

  async pins(apiBase?: string): Promise<Pin[]> {
    const rows =
      apiBase === undefined
        ? await this.#db.all(`SELECT * FROM pins ${PIN_ORDER}`)
        : await this.#db.all(`SELECT * FROM pins WHERE api_base = ? ${PIN_ORDER}`, apiBase)
    return rows.map(rowToPin)
  }

  async notePin(pin: Pin): Promise<boolean> {
    return (await this.#writePin(pin, 'NOTHING')) > 0
  }

  async trustPin(pin: Pin): Promise<void> {
    await this.#writePin(pin, 'UPDATE SET pay_to = excluded.pay_to, pinned_at = excluded.pinned_at')
  }

  #writePin({ apiBase, network, asset, payTo, pinnedAt }: Pin, otherwise: string): Promise<number> {
    return this.#db.run(
      `INSERT INTO pins (api_base, network, asset, pay_to, pinned_at) VALUES (?, ?, ?, ?, ?)
      ON CONFLICT (api_base, network, asset) DO ${otherwise}`,
      apiBase,
      network,
      asset,
      payTo,
      pinnedAt,
    )
  }

  async forgetSeller(apiBase: string): Promise<{ readonly pins: number; readonly prices: number }> {
    const pins = await this.#db.run('DELETE FROM pins WHERE api_base = ?', apiBase)
    return { pins, prices: await this.#db.run('DELETE FROM prices WHERE api_base = ?', apiBase) }
  }

  async price({ apiBase, endpoint, model, network, asset }: PriceKey): Promise<KnownPrice | undefined> {
    const row = await this.#db.get(
      'SELECT * FROM prices WHERE api_base = ? AND endpoint = ? AND model = ? AND network = ? AND asset = ?',
      apiBase,
      endpoint,
      model,
      network,
      asset,
    )
    return row && rowToPrice(row)
  }

  async prices(apiBase?: string): Promise<KnownPrice[]> {
    const rows =
      apiBase === undefined
        ? await this.#db.all(`SELECT * FROM prices ${PRICE_ORDER}`)
        : await this.#db.all(`SELECT * FROM prices WHERE api_base = ? ${PRICE_ORDER}`, apiBase)
    return rows.map(rowToPrice)
  }

  async priceRanges(
    of: Pick<PriceKey, 'apiBase' | 'endpoint'> & Pick<SellerFilter, 'model'>,
  ): Promise<PriceRange[]> {
    const rows = await this.#db.all(
      `SELECT * FROM prices WHERE api_base = ? AND endpoint = ? ${PRICE_ORDER}`,
      of.apiBase,
      of.endpoint,
    )
    return rangesOf(rows.map(rowToPrice).filter((price) => matchesSeller(price, of)))
  }

  async notePrice(key: PriceKey, paid: bigint, at: number): Promise<void> {
    await this.#lockPrices(key.apiBase)
    await this.#write(notedPrice(await this.price(key), key, paid, at))
  }

  async trustPrice(filter: SellerFilter, pinned: bigint, at: number): Promise<KnownPrice[]> {
    await this.#lockPrices(filter.apiBase)
    const changed = (await this.prices(filter.apiBase))
      .filter((price) => matchesSeller(price, filter))
      .map((price) => ({ ...price, pinned, updatedAt: at }))
    for (const price of changed) await this.#write(price)
    return changed
  }

  #lockPrices(apiBase: string): Promise<void> {
    return this.#db.lock([`prices ${apiBase}`])
  }

  async #write(price: KnownPrice): Promise<void> {
    const { apiBase, endpoint, model, network, asset, first, pinned, last, updatedAt } = price
    await this.#db.run(
      `INSERT INTO prices (api_base, endpoint, model, network, asset, first, pinned, last, updated_at)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (api_base, endpoint, model, network, asset) DO UPDATE
      SET first = excluded.first, pinned = excluded.pinned, last = excluded.last, updated_at = excluded.updated_at`,
      apiBase,
      endpoint,
      model,
      network,
      asset,
      first,
      pinned,
      last,
      updatedAt,
    )
  }
}
