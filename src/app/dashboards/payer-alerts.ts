/** Alerts about what stands between an offer and its payment: payees, wallets, signers, clocks, price lists and disks. */
import type { AlertRule } from './alert-rule.ts'
import { plain } from './query.ts'

/** Below it a disk is nearly full even where audit.min_free is small, bytes. */
const LOW_DISK_BYTES = 268_435_456

/** Offers refused for a reason in the last quarter of an hour; the first one a process sees has no increase. */
function refusals(reason: string, by: string): string {
  const series = plain('tollway_payments_total', { state: 'refused', reason })
  return `sum by (job, instance, ${by}) (increase(${series}[15m]) > 0 or (${series} > 0 unless ${series} offset 15m))`
}

const minFree = plain('tollway_disk_min_free_bytes')
const failedReads = plain('tollway_catalogue_reads_total', { result: 'failed' })

/** Every one of them is false while nothing was refused or misread. */
export const PAYER_ALERTS: readonly AlertRule[] = [
  {
    alert: 'TollwayPayeeRefused',
    dashboard: 'tollway-payments',
    expr: refusals('payee_not_allowed', 'payer, seller'),
    for: '0m',
    severity: 'warning',
    summary: '{{ $labels.seller }} asked to be paid at another address, which was refused.',
    meaning:
      'The payee of an offer is not the pinned or configured one. Nothing was paid. The seller moved its wallet, or someone is intercepting the connection.',
    steps: [
      'Ask the seller, by another way than its API, which address is right.',
      'Compare with `tollway sellers list`; if the new address is right, `tollway sellers trust` pins it.',
    ],
  },
  {
    alert: 'TollwayWalletEmpty',
    dashboard: 'tollway-payments',
    expr: refusals('insufficient_funds', 'payer'),
    for: '0m',
    severity: 'critical',
    summary:
      'Payer {{ $labels.payer }} of {{ $labels.instance }} could not pay: its wallet holds too little.',
    meaning:
      'Offers were refused as `insufficient_funds` in the last quarter of an hour. Nothing was paid for these; other payers are not concerned.',
    steps: [
      'Run `tollway balance`: it names the paying address. Send tokens to it.',
      'Or route to another payer.',
    ],
  },
  {
    alert: 'TollwaySignerDown',
    dashboard: 'tollway-payments',
    expr: refusals('signer_unavailable', 'payer'),
    for: '2m',
    severity: 'critical',
    summary: 'Payer {{ $labels.payer }} of {{ $labels.instance }} cannot sign.',
    meaning:
      'Its signer gave no signature: the remote signer is unreachable, the pool of another process is gone, or a key cannot be read. Nothing was paid for these requests, which answer 503.',
    steps: ['Check the log for the reason, and the address under `payers`.', 'Run `tollway doctor`.'],
  },
  {
    alert: 'TollwayClockSkew',
    dashboard: 'tollway-payments',
    expr: `abs(${plain('tollway_clock_skew_seconds')}) > 30`,
    for: '5m',
    severity: 'warning',
    summary: 'The clocks of {{ $labels.instance }} and {{ $labels.source }} differ by {{ $value }} s.',
    meaning:
      'Sellers refuse payments as expired or not yet valid when clocks differ. If all sources differ alike, the clock of this machine is wrong; if one does, its own is.',
    steps: ['Compare the sources: dashboard Payments, clock skew.', 'Set the clock of this machine by NTP.'],
  },
  {
    alert: 'TollwayCatalogueStale',
    dashboard: 'tollway-gateway',
    expr: `increase(${failedReads}[1h]) > 0 unless on (job, instance, seller) time() - ${plain('tollway_catalogue_read_timestamp_seconds')} < 3600`,
    for: '15m',
    severity: 'warning',
    summary: 'The list of models and prices of {{ $labels.seller }} could not be read for an hour.',
    meaning:
      'Names and list prices are those of the last successful read. What is paid is not affected: every payment is for a price that the seller quoted.',
    steps: [
      'Request `<api_base>/models` of the seller yourself.',
      'If it has no such list, remove `catalogue: true` from the route.',
    ],
  },
  {
    alert: 'TollwayEventLoopHeld',
    dashboard: 'tollway-gateway',
    expr: `${plain('nodejs_eventloop_delay_max_seconds')} > 0.5`,
    for: '10m',
    severity: 'warning',
    summary: 'Something holds the event loop of {{ $labels.instance }} for {{ $value | humanizeDuration }}.',
    meaning:
      'Each request waits while one is worked on in one piece: very large bodies, too many requests for one core, or a machine that gives the process too little of it. No money is at risk; answers and their first bytes are late.',
    steps: [
      'Look at CPU and event loop of the process: dashboard Gateway. Near 1 the process needs a core of its own, or the load a second process.',
      'Lower `body_limit` if clients send bodies of many megabytes.',
      'Tell us with the log of that time if neither explains it.',
    ],
  },
  {
    alert: 'TollwayDiskNearlyFull',
    dashboard: 'tollway-gateway',
    expr: `${plain('tollway_disk_free_bytes')} < on (job, instance) group_left () clamp_min(2 * ${minFree}, ${LOW_DISK_BYTES})`,
    for: '5m',
    severity: 'critical',
    summary:
      'The disk of the {{ $labels.file }} file of {{ $labels.instance }} has {{ $value | humanize1024 }}B left.',
    meaning:
      'It is less than twice `audit.min_free`. Below `audit.min_free` paid routes refuse, and with a full disk nothing can be recorded or paid.',
    steps: [
      'Make room on that disk.',
      'Let the audit file rotate and keep fewer files (`audit.rotate_bytes`, `audit.retain`).',
    ],
  },
]
