/** The gateways beside each other: which of them is not like the others. */
import type { DashboardSpec } from './grafana.ts'
import type { PanelSpec } from './panel.ts'
import { gauge, lastHour, quantile, rate } from './query.ts'

const requests = `sum by (instance) (${rate('tollway_requests_total')})`
const failed = `sum by (instance) (${rate('tollway_requests_total', { outcome: 'failed' })})`

/** The dashboard "Tollway / Fleet". */
export const FLEET: DashboardSpec = {
  uid: 'tollway-fleet',
  title: 'Tollway / Fleet',
  description: 'Every gateway by its instance: traffic, money, trouble and resources.',
  sections: [
    {
      title: 'Who is there',
      panels: [
        {
          ...each('Up for', 'Time since the process of each gateway started.', 's'),
          kind: 'bargauge',
          low: { warn: 600, fault: 60 },
          lowest: true,
          queries: [
            {
              expr: `time() - max by (instance) (${gauge('process_start_time_seconds')})`,
              legend: '{{instance}}',
            },
          ],
        },
        {
          ...each('Configuration in force', 'Whether the last attempt to read it again succeeded.', 'short'),
          kind: 'stat',
          low: { warn: 1, fault: 1 },
          states: { 0: ['refused', 'red'], 1: ['read', 'green'] },
          queries: [
            {
              expr: `min by (instance) (${gauge('tollway_config_last_reload_successful')})`,
              legend: '{{instance}}',
            },
          ],
        },
        {
          ...each(
            'Configuration read',
            'Time since each gateway read the configuration that is in force.',
            's',
          ),
          kind: 'bargauge',
          queries: [
            {
              expr: `time() - max by (instance) (${gauge('tollway_config_last_reload_success_timestamp_seconds')})`,
              legend: '{{instance}}',
            },
          ],
        },
        {
          ...each(
            'Configurations read again',
            'Attempts of the last hour: done, unchanged, or refused, whose reason is in the log.',
            'short',
          ),
          kind: 'bargauge',
          queries: [
            {
              expr: `sum by (instance, result) (${lastHour('tollway_config_reloads_total')})`,
              legend: '{{instance}} {{result}}',
            },
          ],
        },
        {
          ...each('Spent in the last hour by gateway', 'From the counters of each process.', 'currencyUSD'),
          kind: 'bargauge',
          decimals: 4,
          queries: [
            { expr: `sum by (instance) (${lastHour('tollway_spend_usd_total')})`, legend: '{{instance}}' },
          ],
        },
      ],
    },
    {
      title: 'Traffic of each',
      panels: [
        {
          ...each(
            'Requests of each gateway',
            'Of all kinds. One that gets none is missing behind the balancer.',
            'reqps',
          ),
          queries: [{ expr: requests, legend: '{{instance}}' }],
        },
        {
          ...each(
            'Failed share of each gateway',
            'Requests that got no answer although nothing refused them.',
            'percentunit',
          ),
          warnAt: 0.01,
          faultAt: 0.05,
          queries: [{ expr: `${failed} / ${requests}`, legend: '{{instance}}' }],
        },
        {
          ...each(
            "Tollway's own share of each (99th percentile)",
            'What a gateway itself adds before the answer begins.',
            's',
          ),
          queries: [
            {
              expr: quantile(0.99, 'tollway_request_overhead_seconds', [], ['instance']),
              legend: '{{instance}}',
            },
          ],
        },
      ],
    },
    {
      title: 'Trouble of each',
      panels: [
        {
          ...each(
            'Audit failures of each gateway',
            'Records of the last hour that could not be written: paid routes refuse.',
            'short',
          ),
          kind: 'bargauge',
          faultAt: 1,
          queries: [
            {
              expr: `sum by (instance) (${lastHour('tollway_audit_failures_total')})`,
              legend: '{{instance}}',
            },
          ],
        },
        {
          ...each(
            'Event loop of each gateway',
            'Share of the time in which it was busy. Near 1 every request waits.',
            'percentunit',
          ),
          warnAt: 0.7,
          faultAt: 0.9,
          queries: [
            {
              expr: `max by (instance) (${gauge('nodejs_eventloop_utilization_ratio')})`,
              legend: '{{instance}}',
            },
          ],
        },
        {
          ...each('Memory of each gateway', 'Resident memory.', 'bytes'),
          queries: [
            { expr: `max by (instance) (${gauge('process_resident_memory_bytes')})`, legend: '{{instance}}' },
          ],
        },
      ],
    },
    {
      title: 'Approvals and messages',
      collapsed: true,
      panels: [
        {
          ...each(
            'Calls that needed approval',
            'Of the last hour, by what came of them; without policy.approve_above_usd there are none.',
            'short',
          ),
          kind: 'bargauge',
          queries: [
            {
              expr: `sum by (instance, result) (${lastHour('tollway_approvals_total')})`,
              legend: '{{instance}} {{result}}',
            },
          ],
        },
        {
          ...each(
            'Calls that wait for approval',
            'Each until a person decides, or until its time is over.',
            'short',
          ),
          kind: 'bargauge',
          queries: [
            { expr: `sum by (instance) (${gauge('tollway_approvals_waiting')})`, legend: '{{instance}}' },
          ],
        },
        {
          ...each(
            'Messages to the webhook',
            'Of the last hour, by result; failed and dropped ones are in the log and the audit file. Without notify there are none.',
            'short',
          ),
          kind: 'bargauge',
          queries: [
            {
              expr: `sum by (instance, kind, result) (${lastHour('tollway_notifications_total')})`,
              legend: '{{instance}} {{kind}} {{result}}',
            },
          ],
        },
      ],
    },
  ],
}

function each(
  title: string,
  description: string,
  unit: string,
): Pick<PanelSpec, 'title' | 'description' | 'unit' | 'kind' | 'width'> {
  return { kind: 'timeseries', title, description, unit, width: 8 }
}
