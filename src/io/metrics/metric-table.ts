/**
 * Every series that Tollway exports. The registry and `docs/metrics.md` are made from this table. GenAI names and buckets
 * follow the OpenTelemetry semantic conventions (status: development), in Prometheus spelling.
 */

/** One metric. */
export interface MetricSpec {
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly help: string
  readonly labels: readonly string[]
  readonly buckets?: readonly number[] | undefined
}

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300]
const PHASE_SECONDS = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300,
]
const OTEL_SECONDS = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92]
/** Tollway's own share takes microseconds to milliseconds; a hanging signer or disk takes seconds. */
const OVERHEAD_SECONDS = [
  0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5,
]
const OTEL_TOKEN_SECONDS = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5]
const OTEL_TOKENS = Array.from({ length: 14 }, (_, power) => 4 ** power)
const SPEND = ['route', 'model', 'payer', 'seller', 'asset', 'caller'] as const
const BUDGET = ['budget', 'subject'] as const
/** The labels of x402-buyer's own series. */
const OBOL = ['upstream', 'remote_model', 'chain'] as const
const GEN_AI = ['gen_ai_operation_name', 'gen_ai_provider_name', 'gen_ai_request_model'] as const

/** The metrics by name. */
export const METRIC_TABLE = {
  tollway_requests_total: counter(
    'Requests by outcome. model is the one that the seller was asked for, once it answered, else other; none: no model request.',
    ['route', 'model', 'payer', 'outcome'],
  ),
  tollway_payments_total: counter(
    'Payments by state and reason: a charge moved to held, authorized, settled, uncertain or released; or offered: a seller asked for a payment; refused: policy, a budget or the payer refused the offer; rejected: the seller refused the payment that was sent.',
    ['payer', 'seller', 'network', 'state', 'reason'],
  ),
  tollway_spend_usd_total: counter(
    'USD of charges at the time they settled, for display; subtract tollway_spend_corrections_usd_total for actual spend.',
    SPEND,
  ),
  tollway_spend_atomic_total: counter(
    "Amount of charges at the time they settled, in the asset's smallest unit; exact below 2^53 since process start.",
    SPEND,
  ),
  tollway_spend_corrections_usd_total: counter(
    'USD of settled charges that the chain later proved were not taken: an upto seller took less, or the payment was never taken.',
    SPEND,
  ),
  tollway_spend_corrections_atomic_total: counter(
    "Corrections of settled charges in the asset's smallest unit; exact below 2^53 since process start.",
    SPEND,
  ),
  tollway_budget_limit_usd: gauge('Limit of a budget, USD.', BUDGET),
  tollway_budget_spent_usd: gauge('USD settled in the current window, from the ledger.', BUDGET),
  tollway_budget_held_usd: gauge(
    'USD reserved, or signed with the outcome still open, in the current window.',
    BUDGET,
  ),
  tollway_budget_uncertain_usd: gauge(
    'USD sent in the current window without proof of the outcome; counts as spent.',
    BUDGET,
  ),
  tollway_budget_remaining_usd: gauge('USD that the current window can still take.', BUDGET),
  tollway_budget_info: gauge(
    '1 for each budget with something counted; enforce: whether it refuses; severity of its alerts: critical, warning or none.',
    ['budget', 'enforce', 'severity'],
  ),
  tollway_budget_refusals_total: counter(
    'Requests refused by a budget; early is true when the seller was not asked.',
    [...BUDGET, 'early'],
  ),
  tollway_unpriced_routes: gauge(
    'Routes without a payer and without a price, whose calls count in no budget in USD: 1 for each.',
    ['route'],
  ),
  tollway_metered_requests_total: counter(
    'Calls to upstreams without a payment that have a price or count in a budget, by state of their charge; reason estimated: the answer told no usage.',
    ['route', 'model', 'state', 'reason'],
  ),
  tollway_metered_usd_total: counter(
    'USD that upstreams without a payment bill by the prices of their routes; at most, where the answer told no usage.',
    ['route', 'model', 'seller', 'caller'],
  ),
  tollway_budget_asset_units: gauge(
    'Amounts of a budget kept in a token, in whole tokens for display; kind is limit, spent, held, uncertain or remaining.',
    [...BUDGET, 'asset', 'kind'],
  ),
  tollway_budget_soft_limits_total: counter(
    'Times a budget passed its soft limit, once per window and subject.',
    BUDGET,
  ),
  tollway_budget_would_refuse_total: counter(
    'Payments that a budget with enforce: false would have refused.',
    BUDGET,
  ),
  tollway_spent_usd: gauge(
    'USD settled since the start of the day or month (UTC), by time of reservation, from the ledger; window is day or month.',
    ['window', 'route', 'model', 'payer', 'seller', 'caller'],
  ),
  tollway_capture_ratio: gauge(
    'Share of the last 1,000 answered model requests whose cost is known: paid, or with a price; NaN before the first.',
    [],
  ),
  tollway_uncertain_payments: gauge('Charges not yet proven spent or unspent, from the ledger.', []),
  tollway_uncertain_usd: gauge('USD of uncertain charges, from the ledger.', []),
  tollway_charges_flagged: gauge('Charges flagged for review, by reason, from the ledger.', ['flag']),
  tollway_reconcile_runs_total: counter(
    'Reconciliation runs; incomplete: a network gave no usable answer; failed: the ledger could not be used.',
    ['result'],
  ),
  tollway_reconcile_rpc_up: gauge(
    '1 when the last reconciliation of a network got a trusted answer, else 0; also 0 when payers use a network without an RPC.',
    ['network'],
  ),
  tollway_vouchers: gauge('Vouchers of a pool by state, from the store.', ['payer', 'seller', 'state']),
  tollway_voucher_oldest_timestamp_seconds: gauge(
    'When the oldest usable voucher of a pool was added, seconds since the epoch.',
    ['payer', 'seller'],
  ),
  tollway_voucher_next_expiry_timestamp_seconds: gauge(
    'When the first usable voucher of a pool expires, seconds since the epoch.',
    ['payer', 'seller'],
  ),
  tollway_voucher_exposure_usd: gauge('USD that the unspent vouchers of all pools could pay.', []),
  tollway_wallet_balance_usd: gauge(
    'Balance of a payer in USD, read from the chain in the background; absent without an RPC.',
    ['payer', 'address', 'network', 'asset'],
  ),
  tollway_ledger_mismatch_usd: gauge(
    'Difference between two independent totals of spend, USD; 0 is correct. pair names the two.',
    ['pair'],
  ),
  tollway_quote_usd: gauge('Latest price quoted by a seller, USD.', ['seller', 'route']),
  tollway_quote_drift_total: counter(
    'Quotes that differ from the last paid price; direction is up, down or refused (by policy.max_price_change).',
    ['seller', 'route', 'direction'],
  ),
  tollway_sign_ins_total: counter(
    'Sign-ins instead of payments, by what the seller did: accepted, refused; not_vetted and failed were not answered.',
    ['seller', 'result'],
  ),
  tollway_hook_calls_total: counter(
    'Calls of hooks of the application by how they ended: done, refused (beforeSign only), failed or timeout.',
    ['hook', 'result'],
  ),
  tollway_hook_refusals_total: counter(
    'Payments that a beforeSign hook refused, by its reason; failed and timeout are not among them.',
    ['reason'],
  ),
  tollway_approvals_total: counter(
    "Calls that needed a person's approval, by what came of them: approved, refused, timeout, left (by the client), full (too many waited), closing, or lost (the gateway was killed).",
    ['result'],
  ),
  tollway_approvals_waiting: gauge("Calls that wait for a person's approval.", []),
  tollway_notifications_total: counter(
    'Messages to the webhook of notify, by what they told of and by result: delivered, failed after about 20 minutes of attempts, or dropped because 100 waited.',
    ['kind', 'result'],
  ),
  tollway_clock_skew_seconds: gauge(
    "How far another clock was ahead of ours, seconds: a seller's in its last 402 (negative when it was behind), or that of a network's final block (0 when it was not ahead).",
    ['source'],
  ),
  tollway_request_duration_seconds: histogram(
    'Time from the request to the end of its response.',
    ['route', 'outcome'],
    SECONDS,
  ),
  tollway_request_time_to_first_byte_seconds: histogram(
    'Time from the request to the first byte of the response body.',
    ['route'],
    SECONDS,
  ),
  tollway_request_overhead_seconds: histogram(
    'Time that Tollway itself added to a model request before relaying began; excludes sellers and upstreams.',
    ['route'],
    OVERHEAD_SECONDS,
  ),
  tollway_errors_total: counter('Error responses generated by Tollway, by code.', ['route', 'code']),
  tollway_streams_total: counter('Streamed responses by how they ended: whole or truncated.', [
    'route',
    'ended',
  ]),
  tollway_stream_conversions_total: counter(
    'Responses converted between forms: json_to_sse or sse_to_json.',
    ['route', 'kind'],
  ),
  tollway_spend_page_streams: gauge('Open live streams of the spend page.', []),
  tollway_remembered_requests: gauge(
    'Requests in flight, and ended ones kept for repeats (idempotency.max_entries).',
    [],
  ),
  tollway_remembered_bytes: gauge(
    'Memory held by the answers of remembered requests, at most idempotency.max_bytes; their request bodies are not kept.',
    [],
  ),
  tollway_retries_total: counter('Unpaid sends that were repeated; paid sends are never repeated.', [
    'route',
    'seller',
    'reason',
  ]),
  tollway_fallbacks_total: counter('Requests that fell back to another route, by reason.', [
    'route',
    'to',
    'reason',
  ]),
  tollway_catalogue_reads_total: counter(
    "Reads of sellers' and the default upstream's model lists, by result.",
    ['seller', 'result'],
  ),
  tollway_catalogue_models: gauge(
    "Models in a seller's or the default upstream's list when it was last read.",
    ['seller'],
  ),
  tollway_catalogue_read_timestamp_seconds: gauge(
    "When a seller's or the default upstream's list was last read successfully, seconds since the epoch.",
    ['seller'],
  ),
  tollway_reduced_requests_total: counter(
    'Requests quoted again with fewer output tokens because the price was above the ceiling.',
    ['route', 'seller'],
  ),
  tollway_remembered_terms_total: counter(
    'Remembered terms of sellers: remembered (paid without asking), asked_behind, changed, paid_again or varies.',
    ['route', 'seller', 'result'],
  ),
  tollway_voucher_refills_total: counter(
    'Background refill runs of purchases; result is refilled, limit, removed or failed.',
    ['payer', 'result'],
  ),
  tollway_cooldowns_total: counter('Times a route was moved behind the others because it kept failing.', [
    'route',
    'seller',
    'reason',
  ]),
  tollway_route_state: gauge('0 healthy, 1 on trial, 2 cooling down; only for routes used so far.', [
    'route',
    'seller',
  ]),
  tollway_rate_limited_total: counter(
    "Requests refused by a caller's own limit: requests per minute, tokens per minute or parallel requests.",
    ['caller', 'limit'],
  ),
  tollway_config_info: gauge('1 for the configuration in force; the hash leaves secrets out.', ['hash']),
  tollway_config_last_reload_successful: gauge(
    '1 if the last attempt to read the configuration again succeeded, or there was none; 0 if it was refused and the one before is in force.',
    [],
  ),
  tollway_config_last_reload_success_timestamp_seconds: gauge(
    'When a configuration last came into force or was confirmed, seconds since the epoch.',
    [],
  ),
  tollway_config_reloads_total: counter(
    'Times that the configuration was read again: done, unchanged, or refused.',
    ['result'],
  ),
  tollway_payment_phase_seconds: histogram('Duration of each payment phase.', ['phase'], PHASE_SECONDS),
  tollway_audit_sequence: gauge('Sequence number of the latest audit record.', []),
  tollway_disk_free_bytes: gauge(
    'Free space on the disk of a file, audit or ledger; below audit.min_free paid routes refuse.',
    ['file'],
  ),
  tollway_disk_min_free_bytes: gauge('audit.min_free: with less free space paid routes refuse.', []),
  tollway_audit_failures_total: counter('Audit records that could not be written.', []),
  tollway_series_dropped_total: counter(
    'Observations folded into "other" because a label or metric was full.',
    ['label'],
  ),
  gen_ai_client_token_usage: histogram(
    'Tokens used by answered requests.',
    [...GEN_AI, 'gen_ai_token_type'],
    OTEL_TOKENS,
  ),
  gen_ai_client_operation_duration_seconds: histogram(
    'Duration of model requests.',
    [...GEN_AI, 'error_type'],
    OTEL_SECONDS,
  ),
  gen_ai_client_operation_time_to_first_chunk_seconds: histogram(
    'Time from a streamed model request to the first bytes of its response.',
    GEN_AI,
    OTEL_SECONDS,
  ),
  gen_ai_server_time_per_output_token_seconds: histogram(
    'Time between two output tokens of a whole streamed answer: from its first byte to its end, by the tokens that it reported.',
    GEN_AI,
    OTEL_TOKEN_SECONDS,
  ),
  obol_x402_buyer_requests_total: counter('Requests routed to an upstream of the pool.', OBOL),
  obol_x402_buyer_payment_attempts_total: counter('Vouchers of an upstream recorded for sending.', OBOL),
  obol_x402_buyer_payment_success_total: counter('Paid requests that were answered.', OBOL),
  obol_x402_buyer_payment_failure_total: counter('Vouchers sent without a response that settles them.', OBOL),
  obol_x402_buyer_confirm_spend_failure_total: counter('Times consumed.json could not be written.', OBOL),
  obol_x402_buyer_payment_unsettled_confirmations_total: counter(
    'Paid requests that were answered without a receipt.',
    OBOL,
  ),
  obol_x402_buyer_auth_remaining: gauge('Usable vouchers of an upstream.', OBOL),
  obol_x402_buyer_auth_spent: gauge('Vouchers of an upstream that were used or are in flight.', OBOL),
  obol_x402_buyer_active_model_mappings: gauge('1 for each served upstream.', OBOL),
  process_cpu_seconds_total: counter('User and system CPU time of the process.', []),
  process_resident_memory_bytes: gauge('Resident memory of the process.', []),
  process_start_time_seconds: gauge('Start time of the process, seconds since the epoch.', []),
  nodejs_eventloop_delay_max_seconds: gauge(
    'Longest time of the last minute or two that something held the event loop, on which every request waits. No scrape resets it.',
    [],
  ),
  nodejs_eventloop_utilization_ratio: gauge(
    'Share of the last minute or two during which the event loop was busy. No scrape resets it.',
    [],
  ),
} as const satisfies Readonly<Record<string, MetricSpec>>

/** A name of {@link METRIC_TABLE}. */
export type MetricName = keyof typeof METRIC_TABLE

function counter<const L extends readonly string[]>(help: string, labels: L) {
  return { type: 'counter', help, labels } as const
}

function gauge<const L extends readonly string[]>(help: string, labels: L) {
  return { type: 'gauge', help, labels } as const
}

function histogram<const L extends readonly string[]>(help: string, labels: L, buckets: readonly number[]) {
  return { type: 'histogram', help, labels, buckets } as const
}
