/** Digests requests with a secret key of the store: equal requests have equal digests, and no one without the key can guess one. */
import { createHmac, createSecretKey } from 'node:crypto'

/** Digests a list of values; HMAC-SHA-256, lower-case hex. Lists that differ in any way differ. */
export type RequestDigest = (values: readonly (string | Uint8Array)[]) => string

/** @param key 32 bytes, from `IdempotencyStore.digestKey` */
export function requestDigest(key: Uint8Array): RequestDigest {
  // Made once: bytes would be made into a key anew for each digest, which takes longer than the digest.
  const secret = createSecretKey(key)
  return (values) => {
    const hmac = createHmac('sha256', secret)
    for (const part of values) {
      // Each part's length comes first, so that no two lists produce the same bytes.
      hmac.update(`${typeof part === 'string' ? Buffer.byteLength(part) : part.length}:`).update(part)
    }
    return hmac.digest('hex')
  }
}
