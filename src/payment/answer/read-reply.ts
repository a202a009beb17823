/** Reads the short body of a reply: a challenge, a receipt or an error. */
import { decodeBody } from '../../io/transport/content-coding.ts'
import { readBounded, type BoundedBody, type IncomingReply } from '../../io/transport/upstream.ts'

/** A header of a reply as one string; repeated headers joined as RFC 9110 section 5.3 allows. */
export function headerOf(reply: Pick<IncomingReply, 'headers'>, name: string): string | undefined {
  const value = reply.headers[name]
  return typeof value === 'string' || value === undefined ? value : value.join(', ')
}

/**
 * Reads and decodes a body, at most `limit` bytes of it before and after decoding, and closes it.
 * @param timeoutMs longest wait, milliseconds
 * @throws when the body breaks off or the time is up
 */
export async function readReply(
  {
    headers,
    body,
  }: { readonly headers: IncomingReply['headers']; readonly body: Parameters<typeof readBounded>[0] },
  limit: number,
  timeoutMs: number,
): Promise<BoundedBody> {
  return decodeBody(headers, await readBounded(body, limit, timeoutMs), limit)
}
