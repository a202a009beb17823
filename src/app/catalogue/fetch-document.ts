/** Reads a document of a stranger: over https from the public internet only, without redirects, bounded in size and time. */
import { ConfigError, TollwayError } from '../../core/errors.ts'
import { createUpstream, readBounded, type Upstream } from '../../io/transport/upstream.ts'
import { UpstreamError } from '../../io/transport/upstream-error.ts'
import { askOnce } from '../../payment/send-unpaid.ts'
import { OWN_HEADERS } from '../buying/ask-price.ts'
import { readUrl } from '../buying/endpoint.ts'

/** Longest wait for a document, milliseconds. */
const FETCH_MS = 20_000
/** The longest document. Bytes. */
export const MAX_DOCUMENT = 16_777_216

/** A document, or why there is none. */
export type Fetched =
  | { readonly text: string }
  | { readonly failure: string; readonly status?: number | undefined }

/** Reads documents. */
export interface DocumentReader {
  /** @throws ConfigError for an address that is none, or is plain http to another machine */
  read(url: string, signal: AbortSignal): Promise<Fetched>
  readonly upstream: Upstream
  close(): Promise<void>
}

/** @param allowsPrivate whether addresses on this machine and its network may be read, for trials */
export function documentReader(allowsPrivate: boolean): DocumentReader {
  const timeouts = { connectMs: FETCH_MS, firstByteMs: FETCH_MS, totalMs: FETCH_MS }
  // The check is part of the connection: a name cannot lead elsewhere after it.
  const upstream = createUpstream(timeouts, { publicSellers: !allowsPrivate })
  return {
    upstream,
    read: (url, signal) => fetchDocument(upstream, url, signal),
    close: () => upstream.close(),
  }
}

async function fetchDocument(upstream: Upstream, text: string, signal: AbortSignal): Promise<Fetched> {
  const url = readUrl(text)
  try {
    const reply = await askOnce(upstream, {
      method: 'GET',
      url: url.href,
      headers: { ...OWN_HEADERS, accept: 'application/json, text/markdown;q=0.9, */*;q=0.1' },
      body: undefined,
      toSeller: true,
      signal,
    })
    const { status, headers } = reply
    if (status !== 200) {
      reply.body.destroy()
      const place = headers['location']
      const moved = status >= 300 && status < 400 && typeof place === 'string'
      return {
        status,
        failure: moved
          ? `it answered ${status} and points to ${place.slice(0, 300)}; redirects are not followed`
          : `it answered ${status}`,
      }
    }
    const { bytes, truncated } = await readBounded(reply.body, MAX_DOCUMENT, FETCH_MS)
    if (truncated) return { failure: `it is longer than ${MAX_DOCUMENT} bytes` }
    return { text: bytes.toString('utf8') }
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof UpstreamError) return { failure: failureOf(error) }
    if (error instanceof TollwayError || error instanceof ConfigError) throw error
    return { failure: 'its answer broke off' }
  }
}

function failureOf({ reason }: UpstreamError): string {
  if (reason === 'private')
    return 'it is not on the public internet; --allow-private reads addresses on your own network'
  return reason === 'timeout'
    ? `it did not answer within ${FETCH_MS / 1000} s`
    : `it cannot be reached (${reason})`
}
