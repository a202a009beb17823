/**
 * pay-skills of solana-foundation: the front matter of a `PAY.md`, the published index `skills.json` (a line for each provider) and
 * the detail file of a provider. The only catalogue with prices per token.
 */
import { z } from 'zod'
import { property } from '../property.ts'
import { cleanMethod, cleanText, cleanUrl, cleanWords, decimalText, rawOf, TEXT_LIMITS } from './clean.ts'
import type { ListedPrice, Listing, ReadCatalogue } from './listing.ts'
import { isChatUrl, readEntries, usdPrice } from './read-entries.ts'

/** Whose details are read with the index: they sell models, by the token. */
const MODELS = 'ai_ml'
/** The most detail files of one index. */
const MAX_DETAILS = 60

/** Whether a document is the index or the detail of a provider. */
export function isPaySkills(document: unknown): boolean {
  return (
    Array.isArray(property(document, 'providers')) ||
    (typeof property(document, 'service_url') === 'string' && property(document, 'use_case') !== undefined)
  )
}

/** @returns `undefined` for another kind of document */
export function readPaySkills(document: unknown): ReadCatalogue | undefined {
  const providers = property(document, 'providers')
  const generatedAt = cleanText(property(document, 'generated_at'), TEXT_LIMITS.word) || undefined
  if (!Array.isArray(providers)) {
    const listings = providerOf(document)
    return listings.length === 0 ? undefined : { listings, skipped: 0, generatedAt, more: [] }
  }
  return { ...readEntries(providers, summaryOf), generatedAt, more: detailsOf(document, providers) }
}

const PROVIDER = z.looseObject({
  fqn: z.string().min(1).optional(),
  name: z.string().min(1).optional(),
  title: z.string().min(1),
  description: z.string().optional(),
  use_case: z.string().optional(),
  category: z.string().optional(),
  service_url: z.string(),
  endpoints: z.array(z.unknown()).optional().catch(undefined),
  min_price_usd: z.unknown().optional(),
  max_price_usd: z.unknown().optional(),
})
type ProviderEntry = z.output<typeof PROVIDER>

/** A provider of the index. */
function summaryOf(entry: unknown): Listing[] {
  const parsed = PROVIDER.safeParse(entry)
  if (!parsed.success) return []
  const { min_price_usd: least, max_price_usd: most } = parsed.data
  const prices = [usdPrice(least), least === most ? undefined : usdPrice(most)].flatMap(
    (price) => price ?? [],
  )
  return [
    { ...listingOf(parsed.data, cleanUrl(parsed.data.service_url), undefined), prices, raw: rawOf(entry) },
  ]
}

const ENDPOINT = z.looseObject({
  method: z.unknown().optional(),
  path: z.string(),
  description: z.string().optional(),
  resource: z.string().optional(),
  pricing: z.unknown().optional(),
})

/** The front matter of a `PAY.md`, or a detail file: a listing for each endpoint. */
function providerOf(document: unknown): Listing[] {
  const parsed = PROVIDER.safeParse(document)
  if (!parsed.success) return []
  const base = cleanUrl(parsed.data.service_url)
  const endpoints = parsed.data.endpoints ?? []
  if (endpoints.length === 0) return [{ ...listingOf(parsed.data, base, undefined), raw: rawOf(document) }]
  return readEntries(endpoints, (entry) => {
    const endpoint = ENDPOINT.safeParse(entry)
    if (!endpoint.success) return []
    const { method, path, description, resource, pricing } = endpoint.data
    const url =
      base === undefined ? undefined : cleanUrl(`${base.replace(/\/+$/, '')}/${path.replace(/^\/+/, '')}`)
    const listing = listingOf(parsed.data, url, cleanMethod(method))
    const summary = cleanText(description, TEXT_LIMITS.summary)
    return [
      {
        ...listing,
        id: cleanText(`${listing.id} ${listing.method ?? ''} ${path}`, TEXT_LIMITS.id),
        summary: summary === '' ? listing.summary : summary,
        words: [...listing.words, ...cleanWords([resource])],
        prices: pricesOf(pricing),
        raw: rawOf(entry),
      },
    ]
  }).listings.slice()
}

function listingOf(provider: ProviderEntry, url: string | undefined, method: string | undefined): Listing {
  const { fqn, name, title, description, use_case: useCase, category } = provider
  const id = cleanText(fqn ?? name ?? title, TEXT_LIMITS.id)
  return {
    id,
    kind: isChatUrl(url) ? 'inference' : 'http',
    name: cleanText(title, TEXT_LIMITS.name),
    service: id,
    summary: cleanText(description, TEXT_LIMITS.summary),
    words: cleanWords([category, useCase]),
    model: undefined,
    url,
    method,
    prices: [],
    terms: [],
    obstacle: undefined,
    check: undefined,
    endsAt: undefined,
    raw: undefined,
  }
}

const DIMENSION = z.looseObject({
  direction: z.string().optional(),
  unit: z.string(),
  scale: z.number().positive().max(1e12).optional(),
  tiers: z.array(z.looseObject({ price_usd: z.unknown().optional() })).min(1),
})

/** The first tier of each dimension, such as `$2.5 per 1,000,000 input tokens`. */
function pricesOf(pricing: unknown): ListedPrice[] {
  const dimensions = property(pricing, 'dimensions')
  if (!Array.isArray(dimensions)) return []
  return dimensions.slice(0, 20).flatMap((entry) => {
    const parsed = DIMENSION.safeParse(entry)
    if (!parsed.success || decimalText(parsed.data.tiers[0]?.price_usd) === undefined) return []
    const { direction, unit, scale = 1, tiers } = parsed.data
    const isPlain = unit === 'requests'
    const flow = direction === undefined || direction === 'usage' ? '' : `${direction} `
    const what = isPlain && scale === 1 ? 'request' : `${flow}${unit}`
    const price = usdPrice(tiers[0]?.price_usd, cleanText(what, TEXT_LIMITS.word), scale)
    const more = tiers.length > 1 ? ', less by the quantity' : ''
    return price ? [{ ...price, text: `${price.text}${more}` }] : []
  })
}

/** The detail files of providers that sell models, by the base that the index names. */
function detailsOf(document: unknown, providers: readonly unknown[]): string[] {
  const base = cleanUrl(property(document, 'base_url'))
  if (base === undefined) return []
  return providers
    .filter((entry) => property(entry, 'category') === MODELS)
    .flatMap((entry) => {
      const fqn = property(entry, 'fqn')
      const isName = typeof fqn === 'string' && /^[\w.-]+(?:\/[\w.-]+){0,4}$/.test(fqn) && !fqn.includes('..')
      return isName ? (cleanUrl(`${base.replace(/\/+$/, '')}/providers/${fqn}.json`) ?? []) : []
    })
    .slice(0, MAX_DETAILS)
}
