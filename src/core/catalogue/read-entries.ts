/** What the readers share: entries that cannot be read are counted and left out, and no document has more than a bound. */
import type { Listing, ListedPrice, ReadCatalogue } from './listing.ts'
import { decimalText } from './clean.ts'

/** The most entries of one document. */
export const MAX_ENTRIES = 20_000

/**
 * Reads each entry of a list. Of entries with one id the first counts.
 * @param read returns the listings of an entry; none for one that cannot be read
 */
export function readEntries(
  entries: readonly unknown[],
  read: (entry: unknown) => readonly Listing[],
): Pick<ReadCatalogue, 'listings' | 'skipped'> {
  const listings = new Map<string, Listing>()
  let skipped = Math.max(0, entries.length - MAX_ENTRIES)
  for (const entry of entries.slice(0, MAX_ENTRIES)) {
    const found = read(entry).filter(({ id }) => id !== '' && !listings.has(id))
    if (found.length === 0) skipped += 1
    for (const listing of found) if (listings.size < MAX_ENTRIES) listings.set(listing.id, listing)
  }
  return { listings: [...listings.values()], skipped }
}

/** A price in USD; `undefined` for a value that is no amount. */
export function usdPrice(value: unknown, unit = 'request', per = 1): ListedPrice | undefined {
  const usd = decimalText(value)
  if (usd === undefined) return undefined
  const amount = per === 1 ? unit : `${per.toLocaleString('en-US')} ${unit}`
  return { usd, unit, per, text: `$${usd} per ${amount}` }
}

/** Whether an address is one that models are called at. */
export function isChatUrl(url: string | undefined): boolean {
  return (
    url !== undefined && /\/(?:chat\/completions|v1\/messages|v1\/responses)$/.test(new URL(url).pathname)
  )
}
