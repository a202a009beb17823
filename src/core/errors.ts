/**
 * Every error Tollway answers with, in one table: HTTP status, OpenAI `error.type`, and whether the next
 * candidate of a route may be tried. Statuses are chosen so that no stock client pays twice or locks itself
 * out: never 5xx, 408, 409 or 429 when money may have moved.
 */
export const ERROR_TABLE = {
  budget_exhausted: row(402, 'budget_exceeded', 'A budget cannot take the quoted price'),
  price_above_limit: row(400, 'invalid_request_error', 'The quote is above the ceiling per request', 'next'),
  price_unstable: row(400, 'invalid_request_error', 'The quote moved more than the allowed price change'),
  payee_not_allowed: row(400, 'invalid_request_error', 'The payee is not the one pinned or configured'),
  asset_not_allowed: row(400, 'invalid_request_error', 'The asset is not in the asset table'),
  network_not_allowed: row(400, 'invalid_request_error', 'The network is not one the payer may use'),
  host_not_allowed: row(
    400,
    'invalid_request_error',
    'The seller is not on the list of hosts that may be paid',
  ),
  validity_too_long: row(400, 'invalid_request_error', 'The offer asks for an authorization valid over 24 h'),
  amount_invalid: row(400, 'invalid_request_error', 'The amount is not a plain decimal integer'),
  amount_zero: row(400, 'invalid_request_error', 'The amount is zero'),
  amount_conflict: row(400, 'invalid_request_error', 'Two amount fields of one offer disagree'),
  offer_undecodable: row(400, 'invalid_request_error', 'The 402 answer cannot be decoded'),
  offer_too_large: row(400, 'invalid_request_error', 'The 402 answer is over the size cap'),
  offer_empty: row(400, 'invalid_request_error', 'The 402 answer offers no way to pay'),
  no_supported_offer: row(400, 'invalid_request_error', 'No offer is of a kind the payer supports', 'next'),
  asset_not_deployed: row(400, 'invalid_request_error', 'No contract is deployed at the asset address'),
  unpriced_asset: row(400, 'invalid_request_error', 'The asset has no USD value, and a USD limit applies'),
  pool_exhausted: row(400, 'invalid_request_error', 'The pool has no pre-signed authorization left', 'next'),
  pool_terms_changed: row(
    400,
    'invalid_request_error',
    'The seller asks other terms than the vouchers of the pool were signed for',
    'next',
  ),
  insufficient_funds: row(400, 'invalid_request_error', 'The wallet cannot cover the quote', 'next'),
  model_unreadable: row(400, 'invalid_request_error', 'The request names no model, or names it twice'),
  model_rename_unsupported: row(400, 'invalid_request_error', 'The route renames the model inside multipart'),
  idempotency_conflict: row(400, 'invalid_request_error', 'Another body was sent under the same key'),
  payment_uncertain: row(400, 'invalid_request_error', 'A payment was sent and no answer came back'),
  payment_rejected: row(400, 'invalid_request_error', 'A payment was sent and the seller says it refused it'),
  terms_changed: row(400, 'invalid_request_error', 'A payment was sent and the seller asked for other terms'),
  paid_not_delivered: row(400, 'invalid_request_error', 'The seller took the payment and gave no answer'),
  seller_error: row(400, 'invalid_request_error', 'A payment was sent and the seller answered with an error'),
  seller_unavailable: row(503, 'server_error', 'The seller cannot be reached; nothing was paid', 'next'),
  signer_unavailable: row(503, 'server_error', 'The signer does not answer; nothing was paid'),
  store_unavailable: row(503, 'server_error', 'The ledger cannot be written; nothing was paid'),
  audit_unavailable: row(503, 'server_error', 'The audit file cannot be written; nothing was paid'),
  reservation_lost: row(
    503,
    'server_error',
    'The reservation ended before the payment was recorded; nothing was paid',
  ),
  request_in_progress: row(503, 'server_error', 'Another process is paying for the same request'),
  model_not_found: row(404, 'invalid_request_error', 'No route claims the model'),
  not_found: row(404, 'invalid_request_error', 'The path is not one the gateway serves'),
  invalid_api_key: row(401, 'invalid_request_error', 'The caller key is missing or unknown'),
  rate_limit_exceeded: row(429, 'rate_limit_error', "The caller's own limit is used up; nothing was sent"),
  method_not_allowed: row(405, 'invalid_request_error', 'The path is served for other methods'),
  request_too_large: row(413, 'invalid_request_error', 'The request body is over body_limit'),
  unsupported_encoding: row(
    415,
    'invalid_request_error',
    'The body is compressed or of another content type',
  ),
  invalid_query: row(400, 'invalid_request_error', 'A parameter of an /api address cannot be read'),
  too_many_attempts: row(429, 'rate_limit_error', 'Too many wrong admin keys came from one address'),
  too_many_streams: row(503, 'server_error', 'As many live streams of the spend page are open as may be'),
  invalid_json: row(400, 'invalid_request_error', 'The request body is not valid JSON'),
  origin_not_allowed: row(403, 'invalid_request_error', 'The Host or Origin header is not allowed'),
  internal_error: row(500, 'server_error', 'A fault in Tollway before any payment was sent'),
} as const satisfies Record<string, ErrorRow>

