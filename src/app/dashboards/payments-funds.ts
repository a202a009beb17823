/** The part of the dashboard "Tollway / Payments" about what payments are made from. */
import type { Section } from './grafana.ts'
import { gauge, lastHour, rate } from './query.ts'

const FAR = 7_776_000
const balance = gauge('tollway_wallet_balance_usd')
/** What each gateway spends, with the wallet that its payer of that name has. */
const paidFrom = `sum by (job, instance, payer) (${rate('tollway_spend_usd_total', {}, '6h')}) * on (job, instance, payer) group_left (address) group by (job, instance, payer, address) (${balance})`

/** Balances and runways. */
export const FUNDS: Section = {
  title: 'Wallets',
  panels: [
    {
      kind: 'timeseries',
      title: 'Wallet balance',
      description: 'Read from the chains in the background. Absent without an RPC under chains.',
      unit: 'currencyUSD',
      decimals: 2,
      width: 6,
      queries: [
        {
          expr: `max by (payer, address, network, asset) (${balance})`,
          legend: '{{payer}} {{address}} {{asset}} {{network}}',
        },
      ],
    },
    {
      kind: 'bargauge',
      title: 'Runway of wallets',
      description: 'How long the balance lasts at the rate of the last six hours, capped at ninety days.',
      unit: 's',
      width: 6,
      low: { warn: 7 * 86_400, fault: 86_400 },
      lowest: true,
      queries: [
        {
          expr: `clamp_max(sum by (payer, address) (max by (payer, address, network, asset) (${balance})) / clamp_min(sum by (payer, address) (${paidFrom}), 1e-12), ${FAR})`,
          legend: '{{payer}} {{address}}',
        },
      ],
    },
  ],
}

/** Payments signed ahead: only with pools. */
export const VOUCHERS: Section = {
  title: 'Pools of vouchers',
  collapsed: true,
  panels: [
    {
      kind: 'timeseries',
      title: 'Vouchers',
      description: 'Pre-signed payments of the pools by state.',
      unit: 'short',
      width: 6,
      queries: [
        {
          expr: `max by (payer, seller, state) (${gauge('tollway_vouchers')})`,
          legend: '{{payer}} {{seller}} {{state}}',
        },
      ],
    },
    {
      kind: 'timeseries',
      title: 'Age of the oldest voucher',
      description: 'Time since the oldest usable voucher of a pool was added.',
      unit: 's',
      width: 6,
      queries: [
        {
          expr: `time() - min by (payer, seller) (${gauge('tollway_voucher_oldest_timestamp_seconds')})`,
          legend: '{{payer}} {{seller}}',
        },
      ],
    },
    {
      kind: 'timeseries',
      title: 'Next voucher to expire',
      description: 'Time until the first usable voucher of a pool expires unused.',
      unit: 's',
      lowest: true,
      width: 6,
      queries: [
        {
          expr: `min by (payer, seller) (${gauge('tollway_voucher_next_expiry_timestamp_seconds')}) - time()`,
          legend: '{{payer}} {{seller}}',
        },
      ],
    },
    {
      kind: 'timeseries',
      title: 'Voucher exposure',
      description: 'What anyone holding the unspent vouchers could take.',
      unit: 'currencyUSD',
      decimals: 2,
      width: 6,
      queries: [{ expr: `max(${gauge('tollway_voucher_exposure_usd')})`, legend: 'exposure' }],
    },
    {
      kind: 'timeseries',
      title: 'Refills per hour',
      description: 'Vouchers that the gateway signed in the background, and reasons for failures.',
      unit: 'short',
      width: 24,
      queries: [
        {
          expr: `sum by (payer, result) (${lastHour('tollway_voucher_refills_total')})`,
          legend: '{{payer}} {{result}}',
        },
      ],
    },
  ],
}
