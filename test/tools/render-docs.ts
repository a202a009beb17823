/** Writes the pages that are made from tables in the code: `node test/tools/render-docs.ts`. A test compares them. */
import { readFile, writeFile } from 'node:fs/promises'
import { ERROR_TABLE } from '../../src/core/errors.ts'
import { METRIC_TABLE, type MetricSpec } from '../../src/io/metric-table.ts'

const NOTE = '<!-- Made by `node test/tools/render-docs.ts`; edit the table in the code instead. -->'

/** The pages by file name under `docs/`. */
export const PAGES: Readonly<Record<string, () => string>> = {
  'errors.md': errorsPage,
  'metrics.md': metricsPage,
}

function errorsPage(): string {
  const rows = Object.entries(ERROR_TABLE).map(([code, { status, type, meaning, chain }]) => [
    `\`${code}\``,
    String(status),
    `\`${type}\``,
    meaning,
    chain === 'next' ? 'yes' : 'no',
  ])
  return page(
    'Errors',
    `Every error Tollway answers with: \`{"error":{"message","type","param","code"}}\`, and Anthropic's envelope on
\`/v1/messages\`. Once money may have moved, no answer is a 5xx, 408, 409 or 429, which stock clients send again by
themselves: such faults are told as \`payment_uncertain\` or \`paid_not_delivered\`. Every 4xx carries
\`x-should-retry: false\`, every 503 a \`retry-after\` of at most 60 seconds. \`x-tollway-spent\` says \`no\`, \`yes\` or
\`unknown\`. "Next" tells whether the next candidate of the route is tried.`,
    table(['Code', 'Status', 'Type', 'Meaning', 'Next'], rows),
  )
}

function metricsPage(): string {
  const rows = Object.entries<MetricSpec>(METRIC_TABLE).map(([name, { type, labels, help }]) => [
    `\`${name}\``,
    type,
    labels.map((label) => `\`${label}\``).join(' '),
    help,
  ])
  return page(
    'Metrics',
    `\`GET /metrics\`, Prometheus text format. Each label keeps at most 200 values; what comes later is folded into \`other\` and
counted in \`tollway_series_dropped_total\`. Labels hold names from the configuration, never text of a client. Gauges of
budgets and of uncertain payments are read from the ledger at every scrape, so they hold across restarts; counters start at 0
with the process. GenAI names and buckets are OpenTelemetry's; the route's name stands for the model.`,
    table(['Name', 'Type', 'Labels', 'Meaning'], rows),
  )
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
