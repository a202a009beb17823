import { PAYMENT_HEADERS } from '../x402/payment-headers.ts'
import type { Reply } from './exchange.ts'

/** Headers of one connection only (RFC 9110, section 7.6.1, and the older ones still met). */
export const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])
/**
 * What a paid seller must not tell a client through us: things that make a client pay again (`retry-after`), log in,
 * keep state for our host, trust another origin, or check bytes that we change.
 */
export const NOT_FROM_SELLERS: ReadonlySet<string> = new Set([
  ...PAYMENT_HEADERS,
  'set-cookie',
  'set-cookie2',
  'retry-after',
  'retry-after-ms',
  'x-should-retry',
  'www-authenticate',
  'location',
  'refresh',
  'clear-site-data',
  'strict-transport-security',
  'alt-svc',
  'nel',
  'report-to',
  'reporting-endpoints',
  'server-timing',
  'etag',
  'digest',
  'content-digest',
  'repr-digest',
  'content-md5',
  'accept-ranges',
  'x-request-id',
])
export const PREFIXES_NOT_FROM_SELLERS: readonly string[] = [
  'x-tollway-',
  'x-litellm-',
  'access-control-',
  'payment-',
  'x-payment',
]

/** Whether a header, lower-case name, belongs to one connection and is never passed on. */
export function isHopByHop(name: string): boolean {
  return HOP_BY_HOP.has(name)
}

/** The headers of an answer that go on to the client: all but hop-by-hop ones, and of a paid answer only what cannot harm. */
export function relayedHeaders(reply: Pick<Reply, 'headers' | 'kind'>): [string, string | string[]][] {
  const named = namedByConnection(reply.headers['connection'])
  const kept = Object.entries(reply.headers).filter(
    ([name]) =>
      !isHopByHop(name) &&
      !named.has(name) &&
      !name.startsWith('x-tollway-') &&
      (reply.kind === 'unpaid' || mayComeFromSeller(name)),
  )
  return kept.map(([name, value]) => [name, typeof value === 'string' ? value : [...value]])
}

/** The first value of a header, lower-case and without parameters; `''` when there is none. */
export function mediaType(headers: Reply['headers']): string {
  return firstOf(headers['content-type']).split(';', 1)[0]?.trim().toLowerCase() ?? ''
}
export function mayComeFromSeller(name: string): boolean {
  return !NOT_FROM_SELLERS.has(name) && !PREFIXES_NOT_FROM_SELLERS.some((prefix) => name.startsWith(prefix))
}
export function namedByConnection(value: string | readonly string[] | undefined): ReadonlySet<string> {
  const text = typeof value === 'string' ? value : (value ?? []).join(',')
  return new Set(text.split(',').map((name) => name.trim().toLowerCase()))
}
export function firstOf(value: string | readonly string[] | undefined): string {
  return typeof value === 'string' ? value : (value?.[0] ?? '')
}
