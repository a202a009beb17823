/** Caller keys are kept as digests, so that neither the parsed configuration nor a memory dump contains a key. */
import { createHash } from 'node:crypto'

/**
 * SHA-256 of a caller key, lower-case hex. Not stretched, because keys are long and random and each request hashes one.
 */
export function hashKey(key: string): string {
  return createHash('sha256').update(key, 'utf8').digest('hex')
}
