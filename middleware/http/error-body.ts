import type { TollwayError } from '../../src/core/errors.ts'

/** Anthropic's error types for the statuses where its SDKs distinguish errors by type; 400 and 402 keep ours. */
const ANTHROPIC_TYPES: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  500: 'api_error',
  503: 'api_error',
}

/** The JSON of an error: OpenAI's envelope, or Anthropic's on its own endpoints. */
export function errorBody(error: TollwayError, anthropic: boolean): Readonly<Record<string, unknown>> {
  if (!anthropic) return { ...error.toBody() }
  const type = ANTHROPIC_TYPES[error.status] ?? error.type
  const { message, seller } = error
  return { type: 'error', error: { type, message, ...(seller ? { seller } : {}) } }
}
