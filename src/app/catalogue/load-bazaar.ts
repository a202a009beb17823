/** Reads what an x402 facilitator lists: the pages of its Bazaar, or its answer to a search. */
import { readBazaar, type BazaarPage } from '../../core/catalogue/read-bazaar.ts'
import type { Listing } from '../../core/catalogue/listing.ts'
import type { DocumentReader } from './fetch-document.ts'
import type { Loaded } from './load-source.ts'
import { parseDocument } from './parse-document.ts'

/** Entries that are asked for at once. */
const PAGE = 100
/** The most pages that are read: the largest facilitator lists tens of thousands, most of which nobody here looks for. */
const MAX_PAGES = 50
/** The longest search that is sent, characters. */
const MAX_QUERY = 400

/** Reads the list from its beginning, at most 5,000 entries. {@link searchBazaar} finds those behind them. */
export async function loadBazaar(base: string, reader: DocumentReader, signal: AbortSignal): Promise<Loaded> {
  const found = new Map<string, Listing>()
  let skipped = 0
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const offset = page * PAGE
    const read = await readPage(`${base}/discovery/resources?limit=${PAGE}&offset=${offset}`, reader, signal)
    if ('failure' in read) {
      if (page === 0) return read
      // The pages before it are worth keeping.
      break
    }
    skipped += read.skipped
    const known = found.size
    for (const listing of read.listings) if (!found.has(listing.id)) found.set(listing.id, listing)
    const isLast = read.count === 0 || (read.total !== undefined && offset + read.count >= read.total)
    // A facilitator that does not know `offset` gives the same page again.
    if (isLast || found.size === known) break
  }
  return { kind: 'bazaar', address: base, listings: [...found.values()], skipped, generatedAt: undefined }
}

/** Asks a facilitator for a need. What it gives is added to what is known of it. */
export async function searchBazaar(
  base: string,
  words: string,
  reader: DocumentReader,
  signal: AbortSignal,
): Promise<readonly Listing[] | { readonly failure: string }> {
  const query = new URLSearchParams({ query: words.slice(0, MAX_QUERY), limit: '20' })
  const read = await readPage(`${base}/discovery/search?${query}`, reader, signal)
  return 'failure' in read ? read : read.listings
}

async function readPage(
  url: string,
  reader: DocumentReader,
  signal: AbortSignal,
): Promise<BazaarPage | { readonly failure: string }> {
  const fetched = await reader.read(url, signal)
  if ('failure' in fetched) return { failure: `${url}: ${fetched.failure}` }
  return readBazaar(parseDocument(fetched.text)) ?? { failure: `${url}: no list of a Bazaar` }
}
