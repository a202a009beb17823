/** Pinned payees and known prices in memory. */
import { matchesSeller, notedPrice, rangesOf } from '../rules/price-rules.ts'
import type {
  KnownPrice,
  Pin,
  PriceKey,
  PriceRange,
  SellerFilter,
  SellerStore,
} from '../contracts/sellers.ts'
import type { InTransaction } from '../synchronous-store.ts'
import { compare } from './compare.ts'

/** The sellers of the memory store. */
export class MemorySellers implements InTransaction<SellerStore> {
  readonly #pins = new Map<string, Pin>()
  readonly #prices = new Map<string, KnownPrice>()

  pin(key: Pick<Pin, 'apiBase' | 'network' | 'asset'>): Pin | undefined {
    return this.#pins.get(pinId(key))
  }

  pins(apiBase?: string): Pin[] {
    return [...this.#pins.values()]
      .filter((pin) => apiBase === undefined || pin.apiBase === apiBase)
      .toSorted((a, b) => compareTexts(pinTexts(a), pinTexts(b)))
  }

  notePin(pin: Pin): boolean {
    if (this.pin(pin)) return false
    this.trustPin(pin)
    return true
  }

  trustPin(pin: Pin): void {
    this.#pins.set(pinId(pin), { ...pin })
  }

  forgetSeller(apiBase: string): { readonly pins: number; readonly prices: number } {
    return { pins: drop(this.#pins, apiBase), prices: drop(this.#prices, apiBase) }
  }

  price(key: PriceKey): KnownPrice | undefined {
    return this.#prices.get(priceId(key))
  }

  prices(apiBase?: string): KnownPrice[] {
    return [...this.#prices.values()]
      .filter((price) => apiBase === undefined || price.apiBase === apiBase)
      .toSorted((a, b) => compareTexts(priceTexts(a), priceTexts(b)))
  }

  priceRanges(of: Pick<SellerFilter, 'apiBase' | 'endpoint' | 'model'>): PriceRange[] {
    return rangesOf(this.prices(of.apiBase).filter((price) => matchesSeller(price, of)))
  }

  notePrice(key: PriceKey, amount: bigint, at: number): void {
    this.#prices.set(priceId(key), notedPrice(this.price(key), key, amount, at))
  }

  trustPrice(filter: SellerFilter, pinned: bigint, at: number): KnownPrice[] {
    const changed = this.prices(filter.apiBase)
      .filter((price) => matchesSeller(price, filter))
      .map((price) => ({ ...price, pinned, updatedAt: at }))
    for (const price of changed) this.#prices.set(priceId(price), price)
    return changed
  }
}

function drop(from: Map<string, { readonly apiBase: string }>, apiBase: string): number {
  const ids = [...from].filter(([, entry]) => entry.apiBase === apiBase).map(([id]) => id)
  for (const id of ids) from.delete(id)
  return ids.length
}

function pinTexts({ apiBase, network, asset }: Pick<Pin, 'apiBase' | 'network' | 'asset'>): string[] {
  return [apiBase, network, asset]
}

function priceTexts({ apiBase, endpoint, model, network, asset }: PriceKey): string[] {
  return [apiBase, endpoint, model, network, asset]
}

function pinId(key: Pick<Pin, 'apiBase' | 'network' | 'asset'>): string {
  return JSON.stringify(pinTexts(key))
}

function priceId(key: PriceKey): string {
  return JSON.stringify(priceTexts(key))
}

/** Compares column by column. */
function compareTexts(a: readonly string[], b: readonly string[]): number {
  for (const [index, text] of a.entries()) {
    const order = compare(text, b[index] ?? '')
    if (order !== 0) return order
  }
  return 0
}
