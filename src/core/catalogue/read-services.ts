/** Obol's `/api/services.json`: an array of services, whose payee, asset, network and price can be compared with the 402. */
import { z } from 'zod'
import { findNetwork } from '../money/assets.ts'
import { formatUnits, parseAtomic } from '../money/money.ts'
import { property } from '../property.ts'
import {
  cleanNetwork,
  cleanText,
  cleanToken,
  cleanUrl,
  cleanWords,
  decimalText,
  rawOf,
  TEXT_LIMITS,
} from './clean.ts'
import type { ListedPrice, Listing, ListedTerms, ListingKind, ReadCatalogue } from './listing.ts'
import { readEntries } from './read-entries.ts'

const SERVICE = z.looseObject({
  name: z.string().min(1),
  namespace: z.string().optional(),
  type: z.string().optional(),
  endpoint: z.string().optional(),
  url: z.string().optional(),
  description: z.string().optional(),
  model: z.string().optional(),
  price: z.union([z.string(), z.number()]).optional(),
  priceRaw: z.union([z.string(), z.number()]).optional(),
  priceUnit: z.string().optional(),
  priceAtomicUnits: z.unknown().optional(),
  payTo: z.string().optional(),
  network: z.string().optional(),
  caip2Network: z.string().optional(),
  asset: z
    .looseObject({
      address: z.string().optional(),
      symbol: z.string().optional(),
      decimals: z.number().int().min(0).max(36).optional(),
    })
    .optional()
    .catch(undefined),
  skills: z.unknown().optional(),
  registrationPending: z.unknown().optional(),
  drainEndsAt: z.unknown().optional(),
})
type Service = z.output<typeof SERVICE>

const KINDS: Readonly<Record<string, ListingKind>> = { inference: 'inference', agent: 'agent', http: 'http' }
const UNITS: Readonly<Record<string, readonly [unit: string, per: number]>> = {
  perRequest: ['request', 1],
  perMTok: ['tokens', 1_000_000],
  perHour: ['hour', 1],
  perEpoch: ['epoch', 1],
  perMB: ['MB', 1],
}

/**
 * @param base the address of the document, for relative endpoints
 * @returns `undefined` for another kind of document
 */
export function readServices(document: unknown, base: string | undefined): ReadCatalogue | undefined {
  const list = Array.isArray(document) ? document : property(document, 'services')
  if (!Array.isArray(list)) return undefined
  const read = (entry: unknown): Listing[] => {
    const parsed = SERVICE.safeParse(entry)
    return parsed.success ? [serviceOf(parsed.data, entry, base)] : []
  }
  return { ...readEntries(list, read), generatedAt: undefined, more: [] }
}

function serviceOf(service: Service, entry: unknown, base: string | undefined): Listing {
  const { name, namespace, type = '', endpoint, url, description, model, skills, drainEndsAt } = service
  const kind = KINDS[type] ?? 'other'
  const isAsked = kind === 'inference' || kind === 'agent'
  return {
    id: cleanText(namespace === undefined ? name : `${namespace}/${name}`, TEXT_LIMITS.id),
    kind,
    name: cleanText(name, TEXT_LIMITS.name),
    service: cleanText(namespace ?? name, TEXT_LIMITS.name),
    summary: cleanText(description, TEXT_LIMITS.summary),
    words: cleanWords([type, ...(Array.isArray(skills) ? skills : [])]),
    model: cleanText(model, TEXT_LIMITS.name) || undefined,
    url: cleanUrl(endpoint ?? url, base),
    method: isAsked ? 'POST' : undefined,
    prices: pricesOf(service),
    terms: termsOf(service),
    obstacle:
      service.registrationPending === true
        ? {
            reason: 'registration_pending',
            explanation: 'The seller says that it is not ready yet.',
            actionable: true,
          }
        : undefined,
    check: undefined,
    endsAt: cleanText(drainEndsAt, TEXT_LIMITS.word) || undefined,
    raw: rawOf(entry),
  }
}

function pricesOf({
  price,
  priceRaw,
  priceUnit = 'perRequest',
  priceAtomicUnits,
  asset,
}: Service): ListedPrice[] {
  const [unit, per] = UNITS[priceUnit] ?? [cleanText(priceUnit, TEXT_LIMITS.word), 1]
  const symbol = cleanText(asset?.symbol, 20)
  const units = parseAtomic(priceAtomicUnits)
  const amount =
    units !== undefined && asset?.decimals !== undefined
      ? formatUnits(units, asset.decimals)
      : decimalText(priceRaw)
  if (amount === undefined) {
    const text = cleanText(String(price ?? ''), TEXT_LIMITS.name)
    return text === '' ? [] : [{ usd: undefined, unit, per, text }]
  }
  const of = per === 1 ? unit : `${per.toLocaleString('en-US')} ${unit}`
  return [
    {
      usd: symbol === 'USDC' ? amount : undefined,
      unit,
      per,
      text: `${`${amount} ${symbol}`.trim()} per ${of}`,
    },
  ]
}

function termsOf({
  payTo,
  network,
  caip2Network,
  asset,
  priceUnit,
  priceAtomicUnits,
}: Service): ListedTerms[] {
  const place = caip2Network ?? network
  if (place === undefined) return []
  const amount =
    priceUnit === undefined || priceUnit === 'perRequest' ? parseAtomic(priceAtomicUnits) : undefined
  return [
    {
      network: findNetwork(place)?.id ?? cleanNetwork(place),
      asset: cleanToken(asset?.address),
      payTo: cleanToken(payTo),
      amount: amount?.toString(),
      scheme: undefined,
    },
  ]
}
