/** Reads all that a source lists now. */
import { readCatalogue, kindOf } from '../../core/catalogue/read-catalogue.ts'
import type { CatalogueKind, Listing, ReadCatalogue, SourceKind } from '../../core/catalogue/listing.ts'
import { property } from '../../core/property.ts'
import type { ReadResult } from '../../io/catalogue/catalogue-index.ts'
import type { DocumentReader } from './fetch-document.ts'
import { parseDocument } from './parse-document.ts'
import { providerName, readFiles } from './read-files.ts'

/** What a source gave, or why it gave nothing. */
export type Loaded =
  | (ReadResult & {
      readonly kind: SourceKind
      /** Where it was found, which may be below the address that was named. */
      readonly address: string
    })
  | { readonly failure: string }

/** The documents that a seller or a facilitator may have below its address, most telling first. */
const PLACES = ['/api/services.json', '/openapi.json', '/discovery/resources']

/**
 * Reads files.
 * @param kind of the document; found out by its shape when it is not known
 */
export function loadFiles(path: string, kind: CatalogueKind | undefined): Loaded {
  const found = new Map<string, Listing>()
  const kinds = new Set<CatalogueKind>()
  let skipped = 0
  let generatedAt: string | undefined
  try {
    for (const { name, text } of readFiles(path)) {
      const read = readText(
        name.endsWith('PAY.md') ? withName(text, name) : parseDocument(text),
        kind,
        undefined,
      )
      if (!read) {
        skipped += 1
        continue
      }
      kinds.add(read.kind)
      skipped += read.skipped
      generatedAt = read.generatedAt ?? generatedAt
      for (const listing of read.listings) if (!found.has(listing.id)) found.set(listing.id, listing)
    }
  } catch (error) {
    return { failure: error instanceof Error ? error.message : 'it cannot be read' }
  }
  const [first] = kinds
  if (first === undefined) return { failure: 'it holds no catalogue of a known kind' }
  return { kind: first, address: path, listings: [...found.values()], skipped, generatedAt }
}

function withName(text: string, file: string): unknown {
  const document = parseDocument(text)
  const isNamed = typeof document !== 'object' || document === null || property(document, 'fqn') !== undefined
  const name = providerName(file)
  return isNamed || name === '.' ? document : { ...document, fqn: name }
}

/** Reads a document at an address, or at one of the usual places below it. A facilitator's list is {@link loadBazaar}'s. */
export async function loadAddress(
  address: string,
  kind: CatalogueKind | undefined,
  reader: DocumentReader,
  signal: AbortSignal,
): Promise<Loaded> {
  const failures: string[] = []
  for (const place of placesOf(address, kind)) {
    const fetched = await reader.read(place, signal)
    if ('failure' in fetched) {
      failures.push(`${place}: ${fetched.failure}`)
      continue
    }
    const read = readText(parseDocument(fetched.text), kind, place)
    if (read?.kind === 'bazaar') return { ...read, address: facilitatorOf(place) }
    if (read) return { ...read, ...(await withDetails(read, reader, signal)), address: place }
    failures.push(`${place}: no catalogue of a known kind`)
  }
  return { failure: failures.join('; ') }
}

/** The base of a facilitator, whose list was named. */
export function facilitatorOf(address: string): string {
  const url = new URL(address)
  url.search = ''
  return url.href.replace(/\/discovery\/(?:resources|search)\/?$/, '').replace(/\/+$/, '')
}

function placesOf(address: string, kind: CatalogueKind | undefined): string[] {
  const isDocument = /\.(?:json|md)$/i.test(new URL(address).pathname)
  if (isDocument || kind !== undefined) return [address]
  const url = new URL(address)
  url.search = ''
  const base = url.href.replace(/\/+$/, '')
  const isBare = url.pathname === '/'
  return [...(isBare ? [] : [address]), ...PLACES.map((place) => `${base}${place}`)]
}

interface ReadDocument extends ReadCatalogue {
  readonly kind: CatalogueKind
}

function readText(
  document: unknown,
  kind: CatalogueKind | undefined,
  base: string | undefined,
): ReadDocument | undefined {
  const found = kind ?? kindOf(document)
  const read = found && readCatalogue(found, document, base)
  return read && found ? { ...read, kind: found } : undefined
}

/** Details replace the line of the index that they belong to. One that cannot be read leaves that line. */
async function withDetails(
  read: ReadDocument,
  reader: DocumentReader,
  signal: AbortSignal,
): Promise<Pick<ReadCatalogue, 'listings' | 'skipped'>> {
  const detailed = new Map<string, readonly Listing[]>()
  let skipped = read.skipped
  for (const place of read.more) {
    const fetched = await reader.read(place, signal)
    const details = 'text' in fetched ? readText(parseDocument(fetched.text), read.kind, place) : undefined
    const service = details?.listings[0]?.service
    if (details && service !== undefined) detailed.set(service, details.listings)
    else skipped += 1
  }
  return { listings: read.listings.flatMap((listing) => detailed.get(listing.service) ?? [listing]), skipped }
}
