import type { Reply } from './exchange.ts'

/** Headers of one connection only (RFC 9110, section 7.6.1, and the older ones still met). */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
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
 * What of a paid seller's answer reaches the client: how to read the body, how long to keep it, and what the protocols tell
 * about model, limits and request. Everything else may make a client pay again (`retry-after`), log in, keep state for our host,
 * trust another origin, or command a server between us and the client (`x-accel-redirect`).
 */
const FROM_SELLERS: ReadonlySet<string> = new Set([
  'content-type',
  'content-length',
  'content-encoding',
  'content-language',
  'content-disposition',
  'content-range',
  'cache-control',
  'pragma',
  'expires',
  'last-modified',
  'date',
  'age',
  'vary',
  'request-id',
  'x-generation-id',
  'x-model',
  'x-model-version',
])

const PREFIXES_FROM_SELLERS: readonly string[] = ['openai-', 'anthropic-', 'x-ratelimit-', 'ratelimit-']

/** Without these the body cannot be read: they come first when there is not room for all. */
const OF_THE_BODY: ReadonlySet<string> = new Set(['content-type', 'content-length', 'content-encoding'])

/** Bytes of a paid seller's headers that reach the client: Node's and Python's clients refuse 16 kB of all headers together. */
const MAX_SELLER_BYTES = 8192

/** A longer media type is passed on without its parameters. */
const MAX_TYPE_LENGTH = 256

/** Whether a header, lower-case name, belongs to one connection and is never passed on. */
export function isHopByHop(name: string): boolean {
  return HOP_BY_HOP.has(name)
}

/** The headers of an answer that go on to the client: all but hop-by-hop ones, and of a paid answer those that clients need. */
export function relayedHeaders(reply: Pick<Reply, 'headers' | 'kind'>): [string, string | string[]][] {
  const named = namedByConnection(reply.headers['connection'])
  const kept = Object.entries(reply.headers).filter(
    ([name]) => !isHopByHop(name) && !named.has(name) && !name.startsWith('x-tollway-'),
  )
  if (reply.kind === 'paid') return fromSeller(kept)
  return kept.map(([name, value]) => [name, typeof value === 'string' ? value : [...value]])
}

function fromSeller(headers: readonly [string, string | readonly string[]][]): [string, string | string[]][] {
  const allowed = headers.flatMap(([name, value]): [string, string | string[]][] => {
    if (!mayComeFromSeller(name)) return []
    // Of one body there is one type and one length.
    if (OF_THE_BODY.has(name)) return [[name, name === 'content-type' ? shortType(value) : firstOf(value)]]
    return [[name, typeof value === 'string' ? value : [...value]]]
  })
  const ordered = [
    ...allowed.filter(([name]) => OF_THE_BODY.has(name)),
    ...allowed.filter(([name]) => !OF_THE_BODY.has(name)),
  ]
  let room = MAX_SELLER_BYTES
  return ordered.filter((header) => {
    const size = sizeOf(header)
    if (size > room) return false
    room -= size
    return true
  })
}

/** As it is sent: each value in a line of its own. */
function sizeOf([name, value]: [string, string | string[]]): number {
  const values = typeof value === 'string' ? [value] : value
  return values.reduce((sum, each) => sum + name.length + each.length + ': \r\n'.length, 0)
}

function shortType(value: string | readonly string[]): string {
  const type = firstOf(value)
  return type.length <= MAX_TYPE_LENGTH ? type : mediaType({ 'content-type': type })
}

/** The first value of a header, lower-case and without parameters; `''` when there is none. */
export function mediaType(headers: Reply['headers']): string {
  return firstOf(headers['content-type']).split(';', 1)[0]?.trim().toLowerCase() ?? ''
}

/** Whether a media type is that of JSON. */
export function isJsonType(type: string): boolean {
  return type === 'application/json' || type.endsWith('+json')
}

function mayComeFromSeller(name: string): boolean {
  return FROM_SELLERS.has(name) || PREFIXES_FROM_SELLERS.some((prefix) => name.startsWith(prefix))
}

export function namedByConnection(value: string | readonly string[] | undefined): ReadonlySet<string> {
  const text = typeof value === 'string' ? value : (value ?? []).join(',')
  return new Set(text.split(',').map((name) => name.trim().toLowerCase()))
}
export function firstOf(value: string | readonly string[] | undefined): string {
  return typeof value === 'string' ? value : (value?.[0] ?? '')
}
