/** The lower half of the dashboard "Tollway / Gateway": routing, and the process. */
import type { Section } from './grafana.ts'
import { gauge, lastHour, rate } from './query.ts'

/** Fallbacks, retries and the health of routes. */
export const ROUTING: Section = {
  title: 'Routing',
  panels: [
    {
      kind: 'timeseries',
      title: 'Fallbacks',
      description: 'Requests that went on to another route, and why.',
      unit: 'reqps',
      width: 6,
      queries: [
        {
          expr: `sum by (route, to, reason) (${rate('tollway_fallbacks_total')})`,
          legend: '{{route}} to {{to}}: {{reason}}',
        },
      ],
    },
    {
      kind: 'timeseries',
      title: 'Retries',
      description: 'Unpaid sends that were repeated. A paid send never is.',
      unit: 'reqps',
      width: 6,
      queries: [
        {
          expr: `sum by (route, reason) (${rate('tollway_retries_total')})`,
          legend: '{{route}} {{reason}}',
        },
      ],
    },
    {
      kind: 'timeseries',
      title: 'Cooldowns per minute',
      description: 'How often a route was tried after the others because it kept failing.',
      unit: 'short',
      width: 6,
      queries: [
        {
          expr: `sum by (route, reason) (${rate('tollway_cooldowns_total')}) * 60`,
          legend: '{{route}} {{reason}}',
        },
      ],
    },
    {
      kind: 'timeseries',
      title: 'Health of routes',
      description: 'Healthy, on trial after a cooldown, or cooling down.',
      unit: 'short',
      states: { 0: ['healthy', 'green'], 1: ['on trial', 'orange'], 2: ['cooling down', 'red'] },
      width: 6,
      queries: [
        {
          expr: `max by (route, seller) (${gauge('tollway_route_state')})`,
          legend: '{{route}} {{seller}}',
        },
      ],
    },
    {
      kind: 'timeseries',
      title: 'Lists of models read per hour',
      description: 'Catalogues of sellers. A list that cannot be read stays as it was.',
      unit: 'short',
      width: 8,
      queries: [
        {
          expr: `sum by (seller, result) (${lastHour('tollway_catalogue_reads_total')})`,
          legend: '{{seller}} {{result}}',
        },
      ],
    },
    {
      kind: 'timeseries',
      title: 'Age of those lists',
      description: 'Time since each was last read successfully.',
      unit: 's',
      width: 8,
      queries: [
        {
          expr: `time() - max by (seller) (${gauge('tollway_catalogue_read_timestamp_seconds')})`,
          legend: '{{seller}}',
        },
      ],
    },
    {
      kind: 'timeseries',
      title: 'Models on those lists',
      description: 'As they were last read.',
      unit: 'short',
      width: 8,
      queries: [
        {
          expr: `max by (seller) (${gauge('tollway_catalogue_models')})`,
          legend: '{{seller}}',
        },
      ],
    },
    {
      kind: 'timeseries',
      title: 'Requests with fewer answer tokens per minute',
      description: 'Asked for again by reduce_max_tokens, because the quote was above the ceiling.',
      unit: 'short',
      width: 8,
      queries: [
        {
          expr: `sum by (route, seller) (${rate('tollway_reduced_requests_total')}) * 60`,
          legend: '{{route}} {{seller}}',
        },
      ],
    },
  ],
}

/** The process that serves. */
export const PROCESS: Section = {
  title: 'Process',
  panels: [
    {
      kind: 'timeseries',
      title: 'CPU',
      description: 'Cores in use.',
      unit: 'short',
      decimals: 2,
      width: 6,
      queries: [
        {
          expr: `sum by (instance) (${rate('process_cpu_seconds_total')})`,
          legend: '{{instance}}',
        },
      ],
    },
    {
      kind: 'timeseries',
      title: 'Memory',
      description: 'Resident memory.',
      unit: 'bytes',
      width: 6,
      queries: [{ expr: gauge('process_resident_memory_bytes'), legend: '{{instance}}' }],
    },
    {
      kind: 'timeseries',
      title: 'Event loop',
      description: 'Share of the time in which it was busy. Near 1 every request waits.',
      unit: 'percentunit',
      width: 6,
      queries: [{ expr: gauge('nodejs_eventloop_utilization_ratio'), legend: '{{instance}}' }],
    },
    {
      kind: 'timeseries',
      title: 'Event loop held',
      description: 'Longest hold of the last minute or two. Every request waits as long.',
      unit: 's',
      width: 6,
      queries: [{ expr: gauge('nodejs_eventloop_delay_max_seconds'), legend: '{{instance}}' }],
    },
    {
      kind: 'stat',
      title: 'Up for',
      description: 'Time since the oldest process started.',
      unit: 's',
      width: 6,
      queries: [{ expr: `time() - min(${gauge('process_start_time_seconds')})`, legend: 'up' }],
    },
    {
      kind: 'timeseries',
      title: 'Observations folded into other',
      description: 'A label or metric had no room left; the sums stay right, the detail is gone.',
      unit: 'short',
      width: 12,
      queries: [{ expr: `sum by (label) (${rate('tollway_series_dropped_total')})`, legend: '{{label}}' }],
    },
  ],
}
