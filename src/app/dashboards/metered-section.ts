/** The row of calls that an upstream bills to a key. */
import type { DashboardSpec } from './grafana.ts'
import { gauge, lastHour, rate } from './query.ts'

/** A row of the dashboard "Tollway / Spend". */
export const METERED: DashboardSpec['sections'][number] = {
  title: 'Upstreams with a key',
  collapsed: true,
  panels: [
    {
      kind: 'timeseries',
      title: 'Billed per hour by model',
      description:
        'By the prices of the routes and the usage of the answers; the most it may have cost where an answer told none.',
      unit: 'currencyUSD',
      decimals: 4,
      queries: [
        {
          expr: `sum by (route, model) (${lastHour('tollway_metered_usd_total')})`,
          legend: '{{route}} {{model}}',
        },
      ],
    },
    {
      kind: 'timeseries',
      title: 'Calls per minute by state and reason',
      description:
        'estimated: the answer told no usage, so the most counts. Ask for include_usage in streams.',
      unit: 'short',
      queries: [
        {
          expr: `sum by (state, reason) (${rate('tollway_metered_requests_total')}) * 60`,
          legend: '{{state}} {{reason}}',
        },
      ],
    },
    {
      kind: 'timeseries',
      title: 'Routes without a price',
      description: 'Their calls count in no budget in USD. Add prices under model_info.',
      unit: 'short',
      queries: [{ expr: `max by (route) (${gauge('tollway_unpriced_routes')})`, legend: '{{route}}' }],
    },
  ],
}
