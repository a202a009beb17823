/** Recording rules and alerts for Prometheus, with what to do about each. */
import type { AlertRule, RecordingRule } from './alert-rule.ts'
import { BUDGET_ALERTS } from './budget-alerts.ts'
import { PAYER_ALERTS } from './payer-alerts.ts'
import { plain } from './query.ts'

const where = 'job, instance'
const refused = plain('tollway_budget_refusals_total')

/** Computed once and used by alerts. */
export const RECORDING_RULES: readonly RecordingRule[] = [
  {
    // Budgets in USD, and budgets in a token, which have the label asset besides.
    record: 'tollway:budget_used:ratio',
    expr: [
      `1 - ${plain('tollway_budget_remaining_usd')} / ${plain('tollway_budget_limit_usd')}`,
      `1 - sum without (kind) (${plain('tollway_budget_asset_units', { kind: 'remaining' })}) / sum without (kind) (${plain('tollway_budget_asset_units', { kind: 'limit' })})`,
    ].join(' or '),
  },
  {
    // Without budgets that only watch (enforce: false), and with the severity that the configuration gives.
    record: 'tollway:budget_enforced_used:ratio',
    expr: `tollway:budget_used:ratio * on (${where}, budget) group_left (severity) ${plain('tollway_budget_info', { enforce: 'true', severity: '!none' })}`,
  },
  {
    // Requests a budget refused, of one subject; the first one a process sees has no increase.
    record: 'tollway:budget_refused:increase10m',
    expr: `sum by (${where}, budget, subject) (increase(${refused}[10m]) > 0 or (${refused} > 0 unless ${refused} offset 10m))`,
  },
  {
    // By address: gateways that share a wallet spend from it together, and two payers of one name may have two wallets.
    record: 'tollway:spend_usd:rate6h',
    expr: `sum by (payer, address) (sum by (${where}, payer) (rate(${plain('tollway_spend_usd_total')}[6h])) * on (${where}, payer) group_left (address) group by (${where}, payer, address) (${plain('tollway_wallet_balance_usd')}))`,
  },
  {
    record: 'tollway:wallet_balance_usd:sum',
    expr: `sum by (payer, address) (max by (payer, address, network, asset) (${plain('tollway_wallet_balance_usd')}))`,
  },
  {
    // What the seller did not answer: a client that left is no fault of it.
    record: 'tollway:seller_unavailable:ratio_rate5m',
    expr: `sum by (${where}, route) (rate(${plain('tollway_errors_total', { code: 'seller_unavailable' })}[5m])) / sum by (${where}, route) (rate(${plain('tollway_requests_total')}[5m]))`,
  },
  {
    record: 'tollway:request_overhead_seconds:p99_5m',
    expr: `histogram_quantile(0.99, sum by (${where}, le) (rate(${plain('tollway_request_overhead_seconds', {}, '_bucket')}[5m])))`,
  },
]

const drift = plain('tollway_quote_drift_total', { direction: '~up|refused' })
const dropped = plain('tollway_series_dropped_total')
const unread = plain('tollway_ledger_mismatch_usd', { pair: '!ledger_chain' })
const failing = plain('tollway_audit_failures_total')

