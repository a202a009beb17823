/** Writes the pages that are made from tables in the code: `node test/tools/render-docs.ts`. A test compares them. */
import { readFile, writeFile } from 'node:fs/promises'
import { ALERT_CASES } from '../dashboards/alert-cases.ts'
import { ALERTS, RECORDING_RULES } from '../../src/app/dashboards/rules.ts'
import { ERROR_TABLE } from '../../src/core/error-table.ts'
import { METRIC_TABLE, type MetricSpec } from '../../src/io/metrics/metric-table.ts'

import { apiPage, apiReport } from './reference/api.ts'
import { openApi } from './reference/openapi.ts'
import { MIDDLEWARE_PAGES } from './reference/middleware-page.ts'

const NOTE = '<!-- Made by `node test/tools/render-docs.ts`; edit the table in the code instead. -->'

/** The pages by file name under `docs/`. */
export const PAGES: Readonly<Record<string, () => string>> = {
  'alerts.md': alertsPage,
  'errors.md': errorsPage,
  'metrics.md': metricsPage,
  ...MIDDLEWARE_PAGES,
  'api.md': apiPage,
  'openapi.json': openApi,
  '../test/api-report.txt': apiReport,
}

function errorsPage(): string {
  const rows = Object.entries(ERROR_TABLE).map(([code, { status, type, meaning, chain }]) => [
    `<a id="${code}"></a>\`${code}\``,
    String(status),
    `\`${type}\``,
    meaning,
    chain === 'next' ? 'yes' : 'no',
  ])
  return page(
    'Errors',
    `Every error that Tollway answers with. The body is \`{"error":{"message","type","param","code","docs"}}\`, where \`docs\` is
the place of the code on this page (\`docs/errors.md#<code>\`); on \`/v1/messages\` it is Anthropic's envelope. Where a seller
answered a payment with an error, \`seller\` holds its \`status\`, \`code\` and \`message\`, cleaned of secrets (\`message\` is \`null\` where
its words make clients resend a changed request, which would pay again); a code about the
request itself, such as \`context_length_exceeded\`, is also the error's own, so that agents can act on it. Once money may
have moved, no response is a 5xx, 408, 409 or 429, because stock clients repeat those by themselves: such failures are
reported as \`payment_uncertain\` or \`paid_not_delivered\`. Every 4xx carries \`x-should-retry: false\`, every 503 a
\`retry-after\` of at most 60 seconds. \`x-tollway-spent\` is \`no\`, \`yes\` or \`unknown\`. "Next" says whether the next
candidate of the route is tried.`,
    table(['Code', 'Status', 'Type', 'Meaning', 'Next'], rows),
  )
}

function metricsPage(): string {
  const rows = Object.entries<MetricSpec>(METRIC_TABLE).map(([name, { type, labels, help }]) => [
    `\`${name}\``,
    type,
    unitOf(name),
    labels.map((label) => `\`${label}\``).join(' '),
    help,
  ])
  return page(
    'Metrics',
    `\`GET /metrics\`: Prometheus text, or OpenMetrics for clients that accept it, with the request id as exemplar of counters
and histograms. \`metrics.token\` asks for a bearer token, \`metrics.listen\` serves them on a port of their own
(docs/configuration.md). Dashboards, recording rules and alerts on these series: docs/dashboards.md and docs/alerts.md.

Labels hold names from the configuration; of a client's text only the model under a wildcard, once a model of that name has
answered or was paid (until then \`other\`). Each label keeps at most 200 values; later values are
folded into \`other\`. A metric keeps at most 5,000 series (a histogram 500); every label of a later series is \`other\`. Both are
counted in \`tollway_series_dropped_total\`, and sums over all series stay correct.

Gauges of budgets, spending, vouchers and uncertain payments are read from the ledger, so they hold across restarts; days and
months of \`tollway_spent_usd\` are those of UTC. It and the balances are read in the background, every 10 and 60 seconds.
Counters start at 0 with the process: "this month" is \`tollway_spent_usd{window="month"}\`, never an \`increase()\` over 30
days. A series appears only after its first event. GenAI names and buckets are OpenTelemetry's;
\`gen_ai_provider_name\` is the host of the seller or upstream, or what \`model_list[].provider\` and \`upstream.provider\` say.`,
    table(['Name', 'Type', 'Unit', 'Labels', 'Meaning'], rows),
  )
}

