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
import { integer, rowToPin, rowToPrice, text } from '../rows/rows.ts'
import { checkPayee } from '../rules/payee-rules.ts'
import { matchesSeller, notedPrice, rangesOf } from '../rules/price-rules.ts'
import { json, type Transaction } from './database/transaction.ts'

const PIN_ORDER = 'ORDER BY api_base, network, asset'
const PRICE_ORDER = 'ORDER BY api_base, endpoint, model, network, asset'

type Place = Pick<Pin, 'apiBase' | 'network' | 'asset'>

const PLACES = `jsonb_to_recordset(?::jsonb) AS k(n integer, api_base text, network text, asset text)`
const SAME_PLACE = 'pins.api_base = k.api_base AND pins.network = k.network AND pins.asset = k.asset'

function sellerOf({ apiBase, network, asset }: Place): string {
  return JSON.stringify([apiBase, network, asset])
}

function placeOf({ apiBase, network, asset }: Place) {
  return { api_base: apiBase, network, asset }
}

function placesJson(places: readonly Place[]): string {
  return json(places.map((place, n) => ({ n, ...placeOf(place) })))
}

/** The payees that charges may be reserved for, read under their locks. */
export class Payees {
  readonly #pinned: ReadonlyMap<string, Pin>
  readonly #open: ReadonlyMap<string, Set<string>>

  /**
   * @param pinned by seller
   * @param open the payees of open charges, of the sellers that have no pin
   */
  constructor(pinned: ReadonlyMap<string, Pin>, open: ReadonlyMap<string, Set<string>>) {
    this.#pinned = pinned
    this.#open = open
  }

  /** @throws TollwayError `payee_not_allowed` */
  check(terms: ChargeTerms): void {
    const seller = sellerOf(terms)
    const others = this.#open.get(seller) ?? []
    checkPayee(terms, this.#pinned.get(seller), () => [...others].some((payTo) => payTo !== terms.payTo))
  }

  /** Those after it are compared with a charge that is reserved now. */
  reserved(terms: ChargeTerms): void {
    this.#open.get(sellerOf(terms))?.add(terms.payTo)
  }
}

/** The sellers of the Postgres ledger. */
export class PostgresSellers implements SellerStore {
  readonly #db: Transaction

  constructor(db: Transaction) {
    this.#db = db
  }

  /** Reads what the payees of charges that are to be reserved are compared with (rule 6). */
  async payeesOf(charges: readonly ChargeTerms[]): Promise<Payees> {
    const sellers = new Map(charges.map((terms) => [sellerOf(terms), terms]))
    const pinned = await this.#pinsOf([...sellers.values()])
    const first = [...sellers].filter(([seller]) => !pinned.has(seller))
    if (first.length === 0) return new Payees(pinned, new Map())
    // First payments to one seller are reserved one after the other. One statement sees one instant: a payment that settles now is
    // either still open or has its payee pinned.
    const [, rows] = await Promise.all([
      this.#db.lock(first.map(([seller]) => `first payment ${seller}`)),
      this.#db.all(
        `SELECT k.n, pins.*, open.payee FROM ${PLACES} LEFT JOIN pins ON ${SAME_PLACE}
        LEFT JOIN LATERAL (SELECT DISTINCT charges.pay_to AS payee FROM charges WHERE state IN ('held', 'authorized')
          AND charges.api_base = k.api_base AND charges.network = k.network AND charges.asset = k.asset) AS open ON true`,
        placesJson(first.map(([, terms]) => terms)),
      ),
    ])
    const open = new Map<string, Set<string>>(first.map(([seller]) => [seller, new Set()]))
    for (const row of rows) {
      const seller = first[integer(row, 'n')]?.[0] ?? ''
      if (row['pay_to'] !== null) pinned.set(seller, rowToPin(row))
      if (row['payee'] !== null) open.get(seller)?.add(text(row, 'payee'))
    }
    return new Payees(pinned, open)
  }

  async #pinsOf(sellers: readonly ChargeTerms[]): Promise<Map<string, Pin>> {
    if (sellers.length === 0) return new Map()
    const rows = await this.#db.all(
      `SELECT pins.* FROM ${PLACES} JOIN pins ON ${SAME_PLACE}`,
      placesJson(sellers),
    )
    return new Map(rows.map(rowToPin).map((pin) => [sellerOf(pin), pin]))
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

  /** Pins the payees of payments that settled, where none is pinned. */
  notePins(pins: readonly Pin[]): void {
    const first = new Map(pins.toReversed().map((pin) => [sellerOf(pin), pin]))
    if (first.size === 0) return
    const rows = [...first]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([, pin]) => ({ ...placeOf(pin), pay_to: pin.payTo, pinned_at: pin.pinnedAt }))
    this.#db.send(
      `INSERT INTO pins SELECT * FROM jsonb_populate_recordset(NULL::pins, ?::jsonb)
      ON CONFLICT (api_base, network, asset) DO NOTHING`,
      json(rows),
    )
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
