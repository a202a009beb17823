/**
 * A facilitator's Bazaar: a page of `/discovery/resources` or the answer of `/discovery/search`. An entry means that somebody paid
 * once; its words are the seller's.
 */
import { z } from 'zod'
import { property } from '../property.ts'
import {
  cleanMethod,
  cleanNetwork,
  cleanText,
  cleanToken,
  cleanUrl,
  cleanWords,
  rawOf,
  TEXT_LIMITS,
} from './clean.ts'
import type { Listing, ListedTerms, ListingKind, ReadCatalogue } from './listing.ts'
import { isChatUrl, readEntries } from './read-entries.ts'

/** A page, and where the next one begins. */
export interface BazaarPage extends ReadCatalogue {
  /** Entries of the page, readable or not. */
  readonly count: number
  /** Entries of the whole list, as the facilitator says. */
  readonly total: number | undefined
}

const PAGE = z.looseObject({
  items: z.array(z.unknown()).optional(),
  resources: z.array(z.unknown()).optional(),
  pagination: z
    .looseObject({ total: z.number().int().min(0).optional().catch(undefined) })
    .nullish()
    .catch(undefined),
})

/** @returns `undefined` for another kind of document */
export function readBazaar(document: unknown): BazaarPage | undefined {
  const page = PAGE.safeParse(document)
  const list = page.data?.items ?? page.data?.resources
  if (!page.success || list === undefined) return undefined
  const total = page.data.pagination?.total
  return { ...readEntries(list, itemOf), generatedAt: undefined, more: [], count: list.length, total }
}

const OFFERS = z.array(z.looseObject({})).catch([])
const ITEM = z.looseObject({
  resource: z.union([z.string(), z.looseObject({ url: z.string() }).transform(({ url }) => url)]),
  type: z.string().optional(),
  accepts: OFFERS.optional(),
  lastUpdated: z.unknown().optional(),
  description: z.unknown().optional(),
  serviceName: z.unknown().optional(),
  tags: z.unknown().optional(),
  metadata: z.unknown().optional(),
  extensions: z.unknown().optional(),
  quality: z.unknown().optional(),
  curated: z.unknown().optional(),
})

function itemOf(entry: unknown): Listing[] {
  const parsed = ITEM.safeParse(entry)
  const url = cleanUrl(parsed.data?.resource)
  if (!parsed.success || url === undefined) return []
  const {
    type,
    accepts = [],
    lastUpdated,
    description,
    serviceName,
    tags,
    metadata,
    extensions,
    curated,
  } = parsed.data
  const input = property(property(property(extensions, 'bazaar'), 'info'), 'input')
  const method = cleanMethod(
    property(input, 'method') ?? property(property(accepts[0], 'outputSchema'), 'method'),
  )
  const tool = cleanText(property(input, 'toolName'), TEXT_LIMITS.name)
  const { host, pathname } = new URL(url)
  const about = [description, property(metadata, 'description'), property(accepts[0], 'description')]
  const kind: ListingKind = type === 'mcp' ? 'mcp' : isChatUrl(url) ? 'inference' : 'http'
  const service = cleanText(serviceName, TEXT_LIMITS.name)
  return [
    {
      id: cleanText(tool === '' ? url : `${url} ${tool}`, TEXT_LIMITS.id),
      kind,
      name:
        tool === '' ? cleanText(`${service === '' ? host : service} ${pathname}`, TEXT_LIMITS.name) : tool,
      service: service === '' ? host : service,
      summary: about.map((text) => cleanText(text, TEXT_LIMITS.summary)).find((text) => text !== '') ?? '',
      words: [...cleanWords(tags), ...(curated === true ? ['curated'] : [])],
      model: cleanText(property(property(input, 'body'), 'model'), TEXT_LIMITS.name) || undefined,
      url,
      method,
      prices: [],
      terms: accepts.slice(0, 20).map(termsOf),
      obstacle: undefined,
      check: { status: 'paid once', at: cleanText(lastUpdated, TEXT_LIMITS.word) || undefined },
      endsAt: undefined,
      raw: rawOf(entry),
    },
  ]
}

function termsOf(offer: Readonly<Record<string, unknown>>): ListedTerms {
  const amount = offer['amount'] ?? offer['maxAmountRequired']
  return {
    network: cleanNetwork(offer['network']),
    asset: cleanToken(offer['asset']),
    payTo: cleanToken(offer['payTo']),
    amount: cleanToken(amount),
    scheme: cleanToken(offer['scheme']),
  }
}
