/**
 * A seller's own `/openapi.json`: the paid operations by `x-payment-info` (AgentCash, x402scan) or `x-x402-payment` (Obol). References
 * to other documents are never followed.
 */
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
import type { ListedPrice, Listing, ListedTerms, Obstacle, ReadCatalogue } from './listing.ts'
import { isChatUrl, MAX_ENTRIES, usdPrice } from './read-entries.ts'

/** Whether a document is one of these. */
export function isOpenApi(document: unknown): boolean {
  const version = property(document, 'openapi')
  return typeof version === 'string' && isRecord(property(document, 'paths'))
}

/**
 * @param base the address of the document
 * @returns `undefined` for another kind of document
 */
export function readOpenApi(document: unknown, base: string | undefined): ReadCatalogue | undefined {
  const paths = property(document, 'paths')
  if (!isRecord(paths)) return undefined
  const seller = sellerOf(document, base)
  const operations = Object.entries(paths).flatMap(([path, item]) =>
    isRecord(item)
      ? Object.entries(item).flatMap(([method, operation]) =>
          cleanMethod(method) !== undefined && isRecord(operation) ? [{ path, method, operation }] : [],
        )
      : [],
  )
  const listings = operations
    .slice(0, MAX_ENTRIES)
    .filter(({ operation }) => paymentOf(operation) !== undefined)
    .map((found) => operationOf(found, seller))
  return { listings, skipped: 0, generatedAt: undefined, more: [] }
}

interface Seller {
  readonly name: string
  readonly base: string | undefined
  readonly summary: string
}

function sellerOf(document: unknown, base: string | undefined): Seller {
  const info = property(document, 'info')
  const servers = property(document, 'servers')
  const server: unknown = Array.isArray(servers) ? property(servers[0], 'url') : undefined
  const place = cleanUrl(server, base) ?? base
  return {
    name: cleanText(property(info, 'title'), TEXT_LIMITS.name),
    base: place === undefined ? undefined : place.replace(/\/(?:openapi\.json)?$/, ''),
    summary: cleanText(property(info, 'description'), TEXT_LIMITS.summary),
  }
}

function paymentOf(
  operation: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> | undefined {
  const found = operation['x-payment-info'] ?? operation['x-x402-payment']
  return isRecord(found) ? found : undefined
}

function operationOf(
  {
    path,
    method,
    operation,
  }: {
    readonly path: string
    readonly method: string
    readonly operation: Readonly<Record<string, unknown>>
  },
  seller: Seller,
): Listing {
  const payment = paymentOf(operation) ?? {}
  const url =
    path.startsWith('/') && seller.base !== undefined ? cleanUrl(`${seller.base}${path}`) : undefined
  const verb = cleanMethod(method)
  const summary = cleanText(operation['summary'] ?? operation['description'], TEXT_LIMITS.summary)
  return {
    id: cleanText(`${verb ?? ''} ${path}`, TEXT_LIMITS.id),
    kind: isChatUrl(url) ? 'inference' : 'http',
    name: cleanText(operation['operationId'] ?? operation['summary'] ?? path, TEXT_LIMITS.name),
    service: seller.name === '' ? hostOf(url) : seller.name,
    summary: summary === '' ? seller.summary : summary,
    words: cleanWords(operation['tags']),
    model: modelOf(operation),
    url,
    method: verb,
    prices: pricesOf(payment),
    terms: termsOf(payment),
    obstacle: protocolObstacle(payment['protocols']),
    check: undefined,
    endsAt: undefined,
    raw: rawOf({ path, method, ...operation }),
  }
}

/** `x-payment-info` states one price, or a least and a most; Obol's extension a price per unit. */
function pricesOf(payment: Readonly<Record<string, unknown>>): ListedPrice[] {
  const price = payment['price']
  const amounts = ['amount', 'min', 'max'].map((name) => property(price, name))
  const inUsd = amounts.flatMap((amount) => usdPrice(amount) ?? [])
  if (inUsd.length > 0) return inUsd
  if (!isRecord(price)) return [usdPrice(price)].flatMap((one) => one ?? [])
  const symbol = cleanText(property(payment['asset'], 'symbol'), 20)
  return Object.entries(price)
    .slice(0, 10)
    .flatMap(([unit, amount]) => {
      const found = unit.endsWith('Atomic') ? undefined : usdPrice(amount, cleanText(unit, TEXT_LIMITS.word))
      if (!found) return []
      const isDollar = symbol === '' || symbol === 'USDC'
      return [
        {
          ...found,
          usd: isDollar ? found.usd : undefined,
          text: `${found.usd ?? ''} ${symbol} ${found.unit}`.replaceAll(/\s+/g, ' '),
        },
      ]
    })
}

function termsOf(payment: Readonly<Record<string, unknown>>): ListedTerms[] {
  const { network, payTo, asset, scheme, price } = payment
  if (network === undefined && payTo === undefined) return []
  const amount = property(price, 'perRequestAtomic')
  return [
    {
      network: cleanNetwork(network),
      asset: cleanToken(typeof asset === 'string' ? asset : property(asset, 'address')),
      payTo: cleanToken(payTo),
      amount: cleanToken(amount),
      scheme: cleanToken(scheme),
    },
  ]
}

/** An operation that is paid by other protocols only. */
function protocolObstacle(protocols: unknown): Obstacle | undefined {
  if (!Array.isArray(protocols) || protocols.length === 0) return undefined
  const names = protocols
    .slice(0, 10)
    .flatMap((entry) => (isRecord(entry) ? Object.keys(entry) : [String(entry)]))
  if (names.includes('x402')) return undefined
  const told = cleanWords(names).join(', ')
  return { reason: 'other_protocol', explanation: `It is paid by ${told}, not by x402.`, actionable: false }
}

/** The only model that the schema of the body allows. */
function modelOf(operation: Readonly<Record<string, unknown>>): string | undefined {
  const content = property(property(operation['requestBody'], 'content'), 'application/json')
  const model = property(property(property(content, 'schema'), 'properties'), 'model')
  const values = property(model, 'enum')
  const only: unknown =
    Array.isArray(values) && values.length === 1
      ? values[0]
      : (property(model, 'const') ?? property(model, 'default'))
  return cleanText(only, TEXT_LIMITS.name) || undefined
}

function hostOf(url: string | undefined): string {
  return url === undefined ? '' : new URL(url).host
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
