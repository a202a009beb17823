/** How the gateway does: traffic, errors, its own share of the time, streams, and the process. */
import { PROCESS, ROUTING } from './gateway-inside.ts'
import type { DashboardSpec } from './grafana.ts'
import { gauge, quantile, rate, histogramRate } from './query.ts'

/** The dashboard "Tollway / Gateway". */
export const GATEWAY: DashboardSpec = {
  uid: 'tollway-gateway',
  title: 'Tollway / Gateway',
  description: 'Requests, errors, latency, streams, routing and the process.',
  sections: [
    {
      title: 'Requests',
      panels: [
        {
          kind: 'timeseries',
          title: 'Requests by outcome',
          description:
            'paid; free: answered without a payment; refused; uncertain: money may have moved; failed.',
          unit: 'reqps',
          stacked: true,
          queries: [{ expr: `sum by (outcome) (${rate('tollway_requests_total')})`, legend: '{{outcome}}' }],
        },
        {
          kind: 'timeseries',
          title: 'Requests by route',
          description: 'upstream: what no route claims; none: what is no model request.',
          unit: 'reqps',
          queries: [{ expr: `sum by (route) (${rate('tollway_requests_total')})`, legend: '{{route}}' }],
        },
        {
          kind: 'timeseries',
          title: 'Errors by code',
          description: 'Answers that were errors of the gateway (docs/errors.md).',
          unit: 'reqps',
          queries: [{ expr: `sum by (code) (${rate('tollway_errors_total')})`, legend: '{{code}}' }],
        },
        {
          kind: 'timeseries',
          title: 'Share of failed requests',
          description: 'Requests that got no answer although nothing refused them, by route.',
          unit: 'percentunit',
          queries: [
            {
              expr: `sum by (route) (${rate('tollway_requests_total', { outcome: 'failed' })}) / sum by (route) (${rate('tollway_requests_total')})`,
              legend: '{{route}}',
            },
          ],
        },
        {
          kind: 'timeseries',
          title: 'Model errors by type',
          description: "OpenTelemetry's error.type of model requests, by operation.",
          unit: 'reqps',
          queries: [
            {
              expr: `sum by (gen_ai_operation_name, error_type) (${histogramRate('gen_ai_client_operation_duration_seconds', 'count', { error_type: '!' })})`,
              legend: '{{gen_ai_operation_name}} {{error_type}}',
            },
          ],
        },
        {
          kind: 'timeseries',
          title: 'Refused by a caller limit',
          description: 'Requests over the requests, tokens or parallel limit of a caller.',
          unit: 'reqps',
          queries: [
            {
              expr: `sum by (caller, limit) (${rate('tollway_rate_limited_total')})`,
              legend: '{{caller}} {{limit}}',
            },
          ],
        },
      ],
    },
    {
      title: 'Time',
      panels: [
        {
          kind: 'timeseries',
          title: "Tollway's own share",
          description:
            'Until the answer could be relayed, less what sellers and upstreams took: median and 99th percentile.',
          unit: 's',
          queries: [0.5, 0.99].map((q) => ({
            expr: quantile(q, 'tollway_request_overhead_seconds'),
            legend: `p${q * 100}`,
          })),
        },
        {
          kind: 'timeseries',
          title: 'Time to first byte (95th percentile)',
          description: "From the request to the first byte of the answer's body, by route.",
          unit: 's',
          queries: [
            {
              expr: quantile(0.95, 'tollway_request_time_to_first_byte_seconds', ['route']),
              legend: '{{route}}',
            },
          ],
        },
        {
          kind: 'timeseries',
          title: 'Duration (95th percentile)',
          description: 'From the request to the end of its answer, by outcome.',
          unit: 's',
          queries: [
            {
              expr: quantile(0.95, 'tollway_request_duration_seconds', ['outcome']),
              legend: '{{outcome}}',
            },
          ],
        },
        {
          kind: 'timeseries',
          title: 'Time to first chunk (95th percentile)',
          description: 'For streamed answers: how long users wait before the first text.',
          unit: 's',
          queries: [
            {
              expr: quantile(0.95, 'gen_ai_client_operation_time_to_first_chunk_seconds', [
                'gen_ai_request_model',
              ]),
              legend: '{{gen_ai_request_model}}',
            },
          ],
        },
        {
          kind: 'timeseries',
          title: 'Time between tokens (95th percentile)',
          description:
            'For streamed answers that came whole: from the first byte to the end, by the tokens they reported.',
          unit: 's',
          queries: [
            {
              expr: quantile(0.95, 'gen_ai_server_time_per_output_token_seconds', ['gen_ai_request_model']),
              legend: '{{gen_ai_request_model}}',
            },
          ],
        },
        {
          kind: 'timeseries',
          title: 'Streams by how they ended',
          description: 'whole, or truncated: broken off by the seller and ended by us as a cut answer.',
          unit: 'reqps',
          queries: [{ expr: `sum by (ended) (${rate('tollway_streams_total')})`, legend: '{{ended}}' }],
        },
        {
          kind: 'timeseries',
          title: 'Answers in another form than asked for',
          description:
            'json_to_sse: the seller buffered what the client wanted streamed; sse_to_json: the reverse.',
          unit: 'reqps',
          queries: [
            {
              expr: `sum by (kind) (${rate('tollway_stream_conversions_total')})`,
              legend: '{{kind}}',
            },
          ],
        },
        {
          kind: 'timeseries',
          title: 'Open streams of the spend page',
          description: 'Pages that watch the spending live; there may be 50.',
          unit: 'short',
          queries: [
            { expr: `sum by (instance) (${gauge('tollway_spend_page_streams')})`, legend: '{{instance}}' },
          ],
        },
        {
          kind: 'timeseries',
          title: 'Free disk space',
          description: 'Of the disks of audit file and ledger; below audit.min_free paid routes refuse.',
          unit: 'bytes',
          queries: [
            {
              expr: `min by (instance, file) (${gauge('tollway_disk_free_bytes')})`,
              legend: '{{instance}} {{file}}',
            },
            { expr: `max(${gauge('tollway_disk_min_free_bytes')})`, legend: 'audit.min_free' },
          ],
        },
        {
          kind: 'timeseries',
          title: 'Memory of ended requests',
          description: 'Bytes of answers kept for repeats; idempotency.max_bytes is the limit.',
          unit: 'bytes',
          queries: [
            { expr: `sum by (instance) (${gauge('tollway_remembered_bytes')})`, legend: '{{instance}}' },
          ],
        },
        {
          kind: 'timeseries',
          title: 'Remembered requests',
          description: 'In flight, or ended and kept for repeats; idempotency.max_entries is the limit.',
          unit: 'short',
          queries: [
            { expr: `sum by (instance) (${gauge('tollway_remembered_requests')})`, legend: '{{instance}}' },
          ],
        },
        {
          kind: 'timeseries',
          title: 'Tokens per second',
          description: 'Input and output tokens of answered requests.',
          unit: 'short',
          queries: [
            {
              expr: `sum by (gen_ai_token_type) (${histogramRate('gen_ai_client_token_usage', 'sum')})`,
              legend: '{{gen_ai_token_type}}',
            },
          ],
        },
      ],
    },
    ROUTING,
    PROCESS,
  ],
}
