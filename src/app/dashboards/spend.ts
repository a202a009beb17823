/** Who spent what, and how much is left. */
import type { DashboardSpec } from './grafana.ts'
import type { PanelSpec } from './panel.ts'
import type { Query } from './panel.ts'
import { METERED } from './metered-section.ts'
import { gauge, histogramRate, lastHour, rate } from './query.ts'

const USD = { unit: 'currencyUSD', decimals: 4 } as const
/** What has no end in sight is shown as thirty days. */
const FAR = 2_592_000
const BY = ['route', 'model', 'payer', 'seller', 'caller'] as const

const tokens = `label_replace(${histogramRate('gen_ai_client_token_usage', 'sum')}, "model", "$1", "gen_ai_request_model", "(.*)")`
const spendByModel = `sum by (model) (${rate('tollway_spend_usd_total')})`
const spendByRoute = `sum by (route) (${rate('tollway_spend_usd_total')})`
const left = gauge('tollway_budget_remaining_usd')
const unitsLeft = gauge('tollway_budget_asset_units', { kind: 'remaining' })

/** The dashboard "Tollway / Spend". */
export const SPEND: DashboardSpec = {
  uid: 'tollway-spend',
  title: 'Tollway / Spend',
  description: 'What was spent, by whom, and what the budgets still hold.',
  sections: [
    {
      title: 'Now',
      panels: [
        usdStat(
          'Spent today',
          'Settled since midnight UTC, read from the ledger, so it is correct after a restart. Gateways that share a ledger report the same total, so the highest is shown; for gateways with separate ledgers choose one at the top.',
          latest('day'),
        ),
        usdStat(
          'Spent this month',
          'Settled since the first of the month UTC, from the ledger.',
          latest('month'),
        ),
        usdStat(
          'Spent in the last hour',
          'Spent in the last hour, from the counters of these processes.',
          `sum(${lastHour('tollway_spend_usd_total')})`,
        ),
        {
          ...usdStat(
            'Uncertain',
            'Sent to sellers without proof either way. It counts as spent until the chain proves otherwise.',
            `max(${gauge('tollway_uncertain_usd')})`,
          ),
          warnAt: 0.000_001,
        },
      ],
    },
    {
      title: 'Today and this month',
      panels: [
        ...BY.map((label) => spentBy(label, 'day', `Today by ${label}`)),
        ...BY.map((label) => spentBy(label, 'month', `This month by ${label}`)),
      ],
    },
    {
      title: 'Over time',
      panels: BY.map((label) => ({
        kind: 'timeseries' as const,
        title: `Spend per hour by ${label}`,
        description: `USD of the hour before each moment, by ${label}.`,
        ...USD,
        width: 12,
        stacked: true,
        queries: [
          { expr: `sum by (${label}) (${lastHour('tollway_spend_usd_total')})`, legend: `{{${label}}}` },
        ],
      })),
    },
    {
      title: 'Budgets',
      panels: [
        {
          kind: 'bargauge',
          title: 'Share used',
          description:
            'Spent, held and uncertain, of the limit of the current window. What is left below 100 % may still be too little for any price: see Refusals by budget.',
          unit: 'percentunit',
          decimals: 1,
          warnAt: 0.8,
          faultAt: 1,
          width: 12,
          queries: [
            {
              expr: `max by (budget, subject) (1 - ${left} / ${gauge('tollway_budget_limit_usd')})`,
              legend: '{{budget}} {{subject}}',
            },
            {
              expr: `max by (budget, subject, asset) (1 - sum without (kind) (${unitsLeft}) / sum without (kind) (${gauge('tollway_budget_asset_units', { kind: 'limit' })}))`,
              legend: '{{budget}} {{subject}} {{asset}}',
            },
          ],
        },
        {
          kind: 'bargauge',
          title: 'Time to exhaustion',
          description:
            'Time until the budget is used up at the rate of the last hour, capped at thirty days; the end of the window is ignored.',
          unit: 's',
          width: 12,
          low: { warn: 86_400, fault: 3600 },
          lowest: true,
          queries: [
            {
              expr: `min by (budget, subject) (${lasting(left)})`,
              legend: '{{budget}} {{subject}}',
            },
            {
              expr: `min by (budget, subject, asset) (${lasting(unitsLeft)})`,
              legend: '{{budget}} {{subject}} {{asset}}',
            },
          ],
        },
        {
          kind: 'timeseries',
          title: 'Limit, spent, held, uncertain',
          description: 'Every budget in USD. What is held or uncertain counts against the limit too.',
          ...USD,
          width: 12,
          queries: budgetLines(),
        },
        {
          kind: 'timeseries',
          title: 'Budgets in tokens',
          description: 'Budgets that count a token and not USD, in whole tokens.',
          unit: 'short',
          decimals: 4,
          width: 12,
          queries: [
            {
              expr: `max by (budget, subject, asset, kind) (${gauge('tollway_budget_asset_units')})`,
              legend: '{{budget}} {{subject}} {{kind}} {{asset}}',
            },
          ],
        },
      ],
    },
    METERED,
    {
      title: 'What it costs',
      panels: [
        {
          kind: 'timeseries',
          title: 'Cost per paid request',
          description: 'What an answer cost on average.',
          unit: 'currencyUSD',
          decimals: 6,
          queries: [
            {
              expr: `${spendByRoute} / sum by (route) (${rate('tollway_requests_total', { outcome: 'paid' })})`,
              legend: '{{route}}',
            },
          ],
        },
        {
          kind: 'timeseries',
          title: 'Requests with a known cost',
          description:
            'Share of the last 1,000 answers whose cost is known. Below 100 %, keyed routes lack a price.',
          unit: 'percentunit',
          queries: [
            { expr: `min by (instance) (${gauge('tollway_capture_ratio')})`, legend: '{{instance}}' },
          ],
        },
        {
          kind: 'timeseries',
          title: 'Cost per 1,000 tokens',
          description: 'Input and output tokens together, where the seller reports them.',
          unit: 'currencyUSD',
          decimals: 6,
          queries: [{ expr: `1000 * ${spendByModel} / sum by (model) (${tokens})`, legend: '{{model}}' }],
        },
        {
          kind: 'timeseries',
          title: 'Refusals by reason',
          description: 'Answers that were errors of the gateway, by code (docs/errors.md).',
          unit: 'reqps',
          queries: [{ expr: `sum by (code) (${rate('tollway_errors_total')})`, legend: '{{code}}' }],
        },
        {
          kind: 'timeseries',
          title: 'Refusals by budget',
          description:
            'Requests a budget refused; what budgets with enforce: false would have; soft limits passed.',
          unit: 'reqps',
          width: 12,
          queries: [
            {
              expr: `sum by (budget) (${rate('tollway_budget_refusals_total')})`,
              legend: '{{budget}} refused',
            },
            {
              expr: `sum by (budget) (${rate('tollway_budget_would_refuse_total')})`,
              legend: '{{budget}} would refuse',
            },
            {
              expr: `sum by (budget) (${rate('tollway_budget_soft_limits_total')})`,
              legend: '{{budget}} soft limit',
            },
          ],
        },
        {
          kind: 'timeseries',
          title: 'Taken off again by the chain',
          description:
            'USD of the hour before each moment that were counted when they settled and then proven not to have been taken, by seller.',
          ...USD,
          width: 12,
          queries: [
            {
              expr: `sum by (seller) (${lastHour('tollway_spend_corrections_usd_total')})`,
              legend: '{{seller}}',
            },
          ],
        },
      ],
    },
  ],
}

