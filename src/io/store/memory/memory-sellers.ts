/** What the memory store remembers of sellers: payees and prices. */
import { matchesSeller, notedPrice } from '../rules/price-rules.ts'
import type { KnownPrice, Pin, PriceKey, SellerFilter } from '../store.ts'

/** See the file's head. */
export class MemorySellers {
  readonly #pins = new Map<string, Pin>()
  readonly #prices = new Map<string, KnownPrice>()

  pin(key: Pick<Pin, 'apiBase' | 'network' | 'asset'>): Pin | undefined {
    return this.#pins.get(pinId(key))
  }

  pins(apiBase: string | undefined): Pin[] {
    return [...this.#pins.values()]
      .filter((pin) => apiBase === undefined || pin.apiBase === apiBase)
      .toSorted((a, b) => compareTexts(pinTexts(a), pinTexts(b)))
  }

  trustPin(pin: Pin): void {
    this.#pins.set(pinId(pin), { ...pin })
  }

  forget(apiBase: string): { readonly pins: number; readonly prices: number } {
    return { pins: drop(this.#pins, apiBase), prices: drop(this.#prices, apiBase) }
  }

  price(key: PriceKey): KnownPrice | undefined {
    return this.#prices.get(priceId(key))
  }

  prices(apiBase: string | undefined): KnownPrice[] {
    return [...this.#prices.values()]
      .filter((price) => apiBase === undefined || price.apiBase === apiBase)
      .toSorted((a, b) => compareTexts(priceTexts(a), priceTexts(b)))
  }

  note(key: PriceKey, paid: bigint, at: number): void {
    this.#prices.set(priceId(key), notedPrice(this.price(key), key, paid, at))
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

/** Order by code unit, as SQLite's BINARY does for ASCII: every store lists the same way. */
function compareTexts(a: readonly string[], b: readonly string[]): number {
  for (const [index, one] of a.entries()) {
    const other = b[index] ?? ''
    if (one !== other) return one < other ? -1 : 1
  }
  return 0
}
