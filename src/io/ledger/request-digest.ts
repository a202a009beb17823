/** Digests of requests, keyed with a secret of the store: the same request gives the same text, and nobody can guess it. */
import { createHmac } from 'node:crypto'

/** Digests a list of parts; HMAC-SHA-256, lower-case hex. Lists that differ in any way differ. */
export type RequestDigest = (parts: readonly (string | Uint8Array)[]) => string

/** @param key 32 bytes, {@link Store.digestKey} */
export function requestDigest(key: Uint8Array): RequestDigest {
  return (parts) => {
    const hmac = createHmac('sha256', key)
    for (const part of parts) {
      // Each part's length first: no two lists run together to the same bytes.
      hmac.update(`${typeof part === 'string' ? Buffer.byteLength(part) : part.length}:`).update(part)
    }
    return hmac.digest('hex')
  }
}
