/**
 * Every error that Tollway answers with: HTTP status, OpenAI `error.type`, meaning, and whether the next candidate of a
 * route may be tried. The statuses keep stock clients from paying twice or locking themselves out: never 5xx, 408, 409
 * or 429 once money may have moved. `docs/errors.md` is made from this table.
 */
export const ERROR_TABLE = {
  budget_exhausted: row(
    402,
    'budget_exceeded',
    'The quoted price does not fit into a budget; no payment was sent',
  ),
  price_above_limit: row(
    400,
    'invalid_request_error',
    'The quoted price is above the ceiling per request; no payment was sent',
    'next',
  ),
  price_unstable: row(
    400,
    'invalid_request_error',
    'The quoted price moved by more than the allowed change; no payment was sent',
  ),
  payee_not_allowed: row(
    400,
    'invalid_request_error',
    'The payee is not the pinned or configured one; no payment was sent',
  ),
  fee_payer_not_allowed: row(
    400,
    'invalid_request_error',
    'The offer names a fee payer on Solana that is a party of the payment; no payment was sent',
  ),
  memo_not_allowed: row(
    400,
    'invalid_request_error',
    'The offer asks for a memo on Solana that is too long or not printable; no payment was sent',
  ),
  asset_not_allowed: row(
    400,
    'invalid_request_error',
    'The asset is not in the asset table; no payment was sent',
  ),
  network_not_allowed: row(
    400,
    'invalid_request_error',
    'The payer may not use the network; no payment was sent',
  ),
  host_not_allowed: row(
    400,
    'invalid_request_error',
    'The seller is not on the list of hosts that may be paid; no payment was sent',
  ),
  validity_too_long: row(
    400,
    'invalid_request_error',
    'The validity that the offer asks for cannot be read; no payment was sent',
  ),
  amount_invalid: row(
    400,
    'invalid_request_error',
    'The amount is not a plain decimal integer; no payment was sent',
  ),
  amount_zero: row(400, 'invalid_request_error', 'The amount is zero; no payment was sent'),
  amount_conflict: row(
    400,
    'invalid_request_error',
    'Two amount fields of one offer disagree; no payment was sent',
  ),
  offer_undecodable: row(
    400,
    'invalid_request_error',
    'The 402 response cannot be decoded; no payment was sent',
  ),
  offer_too_large: row(
    400,
    'invalid_request_error',
    'The 402 response exceeds the size limit; no payment was sent',
  ),
  offer_empty: row(
    400,
    'invalid_request_error',
    'The 402 response offers no way to pay; no payment was sent',
  ),
  no_supported_offer: row(
    400,
    'invalid_request_error',
    'The payer supports none of the offers; no payment was sent',
    'next',
  ),
  asset_not_deployed: row(
    400,
    'invalid_request_error',
    'No contract is deployed at the asset address; no payment was sent',
  ),
  unpriced_asset: row(
    400,
    'invalid_request_error',
    'A USD limit applies and the asset has no USD value; no payment was sent',
  ),
  pool_exhausted: row(
    400,
    'invalid_request_error',
    'The pool has no unused voucher left; no payment was sent',
    'next',
  ),
  pool_terms_changed: row(
    400,
    'invalid_request_error',
    'The seller asks for terms that the vouchers of the pool were not signed for; no payment was sent',
    'next',
  ),
  insufficient_funds: row(
    400,
    'invalid_request_error',
    'The wallet cannot cover the quoted price; no payment was sent',
    'next',
  ),
  hook_refused: row(
    400,
    'invalid_request_error',
    'A `beforeSign` hook of the application refused the payment; no payment was sent',
  ),
  approval_refused: row(
    400,
    'invalid_request_error',
    "The call needs a person's approval (`policy.approve_above_usd`) and did not get it in time; no payment was sent",
  ),
  endpoint_not_paid: row(
    400,
    'invalid_request_error',
    'The seller charges for an endpoint that the route does not pay for; no payment was sent',
    'next',
  ),
  wallet_not_plain: row(
    400,
    'invalid_request_error',
    'The paying wallet has code (a contract wallet, or an EIP-7702 delegation), or signs like one; no payment was sent',
    'next',
  ),
  model_unreadable: row(
    400,
    'invalid_request_error',
    'The request names no model, or names it twice; no payment was sent',
  ),
  model_rename_unsupported: row(
    400,
    'invalid_request_error',
    'The route cannot rename the model in a multipart request; no payment was sent',
  ),
  idempotency_conflict: row(
    400,
    'invalid_request_error',
    'The idempotency key was already used with another body; no further payment was sent',
  ),
  payment_uncertain: row(
    400,
    'invalid_request_error',
    'A payment was sent and no usable response came back; it counts as spent until proven unspent',
  ),
  payment_rejected: row(
    400,
    'invalid_request_error',
    'A payment was sent and the seller says that it refused it; it counts as spent until proven unspent',
  ),
  terms_changed: row(
    400,
    'invalid_request_error',
    'A payment was sent and the seller asked for other terms; it counts as spent until proven unspent. A resend asks anew',
  ),
  paid_not_delivered: row(
    400,
    'invalid_request_error',
    'The seller took the payment and no response can be delivered',
  ),
  seller_error: row(
    400,
    'invalid_request_error',
    'A payment was sent and the seller responded with an error',
  ),
  seller_unavailable: row(503, 'server_error', 'The seller cannot be reached; no payment was sent', 'next'),
  signer_unavailable: row(503, 'server_error', 'The signer does not respond; no payment was sent'),
  store_unavailable: row(503, 'server_error', 'The ledger cannot be written; no payment was sent'),
  audit_unavailable: row(503, 'server_error', 'The audit file cannot be written; no payment was sent'),
  hook_unavailable: row(
    503,
    'server_error',
    'A `beforeSign` hook of the application failed or took too long; no payment was sent',
  ),
  reservation_lost: row(
    503,
    'server_error',
    'The reservation ended before the payment was recorded; no payment was sent',
  ),
  request_in_progress: row(
    503,
    'server_error',
    'Another process is paying for the same request; no further payment was sent',
  ),
  model_not_found: row(404, 'invalid_request_error', 'No route serves the model'),
  websocket_not_served: row(426, 'invalid_request_error', 'The path is not served as a websocket'),
  not_found: row(404, 'invalid_request_error', 'The gateway does not serve the path'),
  invalid_api_key: row(401, 'invalid_request_error', 'The caller key is missing or unknown'),
  rate_limit_exceeded: row(429, 'rate_limit_error', 'The caller has reached its own limit; nothing was sent'),
  method_not_allowed: row(405, 'invalid_request_error', 'The path does not support the method'),
  request_too_large: row(413, 'invalid_request_error', 'The request body exceeds body_limit'),
  unsupported_encoding: row(
    415,
    'invalid_request_error',
    'The body has a coding or a content type that is not read',
  ),
  invalid_query: row(400, 'invalid_request_error', 'A query parameter of the API is invalid'),
  config_invalid: row(
    400,
    'invalid_request_error',
    'The configuration or the requested change is not valid; nothing was changed',
  ),
  restart_required: row(
    400,
    'invalid_request_error',
    'The configuration differs in keys that only a restart applies; nothing was changed',
  ),
  too_many_attempts: row(
    429,
    'rate_limit_error',
    'Too many attempts with a wrong admin key from one address',
  ),
  too_many_streams: row(503, 'server_error', 'Too many live streams of the spend page are open'),
  invalid_json: row(400, 'invalid_request_error', 'The request body is not valid JSON'),
  origin_not_allowed: row(403, 'invalid_request_error', 'The Host or Origin header is not allowed'),
  setup_error: row(
    500,
    'server_error',
    'A middleware is missing or mounted in the wrong place; the message says which. No payment was sent',
  ),
  internal_error: row(500, 'server_error', 'Internal error in Tollway before any payment was sent'),
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