function unitOf(name: string): string {
  if (name.endsWith('_seconds') || name.endsWith('_seconds_total')) return 'seconds'
  if (name.endsWith('_usd') || name.endsWith('_usd_total')) return 'USD'
  if (name.endsWith('_bytes')) return 'bytes'
  if (name.endsWith('_ratio')) return 'ratio'
  if (name.endsWith('_token_usage')) return 'tokens'
  if (name.includes('atomic')) return 'smallest units'
  if (name.endsWith('_asset_units')) return 'whole tokens'
  return name.endsWith('_up') || name.endsWith('_state') || name.endsWith('_sequence') ? 'number' : 'count'
}

function alertsPage(): string {
  const rows = ALERTS.map(({ alert, severity, for: wait, summary }) => [
    `[${alert}](#${alert.toLowerCase()})`,
    severity,
    wait,
    summary.replaceAll(/\{\{ \$labels\.(\w+) \}\}/g, '`$1`').replaceAll(/\{\{ \$value.*?\}\}/g, 'N'),
  ])
  const books = ALERTS.map(
    ({ alert, severity, for: wait, expr, meaning, steps, dashboard }) =>
      `## ${alert}\n\n${meaning}\n\n${steps.map((step, index) => `${index + 1}. ${step}`).join('\n')}\n\nSeverity ${severity}; holds for ${wait}; dashboard \`/d/${dashboard}\`:\n\n\`\`\`text\n${expr}\n\`\`\`\n\n${cases(alert)}`,
  )
  const records = RECORDING_RULES.map(({ record, expr }) => [`\`${record}\``, `\`${expr}\``])
  return page(
    'Alerts',
    `The alerts of \`dashboards/prometheus/alerts.yml\`, with what to do. They need \`recording-rules.yml\` beside them. Each is
tried with promtool on series under which it must fire and must not, and asked of a real Prometheus under traffic.
\`critical\`: money or the gateway is at stake now; \`warning\`: it will be; \`info\`: look when you have time; \`budget\`: what
\`budgets[].alert\` says, by default critical, and a warning for one subject of many. Budgets with \`enforce: false\` raise none. Every
gateway serves this page at \`/docs/alerts\`, where the annotation \`runbook_url\` leads; \`dashboard\` names the one in Grafana. The rules expect
a scrape job whose name begins with \`tollway\`.`,
    [
      table(['Alert', 'Severity', 'For', 'Says'], rows),
      ...books,
      `## Recording rules\n\n${table(['Series', 'Expression'], records)}`,
    ].join('\n\n'),
  )
}

/** The traffic that the tests tried an alert with. */
function cases(alert: string): string {
  const tried = ALERT_CASES[alert] ?? []
  const rows = tried.map(({ why, at, fires, series }) => [
    fires ? 'fired' : 'silent',
    why,
    at,
    Object.entries(series)
      .map(([name, values]) => `\`${name} ${values}\``)
      .join('<br>'),
  ])
  return table(['Result', 'Traffic', 'Asked at', 'Series in the notation of promtool'], rows)
}

function page(title: string, words: string, rest: string): string {
  return `# ${title}\n\n${NOTE}\n\n${words}\n\n${rest}\n`
}

function line(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

/** Where a page lies. */
export function pageUrl(name: string): URL {
  return new URL(`../../docs/${name}`, import.meta.url)
}

if (import.meta.main) {
  for (const [name, render] of Object.entries(PAGES)) {
    const before = await readFile(pageUrl(name), 'utf8').catch(() => '')
    const after = render()
    await writeFile(pageUrl(name), after)
    process.stdout.write(`docs/${name}: ${before === after ? 'unchanged' : 'written'}\n`)
  }
}