/** Every alert. */
export const ALERTS: readonly AlertRule[] = [
  {
    alert: 'TollwayDown',
    dashboard: 'tollway-gateway',
    expr: 'up{job=~"tollway.*"} == 0',
    for: '2m',
    severity: 'critical',
    summary: 'Tollway at {{ $labels.instance }} cannot be scraped.',
    meaning:
      'The process is gone or hangs; or it runs, pays on, and only its metrics address or token changed. What was signed stays counted.',
    steps: [
      'Request `GET /health/live` on the gateway, and check its log and service.',
      'If it answers, compare `metrics.listen` and `metrics.token` with the scrape configuration.',
      'After a restart, `tollway reconcile` reports the outcome of payments that were in flight.',
    ],
  },
  {
    alert: 'TollwayPaymentsUncertain',
    dashboard: 'tollway-payments',
    expr: `${plain('tollway_uncertain_payments')} > 0`,
    for: '10m',
    severity: 'warning',
    summary: '{{ $value }} payments of {{ $labels.instance }} were sent without proof either way.',
    meaning:
      'A seller took a signed payment and gave no receipt. It counts as spent until the chain proves otherwise, so budgets shrink.',
    steps: [
      'Run `tollway reconcile`: it reads the chains and reports what it found.',
      'Nothing can be proven without an RPC under `chains`: add one.',
      'If they are all of one seller (dashboard Payments, seller health), take its routes out until it answers.',
    ],
  },
  ...BUDGET_ALERTS,
  {
    alert: 'TollwayPoolLow',
    dashboard: 'tollway-payments',
    expr: `sum by (${where}, payer, seller) (${plain('tollway_vouchers', { state: 'ready' })}) < 10`,
    for: '5m',
    severity: 'warning',
    summary: 'Pool {{ $labels.payer }} has {{ $value }} vouchers left for {{ $labels.seller }}.',
    meaning: 'Fewer than ten pre-signed payments are left. With none the route answers `pool_exhausted`.',
    steps: ['Refill: `tollway refill <name>`, or put new auth files into the directory of the pool.'],
  },
  {
    alert: 'TollwayWalletLow',
    dashboard: 'tollway-payments',
    expr: `tollway:wallet_balance_usd:sum < 86400 * tollway:spend_usd:rate6h or tollway:wallet_balance_usd:sum == 0`,
    for: '15m',
    severity: 'warning',
    summary:
      'The wallet {{ $labels.address }} of payer {{ $labels.payer }} has {{ $value }} USD: less than a day at this pace.',
    meaning:
      'The balance lasts less than 24 hours at the pace of the last six, of all gateways that pay from it, or is zero.',
    steps: [
      'Send tokens to the paying address (`tollway balance` shows it).',
      'Or lower the budgets of this payer.',
    ],
  },
  {
    alert: 'TollwayPriceDrift',
    dashboard: 'tollway-payments',
    expr: `increase(${drift}[1h]) > 0 or (${drift} > 0 unless ${drift} offset 1h)`,
    for: '0m',
    severity: 'warning',
    summary:
      '{{ $labels.seller }} asks more than it was paid last (route {{ $labels.route }}, {{ $labels.direction }}).',
    meaning:
      'A quote rose. `up` was paid, within `policy.max_usd_per_request` and `max_price_change`; `refused` was not.',
    steps: [
      'Compare: `tollway sellers list` shows the pinned, last and first price.',
      'If the new price is right, `tollway sellers trust` pins it; if not, set `policy.max_price_change`.',
    ],
  },
  {
    alert: 'TollwayAuditFailing',
    dashboard: 'tollway-payments',
    expr: `increase(${failing}[15m]) > 0`,
    for: '0m',
    severity: 'critical',
    summary: '{{ $labels.instance }} cannot write its audit file; paid routes refuse.',
    meaning:
      'A record could not be written. Paid routes answer 503 `audit_unavailable` until it can be; unpaid routes go on.',
    steps: [
      'Check the disk: full, read-only, or no permission for `audit.path`.',
      'Afterwards run `tollway audit verify`: it distinguishes a torn last line from tampering.',
    ],
  },
  {
    alert: 'TollwayLedgerMismatch',
    dashboard: 'tollway-payments',
    // NaN, which is not equal to itself, marks totals that could not be read.
    expr: `abs(${plain('tollway_ledger_mismatch_usd')}) > 0.0000005 or ${unread} != ${unread}`,
    for: '10m',
    severity: 'critical',
    summary: 'Two totals of spending differ by {{ $value }} USD, or cannot be read ({{ $labels.pair }}).',
    meaning:
      'Ledger, audit file, metrics and chain are added up independently. A difference that stays is a fault, a manipulation, or for `ledger_chain` a wallet that is shared with another program; NaN says that they could not be compared.',
    steps: [
      'For NaN, check the log: it says why the ledger or the audit file could not be read.',
      'For `ledger_chain`, see whether another program pays from the same wallet: its payments are on the chain and not in this ledger. Give Tollway a wallet of its own.',
      'Run `tollway audit verify`, then `tollway reconcile`.',
      'Copy the ledger and the audit file before you change anything (docs/backup.md).',
      'Stop paid routes if the cause is not clear.',
    ],
  },
  {
    alert: 'TollwayPaymentsFlagged',
    dashboard: 'tollway-payments',
    expr: `sum by (${where}, flag) (${plain('tollway_charges_flagged')}) > 0`,
    for: '10m',
    severity: 'warning',
    summary: '{{ $value }} charges of {{ $labels.instance }} are flagged {{ $labels.flag }}.',
    meaning: 'Receipt, chain and ledger say different things about a payment (docs/reconciliation.md).',
    steps: ['Run `tollway reconcile --json` and follow the charges it names.'],
  },
  {
    alert: 'TollwayChainUnreadable',
    dashboard: 'tollway-payments',
    expr: `${plain('tollway_reconcile_rpc_up')} == 0`,
    for: '30m',
    severity: 'warning',
    summary: 'The chain {{ $labels.network }} could not be read by {{ $labels.instance }} for half an hour.',
    meaning: 'Uncertain payments there stay counted, because nothing can be proven.',
    steps: [
      'Check the log: it says why (timeout, another network, none configured).',
      'Correct `chains` in the configuration.',
    ],
  },
  {
    alert: 'TollwaySellerDown',
    dashboard: 'tollway-gateway',
    expr: 'tollway:seller_unavailable:ratio_rate5m > 0.5',
    for: '5m',
    severity: 'warning',
    summary: 'Sellers of route {{ $labels.route }} do not answer {{ $labels.instance }}.',
    meaning:
      'More than half of its requests ended as `seller_unavailable`: no seller could be reached, answered the question, or had room (`max_parallel_requests`). Nothing was paid for these requests.',
    steps: [
      'See the codes: dashboard Gateway, errors by code.',
      'Ask the seller directly: `tollway probe <url>`.',
      'Add a fallback (`router.fallbacks`) or take the route out.',
    ],
  },
  {
    alert: 'TollwayRouteCooling',
    dashboard: 'tollway-gateway',
    expr: `max by (${where}, route) (${plain('tollway_route_state')}) == 2`,
    for: '5m',
    severity: 'warning',
    summary:
      'Route {{ $labels.route }} of {{ $labels.instance }} keeps failing and is tried after the others.',
    meaning:
      'It failed more often in a row than `router.allowed_fails`. Payments may be among the failures: their charges are uncertain or settled, and counted.',
    steps: [
      'See the codes: dashboard Gateway, errors by code.',
      'With uncertain payments (dashboard Payments), run `tollway reconcile`.',
      'Take the route out, or add a fallback (`router.fallbacks`).',
    ],
  },
  ...PAYER_ALERTS,
  {
    alert: 'TollwayOverheadHigh',
    dashboard: 'tollway-gateway',
    expr: 'tollway:request_overhead_seconds:p99_5m > 0.25',
    for: '10m',
    severity: 'warning',
    summary: '{{ $labels.instance }} itself takes {{ $value | humanizeDuration }} of a request (p99).',
    meaning: "The time is not the seller's: disk, signer or CPU of the gateway are slow.",
    steps: [
      'See which phase grew: dashboard Payments, phases of paying.',
      '`record` is the disk of the ledger, `sign` the signer; an event loop near 1 is the CPU.',
    ],
  },
  {
    alert: 'TollwaySeriesDropped',
    dashboard: 'tollway-gateway',
    expr: `increase(${dropped}[1h]) > 0 or (${dropped} > 0 unless ${dropped} offset 1h)`,
    for: '0m',
    severity: 'info',
    summary: 'Label {{ $labels.label }} of {{ $labels.instance }} is full: what comes is counted as other.',
    meaning:
      'A label met more values than it keeps (200), or a metric more series (`label="all"`). Sums stay right, detail is lost.',
    steps: ['Find the names that grew: routes, callers, sellers or declared tags in the configuration.'],
  },
]