/** Seconds until nothing is left. */
function lasting(remaining: string): string {
  return `clamp_max(${remaining} / clamp_min(-deriv(${remaining}[1h]), 1e-12), ${FAR})`
}

function latest(window: 'day' | 'month'): string {
  return `max(sum by (job, instance) (${gauge('tollway_spent_usd', { window })}))`
}

function usdStat(title: string, description: string, expr: string): PanelSpec {
  return { kind: 'stat', title, description, ...USD, width: 6, queries: [{ expr, legend: title }] }
}

function spentBy(label: (typeof BY)[number], window: 'day' | 'month', title: string): PanelSpec {
  return {
    kind: 'bargauge',
    title,
    description: `Settled in this ${window} (UTC), from the ledger, by ${label}.`,
    ...USD,
    width: 6,
    queries: [
      {
        expr: `max by (${label}) (sum by (job, instance, ${label}) (${gauge('tollway_spent_usd', { window })}))`,
        legend: `{{${label}}}`,
      },
    ],
  }
}

function budgetLines(): Query[] {
  const lines = [
    ['tollway_budget_limit_usd', 'limit'],
    ['tollway_budget_spent_usd', 'spent'],
    ['tollway_budget_held_usd', 'held'],
    ['tollway_budget_uncertain_usd', 'uncertain'],
  ] as const
  return lines.map(([name, word]) => ({
    expr: `max by (budget, subject) (${gauge(name)})`,
    legend: `{{budget}} {{subject}} ${word}`,
  }))
}
