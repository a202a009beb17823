/** Where clients put their keys and sessions: one list, for every way on which a request is forwarded. */

/** Lower-case header names. `api-key` is Azure's. */
export const CREDENTIAL_HEADERS: readonly string[] = [
  'authorization',
  'x-api-key',
  'api-key',
  'cookie',
  'proxy-authorization',
]

/** Whether a header, lower-case name, may carry a client's credential. */
export function isCredential(name: string): boolean {
  return CREDENTIAL_HEADERS.includes(name)
}