interface ErrorRow {
  readonly status: number
  readonly type: string
  readonly meaning: string
  /** `next`: the next candidate of the route may be tried. `end`: the chain ends here (rule 7). */
  readonly chain: 'next' | 'end'
}

function row(status: number, type: string, meaning: string, chain: ErrorRow['chain'] = 'end'): ErrorRow {
  return { status, type, meaning, chain }
}

/** A code of {@link ERROR_TABLE}; the `error.code` a client sees. */
export type ErrorCode = keyof typeof ERROR_TABLE

/** What a {@link TollwayError} is made of. */
export interface TollwayErrorParameters {
  readonly code: ErrorCode
  /** One sentence: what is wrong. Shown to the client; never holds text of the seller, a key or a signature. */
  readonly message: string
  /** How to mend it, a sentence each; joined to the message. */
  readonly advice?: readonly string[] | undefined
  /** The request field at fault, as in OpenAI's `error.param`. */
  readonly param?: string | undefined
  /** Overrides the table's status; only for `seller_error`, which keeps a seller's 400, 404, 413 and 422. */
  readonly status?: number | undefined
  /** Facts for the audit record and the log, never for the client (the seller's own words go here). */
  readonly details?: Readonly<Record<string, string | number | boolean | null>> | undefined
  /** Extra response headers, e.g. `retry-after`. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly cause?: unknown
}

/** An error that knows its own HTTP answer. Status and type come from {@link ERROR_TABLE}. */
export class TollwayError extends Error {
  override readonly name = 'TollwayError'
  readonly code: ErrorCode
  readonly status: number
  readonly type: string
  readonly param: string | null
  readonly advice: readonly string[]
  readonly details: Readonly<Record<string, string | number | boolean | null>>
  readonly headers: Readonly<Record<string, string>>

  constructor(parameters: TollwayErrorParameters) {
    const advice = parameters.advice ?? []
    super(
      [parameters.message, ...advice].join(' '),
      parameters.cause === undefined ? {} : { cause: parameters.cause },
    )
    const entry = ERROR_TABLE[parameters.code]
    this.code = parameters.code
    this.status = parameters.status ?? entry.status
    this.type = entry.type
    this.param = parameters.param ?? null
    this.advice = advice
    this.details = parameters.details ?? {}
    this.headers = { ...(entry.status === 503 ? { 'retry-after': '5' } : {}), ...parameters.headers }
  }

  /** Whether the next candidate of the route may be tried. A refusal by policy or budget never lets it (rule 7). */
  get mayTryNext(): boolean {
    return ERROR_TABLE[this.code].chain === 'next'
  }

  /** The OpenAI-shaped error body. */
  toBody(): { error: { message: string; type: string; param: string | null; code: ErrorCode } } {
    return { error: { message: this.message, type: this.type, param: this.param, code: this.code } }
  }
}

/** A mistake in configuration or in how the parts are put together: thrown at start, never answered to a client. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}
