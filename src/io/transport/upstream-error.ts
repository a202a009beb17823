/** Why no answer came, and what our own socket can prove about it. */
import { errors } from 'undici'
import { PrivateAddressError } from './public-connector.ts'

/** One word for the audit record and metrics. */
export type FailureReason = 'connect' | 'timeout' | 'reset' | 'aborted' | 'malformed' | 'private'

/** No answer headers came. */
export class UpstreamError extends Error {
  override readonly name = 'UpstreamError'
  readonly reason: FailureReason
  /**
   * Proof by our own socket: not one byte of the request was handed to it (rule 4). `connect` and `private` are always
   * that: they name a connection that never was.
   */
  readonly isUnsent: boolean

  constructor(
    reason: FailureReason,
    cause: unknown,
    isUnsent = reason === 'connect' || reason === 'private',
  ) {
    super(`no answer: ${reason}`, { cause })
    this.reason = reason
    this.isUnsent = isUnsent
  }
}

/** A connection could not be opened: the name, the address, the port or TLS failed. */
export class NoConnectionError extends Error {
  override readonly name = 'NoConnectionError'

  constructor(cause: unknown) {
    super('the connection could not be opened', { cause })
  }
}

/**
 * @param signal the request's own; it is aborted when no client waits any more
 * @param isHandedOver whether the request was given to an open socket: then no code of the system means that it did not leave
 */
export function reasonOf(
  cause: unknown,
  signal: AbortSignal | undefined,
  isHandedOver: boolean | undefined,
): FailureReason {
  if (signal?.aborted) return 'aborted'
  const failure = cause instanceof NoConnectionError ? cause.cause : cause
  if (failure instanceof PrivateAddressError) return 'private'
  if (
    failure instanceof errors.HeadersTimeoutError ||
    (failure instanceof Error && failure.name === 'TimeoutError')
  )
    return 'timeout'
  if (cause instanceof NoConnectionError || isHandedOver === false) return 'connect'
  if (cause instanceof errors.HTTPParserError) return 'malformed'
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  if (/^(?:HPE_|UND_ERR_HEADERS_OVERFLOW)/.test(code)) return 'malformed'
  return 'reset'
}
