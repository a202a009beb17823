/** What became of every payment, and whether the money side is well. */
import type { DashboardSpec } from './grafana.ts'
import { FUNDS, VOUCHERS } from './payments-funds.ts'
import { gauge, lastHour, quantile, rate } from './query.ts'

const payments = (by: string): string => `sum by (${by}) (${rate('tollway_payments_total')}) * 60`
const ended = (state: string): string => `sum by (seller) (${rate('tollway_payments_total', { state })})`

/** The dashboard "Tollway / Payments". */
export const PAYMENTS: DashboardSpec = {
  uid: 'tollway-payments',
  title: 'Tollway / Payments',
  description: 'States of payments, prices, pools, wallets and the sums that must agree.',
  sections: [
    {
      title: 'Needs review',
      panels: [
        {
          kind: 'stat',
          title: 'Uncertain payments',
          description: 'Sent without proof either way. An RPC under chains lets the reconciler resolve them.',
          unit: 'short',
          width: 6,
          warnAt: 1,
          queries: [{ expr: `max(${gauge('tollway_uncertain_payments')})`, legend: 'payments' }],
        },
        {
          kind: 'stat',
          title: 'Flagged charges',
          description:
            'Charges whose receipt, chain and ledger do not fit together: tollway reconcile names them.',
          unit: 'short',
          width: 6,
          warnAt: 1,
          queries: [
            { expr: `max(sum by (job, instance) (${gauge('tollway_charges_flagged')}))`, legend: 'charges' },
          ],
        },
        {
          kind: 'stat',
          title: 'Largest mismatch of the sums',
          description: 'Ledger, audit file, metrics and chain are added up independently; 0 is right.',
          unit: 'currencyUSD',
          decimals: 6,
          width: 6,
          faultAt: 0.000_001,
          queries: [{ expr: `max(abs(${gauge('tollway_ledger_mismatch_usd')}))`, legend: 'mismatch' }],
        },
        {
          kind: 'stat',
          title: 'Audit failures',
          description: 'Audit records a minute that could not be written. Paid routes refuse then.',
          unit: 'short',
          width: 6,
          faultAt: 0.000_001,
          queries: [{ expr: `sum(${rate('tollway_audit_failures_total')}) * 60`, legend: 'per minute' }],
        },
      ],
    },
    {
      title: 'Payments',
      panels: [
        {
          kind: 'timeseries',
          title: 'Payments per minute by state',
          description: 'held, authorized, settled, uncertain, released: each move is counted once.',
          unit: 'short',
          width: 12,
          queries: [{ expr: payments('state'), legend: '{{state}}' }],
        },
        {
          kind: 'timeseries',
          title: 'Payments per minute by reason',
          description: 'Why charges moved: a receipt, a timeout, a status, the chain.',
          unit: 'short',
          width: 12,
          queries: [{ expr: payments('state, reason'), legend: '{{state}} {{reason}}' }],
        },
        {
          kind: 'timeseries',
          title: 'Payments per minute by payer and network',
          description: 'Signed payments by who signs and where.',
          unit: 'short',
          width: 12,
          queries: [
            {
              expr: `sum by (payer, network) (${rate('tollway_payments_total', { state: 'authorized' })}) * 60`,
              legend: '{{payer}} {{network}}',
            },
          ],
        },
        {
          kind: 'timeseries',
          title: 'Seller health',
          description:
            'Share of the signed payments of a seller that it settled. Below 1, payments may have been taken without confirmation.',
          unit: 'percentunit',
          width: 12,
          queries: [{ expr: `${ended('settled')} / ${ended('authorized')}`, legend: '{{seller}}' }],
        },
        {
          kind: 'timeseries',
          title: 'Phases of paying (95th percentile)',
          description:
            'quote: until the offer is vetted; sign; record: the durable write; send: until the paid status.',
          unit: 's',
          width: 12,
          queries: [
            { expr: quantile(0.95, 'tollway_payment_phase_seconds', ['phase']), legend: '{{phase}}' },
          ],
        },
        {
          kind: 'timeseries',
          title: 'Uncertain USD',
          description: 'Payments whose outcome is not known yet, in USD.',
          unit: 'currencyUSD',
          decimals: 4,
          width: 12,
          queries: [{ expr: `max(${gauge('tollway_uncertain_usd')})`, legend: 'uncertain' }],
        },
      ],
    },
    {
      title: 'Prices',
      panels: [
        {
          kind: 'timeseries',
          title: 'Newest quote',
          description: 'The last price each seller asked.',
          unit: 'currencyUSD',
          decimals: 6,
          width: 12,
          queries: [
            {
              expr: `max by (seller, route) (${gauge('tollway_quote_usd')})`,
              legend: '{{seller}} {{route}}',
            },
          ],
        },
        {
          kind: 'timeseries',
          title: 'Remembered terms per minute',
          description:
            'Payments without a question before them, questions behind answers, and what became of terms that changed.',
          unit: 'short',
          width: 8,
          queries: [
            {
              expr: `sum by (seller, result) (${rate('tollway_remembered_terms_total')}) * 60`,
              legend: '{{seller}} {{result}}',
            },
          ],
        },
        {
          kind: 'timeseries',
          title: 'Clock skew',
          description: 'How far the clocks of sellers and networks are ahead of ours.',
          unit: 's',
          width: 8,
          queries: [
            {
              expr: `max by (source) (${gauge('tollway_clock_skew_seconds')})`,
              legend: '{{source}}',
            },
          ],
        },
        {
          kind: 'timeseries',
          title: 'Price changes per minute',
          description:
            'Quotes that differ from what was paid last: up, down, or refused by policy.max_price_change.',
          unit: 'short',
          width: 12,
          queries: [
            {
              expr: `sum by (seller, direction) (${rate('tollway_quote_drift_total')}) * 60`,
              legend: '{{seller}} {{direction}}',
            },
          ],
        },
      ],
    },
    FUNDS,
    VOUCHERS,
    {
      title: 'Sign-ins and hooks',
      collapsed: true,
      panels: [
        {
          kind: 'timeseries',
          title: 'Sign-ins per hour',
          description: 'Sign-ins at sellers instead of payments, by result.',
          unit: 'short',
          width: 8,
          queries: [
            {
              expr: `sum by (seller, result) (${lastHour('tollway_sign_ins_total')})`,
              legend: '{{seller}} {{result}}',
            },
          ],
        },
        {
          kind: 'timeseries',
          title: 'Calls of hooks per hour',
          description:
            'Hooks of the application by how their calls ended, and the reasons of beforeSign for refusing.',
          unit: 'short',
          width: 8,
          queries: [
            {
              expr: `sum by (hook, result) (${lastHour('tollway_hook_calls_total')})`,
              legend: '{{hook}} {{result}}',
            },
            {
              expr: `sum by (reason) (${lastHour('tollway_hook_refusals_total')})`,
              legend: 'refused: {{reason}}',
            },
          ],
        },
      ],
    },
    {
      title: 'Books',
      panels: [
        {
          kind: 'timeseries',
          title: 'Mismatch by pair',
          description: 'Each pair of independent sums; every line at 0 is right.',
          unit: 'currencyUSD',
          decimals: 6,
          queries: [
            { expr: `max by (pair) (abs(${gauge('tollway_ledger_mismatch_usd')}))`, legend: '{{pair}}' },
          ],
        },
        {
          kind: 'timeseries',
          title: 'Audit records',
          description: 'Sequence number of the newest record. A line that falls has lost records.',
          unit: 'short',
          queries: [
            {
              expr: `max by (instance) (${gauge('tollway_audit_sequence')})`,
              legend: '{{instance}}',
            },
          ],
        },
        {
          kind: 'timeseries',
          title: 'Chains that can be read',
          description: 'Whether the last read of the network succeeded and was consistent.',
          unit: 'short',
          states: { 0: ['unreadable', 'red'], 1: ['readable', 'green'] },
          queries: [
            { expr: `min by (network) (${gauge('tollway_reconcile_rpc_up')})`, legend: '{{network}}' },
          ],
        },
        {
          kind: 'timeseries',
          title: 'Chain checks per minute',
          description: 'done; incomplete: a network gave no usable answer; failed: the ledger did not.',
          unit: 'short',
          width: 12,
          queries: [
            { expr: `sum by (result) (${rate('tollway_reconcile_runs_total')}) * 60`, legend: '{{result}}' },
          ],
        },
        {
          kind: 'timeseries',
          title: 'Flagged charges by flag',
          description: 'docs/reconciliation.md says what each flag means.',
          unit: 'short',
          width: 12,
          queries: [{ expr: `max by (flag) (${gauge('tollway_charges_flagged')})`, legend: '{{flag}}' }],
        },
      ],
    },
  ],
}
