/** Caller keys are kept as digests: the configuration's copy and every dump of memory hold no key. */
import { createHash } from 'node:crypto'

/**
 * SHA-256 of a caller key, lower-case hex. Plain and not stretched: keys are long random text, and each request
 * hashes one.
 */
export function hashKey(key: string): string {
  return createHash('sha256').update(key, 'utf8').digest('hex')
}
