/**
 * Every series Tollway exports, in one table: the registry and `docs/metrics.md` are made from it. GenAI names and buckets
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
/** Tollway's own share is microseconds to milliseconds; a signer or a disk that hangs is seconds. */
const OVERHEAD_SECONDS = [
  0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5,
]
const OTEL_TOKENS = Array.from({ length: 14 }, (_, power) => 4 ** power)
const SPEND = ['route', 'payer', 'seller', 'asset', 'caller'] as const
const BUDGET = ['budget', 'subject'] as const
/** The labels of x402-buyer's own series. */
const OBOL = ['upstream', 'remote_model', 'chain'] as const
const GEN_AI = ['gen_ai_operation_name', 'gen_ai_provider_name', 'gen_ai_request_model'] as const

/** The metrics by name. */
export const METRIC_TABLE = {
  tollway_requests_total: counter('Requests by how they ended.', ['route', 'payer', 'outcome']),
  tollway_payments_total: counter('Charges by the state they moved to, and why.', [
    'payer',
    'seller',
    'network',
    'state',
    'reason',
  ]),
  tollway_spend_usd_total: counter(
    'USD of settled charges when they settled, for display; less tollway_spend_corrections_usd_total it is what was spent.',
    SPEND,
  ),
  tollway_spend_atomic_total: counter(
    "Settled charges in the asset's smallest unit when they settled; exact below 2^53 since the process started.",
    SPEND,
  ),
  tollway_spend_corrections_usd_total: counter(
    'USD of settled charges that the chain later proved not to have been taken: an upto seller took less, or nobody took it.',
    SPEND,
  ),
  tollway_spend_corrections_atomic_total: counter(
    "The same in the asset's smallest unit; exact below 2^53 since the process started.",
    SPEND,
  ),
  tollway_budget_limit_usd: gauge('Limit of a budget.', BUDGET),
  tollway_budget_spent_usd: gauge('Settled in the current window, from the ledger.', BUDGET),
  tollway_budget_held_usd: gauge('Reserved, or signed with no verdict yet, in the current window.', BUDGET),
  tollway_budget_uncertain_usd: gauge(
    'Sent with no proof either way in the current window; counts as spent.',
    BUDGET,
  ),
  tollway_budget_remaining_usd: gauge('What the current window can still take.', BUDGET),
  tollway_budget_refusals_total: counter('Requests a budget refused; early: before the seller was asked.', [
    'budget',
    'early',
  ]),
  tollway_budget_asset_units: gauge(
    'Of a budget in a token, whole units for display; kind is limit, spent, held, uncertain or remaining.',
    [...BUDGET, 'asset', 'kind'],
  ),
  tollway_budget_soft_limits_total: counter('Windows and subjects whose sum passed the soft limit.', [
    'budget',
  ]),
  tollway_budget_would_refuse_total: counter(
    'Payments that a budget with enforce: false would have refused.',
    ['budget'],
  ),
  tollway_spent_usd: gauge(
    'USD settled since the day or month (UTC) began, by reservation, from the ledger; window is day or month.',
    ['window', 'route', 'payer', 'seller', 'caller'],
  ),
  tollway_uncertain_payments: gauge(
    'Charges nobody can say yet whether they were taken, from the ledger.',
    [],
  ),
  tollway_uncertain_usd: gauge('USD of the uncertain charges, from the ledger.', []),
  tollway_charges_flagged: gauge('Charges somebody should look at, by why, from the ledger.', ['flag']),
  tollway_reconcile_runs_total: counter(
    'Looks at the chains; incomplete: a network gave no usable answer, failed: the ledger did not.',
    ['result'],
  ),
  tollway_reconcile_rpc_up: gauge(
    'Whether the last look at a network was answered and believed; 0 also when payers use it and it has no RPC.',
    ['network'],
  ),
  tollway_vouchers: gauge('Vouchers of a pool by their state, from the store.', ['payer', 'seller', 'state']),
  tollway_voucher_exposure_usd: gauge('USD that unspent vouchers of all pools could take.', []),
  tollway_wallet_balance_usd: gauge(
    'What a payer could pay with, read from the chain in the background; absent without an RPC.',
    ['payer', 'address', 'network', 'asset'],
  ),
  tollway_ledger_mismatch_usd: gauge(
    'How far two independent sums of what was spent lie apart; 0 is right. pair names the two.',
    ['pair'],
  ),
  tollway_quote_usd: gauge('Newest price a seller quoted.', ['seller', 'route']),
  tollway_quote_drift_total: counter(
    'Quotes that differ from the price paid last: up, down, or refused by policy.max_price_change.',
    ['seller', 'route', 'direction'],
  ),
  tollway_request_duration_seconds: histogram(
    'From the request to the end of its answer.',
    ['route', 'outcome'],
    SECONDS,
  ),
  tollway_request_time_to_first_byte_seconds: histogram(
    "From the request to the first byte of the answer's body.",
    ['route'],
    SECONDS,
  ),
  tollway_request_overhead_seconds: histogram(
    "Tollway's own share of a model request: until the answer could be relayed, less what sellers and upstreams took.",
    ['route'],
    OVERHEAD_SECONDS,
  ),
  tollway_errors_total: counter('Answers that were errors of ours, by their code.', ['route', 'code']),
  tollway_streams_total: counter('Streamed answers by how they ended: whole or truncated.', [
    'route',
    'ended',
  ]),
  tollway_stream_conversions_total: counter(
    'Answers that came in one form and went out in the other: json_to_sse or sse_to_json.',
    ['route', 'kind'],
  ),
  tollway_spend_page_streams: gauge('Live streams of the spend page that are open.', []),
  tollway_retries_total: counter('Unpaid sends that were repeated; a paid send never is.', [
    'route',
    'seller',
    'reason',
  ]),
  tollway_fallbacks_total: counter('Requests that went on to another route, and why.', [
    'route',
    'to',
    'reason',
  ]),
  tollway_catalogue_reads_total: counter("Readings of sellers' lists of models, by how they ended.", [
    'seller',
    'result',
  ]),
  tollway_catalogue_models: gauge("Models of a seller's list as it was last read.", ['seller']),
  tollway_reduced_requests_total: counter(
    'Requests asked for again with fewer answer tokens, because the quote was above the ceiling.',
    ['route', 'seller'],
  ),
  tollway_voucher_refills_total: counter(
    'Looks after purchases in the background: refilled, limit, removed or failed.',
    ['payer', 'result'],
  ),
  tollway_cooldowns_total: counter('Times a route was put behind the others because it kept failing.', [
    'route',
    'seller',
    'reason',
  ]),
  tollway_route_state: gauge('0 healthy, 1 being tried out, 2 cooling down; for routes asked so far.', [
    'route',
    'seller',
  ]),
  tollway_rate_limited_total: counter(
    "Requests a caller's own limit refused: requests or tokens of the minute, or parallel.",
    ['caller', 'limit'],
  ),
  tollway_payment_phase_seconds: histogram('Time a phase of paying took.', ['phase'], PHASE_SECONDS),
  tollway_audit_sequence: gauge('Sequence number of the newest audit record.', []),
  tollway_audit_failures_total: counter('Audit records that could not be written.', []),
  tollway_series_dropped_total: counter('Observations folded into "other" because a label was full.', [
    'label',
  ]),
  gen_ai_client_token_usage: histogram(
    'Tokens of answered requests.',
    [...GEN_AI, 'gen_ai_token_type'],
    OTEL_TOKENS,
  ),
  gen_ai_client_operation_duration_seconds: histogram(
    'Duration of model requests.',
    [...GEN_AI, 'error_type'],
    OTEL_SECONDS,
  ),
  gen_ai_client_operation_time_to_first_chunk_seconds: histogram(
    'From a streamed model request to the first bytes of its answer.',
    GEN_AI,
    OTEL_SECONDS,
  ),
  obol_x402_buyer_requests_total: counter('Requests routed to an upstream of the pool.', OBOL),
  obol_x402_buyer_payment_attempts_total: counter('Vouchers of an upstream recorded to be sent.', OBOL),
  obol_x402_buyer_payment_success_total: counter('Paid requests that were answered.', OBOL),
  obol_x402_buyer_payment_failure_total: counter('Sent vouchers without an answer that settles them.', OBOL),
  obol_x402_buyer_confirm_spend_failure_total: counter('Times consumed.json could not be written.', OBOL),
  obol_x402_buyer_payment_unsettled_confirmations_total: counter(
    'Paid requests that were answered without a receipt.',
    OBOL,
  ),
  obol_x402_buyer_auth_remaining: gauge('Vouchers of an upstream that can be used.', OBOL),
  obol_x402_buyer_auth_spent: gauge('Vouchers of an upstream that were used or are on their way.', OBOL),
  obol_x402_buyer_active_model_mappings: gauge('1 for each upstream that is served.', OBOL),
  process_cpu_seconds_total: counter('User and system CPU time of the process.', []),
  process_resident_memory_bytes: gauge('Resident memory of the process.', []),
  process_start_time_seconds: gauge('When the process started, seconds since the epoch.', []),
  nodejs_eventloop_utilization_ratio: gauge(
    'Share of the time since the last scrape in which the event loop was busy.',
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
