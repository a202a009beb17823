/** Sources and listings of the catalogue, as tables and as JSON. */
import type { Listing } from '../../../core/catalogue/listing.ts'
import { findNetwork } from '../../../core/money/assets.ts'
import type { CatalogueIndex } from '../../../io/catalogue/catalogue-index.ts'
import type { CatalogueSource, IndexedListing, ProbeRecord } from '../../../io/catalogue/indexed.ts'
import { renderTable } from './table.ts'

const DAY_MS = 86_400_000
/** Older than this, what a source lists may have changed. */
const STALE_MS = 30 * DAY_MS

/** A source for programs. */
export function sourceJson(source: CatalogueSource, now: number): object {
  const { name, kind, address, readAt, generatedAt, listings, skipped, problem } = source
  return {
    name,
    kind,
    address,
    read_at: readAt === undefined ? null : new Date(readAt).toISOString(),
    generated_at: generatedAt ?? null,
    stale: isStale(source, now),
    listings,
    skipped,
    problem: problem ?? null,
  }
}

/** Sources as a table, with why one could not be read below it. */
export function renderSources(sources: readonly CatalogueSource[], now: number): string {
  if (sources.length === 0)
    return 'No catalogue is known yet. Add one: tollway catalog add https://seller.example.com\n'
  const rows = sources.map((source) => {
    const { name, kind, listings, skipped, readAt, address } = source
    const count = skipped === 0 ? String(listings) : `${listings} (${skipped} unreadable)`
    return [name, kind, count, `${age(readAt, now)}${isStale(source, now) ? ' STALE' : ''}`, address]
  })
  const problems = sources.flatMap(({ name, problem }) =>
    problem === undefined ? [] : [`${name} could not be read the last time: ${problem}.\n`],
  )
  return [renderTable(['SOURCE', 'KIND', 'LISTINGS', 'READ', 'ADDRESS'], rows), ...problems].join('')
}

/** Listings as a table. */
export function renderListings(found: readonly IndexedListing[]): string {
  if (found.length === 0) return 'Nothing in the catalogue fits.\n'
  const rows = found.map(({ source, listing }) => [
    `${source}/${listing.id}`,
    listing.model ?? listing.name,
    listing.service,
    priceOf(listing),
    networksOf(listing),
    listing.obstacle ? `no: ${listing.obstacle.reason}` : '',
  ])
  return renderTable(['LISTING', 'SELLS', 'SERVICE', 'LISTED PRICE', 'NETWORKS', 'USABLE'], rows)
}

/** A listing for programs. */
export function listingJson({ source, listing, seenAt }: IndexedListing): Readonly<Record<string, unknown>> {
  const { id, kind, name, service, summary, words, model, url, method, prices, terms, obstacle, check } =
    listing
  return {
    listing: `${source}/${id}`,
    kind,
    name,
    service,
    summary,
    words,
    model: model ?? null,
    url: url ?? null,
    method: method ?? null,
    listed_prices: prices.map(({ usd, unit, per, text }) => ({ usd: usd ?? null, unit, per, text })),
    listed_terms: terms.map(({ network, asset, payTo, amount, scheme }) => ({
      network,
      asset: asset ?? null,
      pay_to: payTo ?? null,
      amount: amount ?? null,
      scheme: scheme ?? null,
    })),
    unusable: obstacle ?? null,
    catalogue_check: check ? { status: check.status, at: check.at ?? null } : null,
    ends_at: listing.endsAt ?? null,
    read_at: new Date(seenAt).toISOString(),
  }
}

/** A probe for programs. */
export function probeJson({ at, status, usd, payable, note }: ProbeRecord): object {
  return { at: new Date(at).toISOString(), status: status ?? null, usd: usd ?? null, payable, note }
}

/** All that is known of one listing. @param raw what the catalogue published, parsed */
export function renderListing(found: IndexedListing, probes: readonly ProbeRecord[], now: number): string {
  const { listing, seenAt } = found
  const { obstacle, check } = listing
  const facts: readonly (readonly [string, string | undefined])[] = [
    ['listing', `${found.source}/${listing.id}`],
    ['name', listing.name],
    ['service', listing.service],
    ['summary', listing.summary],
    ['model', listing.model],
    [
      'address',
      listing.url === undefined ? 'none in this catalogue' : `${listing.method ?? ''} ${listing.url}`.trim(),
    ],
    ['listed price', priceOf(listing)],
    ['networks', networksOf(listing)],
    ['paid to', [...new Set(listing.terms.flatMap(({ payTo }) => payTo ?? []))].join(', ')],
    ['words', listing.words.join(', ')],
    ['ends', listing.endsAt],
    ['catalogue says', check && `${check.status}${check.at === undefined ? '' : `, ${check.at}`}`],
    [
      'not usable',
      obstacle &&
        `${obstacle.reason}. ${obstacle.explanation}${obstacle.actionable ? ' This may change.' : ''}`,
    ],
    ['read', `${age(seenAt, now)} ago`],
  ]
  const lines = facts.flatMap(([name, text]) =>
    text === undefined || text === '' ? [] : [`${name.padEnd(15)}${text}\n`],
  )
  const history = probes.map(({ at, status, usd, payable, note }) => [
    new Date(at).toISOString(),
    String(status ?? '-'),
    usd === undefined ? '-' : `$${usd}`,
    payable ? 'yes' : 'no',
    note,
  ])
  const table =
    history.length === 0 ? '' : `\n${renderTable(['ASKED', 'STATUS', 'PRICE', 'PAYABLE', 'NOTE'], history)}`
  return `${lines.join('')}${table}`
}

/** The history of the address of a listing. */
export function probesOf(index: CatalogueIndex, { url, method }: Listing): ProbeRecord[] {
  return url === undefined ? [] : index.probes(url, method ?? 'GET')
}

/** The listed prices in one cell. */
export function priceOf({ prices }: Listing): string {
  return prices
    .slice(0, 3)
    .map(({ text }) => text)
    .join(', ')
}

function networksOf({ terms }: Listing): string {
  return [...new Set(terms.map(({ network }) => findNetwork(network)?.alias ?? network))]
    .slice(0, 6)
    .join(', ')
}

/** Whether a source was read, or made, too long ago to be believed. */
function isStale({ readAt, generatedAt }: CatalogueSource, now: number): boolean {
  const made = generatedAt === undefined ? Number.NaN : Date.parse(generatedAt)
  return readAt === undefined || now - readAt > STALE_MS || now - made > STALE_MS
}

function age(at: number | undefined, now: number): string {
  if (at === undefined) return 'never'
  const minutes = Math.max(0, Math.floor((now - at) / 60_000))
  if (minutes < 60) return `${minutes} min`
  return minutes < 2 * 1440 ? `${Math.floor(minutes / 60)} h` : `${Math.floor(minutes / 1440)} days`
}
