/** PromQL over the metric table: a name or label that does not exist does not compile. */
import { METRIC_TABLE, type MetricName } from '../../io/metrics/metric-table.ts'

type Table = typeof METRIC_TABLE
type NamesOf<T extends 'counter' | 'gauge' | 'histogram'> = {
  [N in MetricName]: Table[N]['type'] extends T ? N : never
}[MetricName]

/** A counter's name. */
export type CounterName = NamesOf<'counter'>
/** A gauge's name. */
export type GaugeName = NamesOf<'gauge'>
/** A histogram's name. */
export type HistogramName = NamesOf<'histogram'>
/** A label of a metric. */
export type LabelOf<N extends MetricName> = Table[N]['labels'][number]
/** What labels must be: `'paid'`, or `~up|refused` for a pattern; `!` before either for the opposite. */
export type Where<N extends MetricName> = { readonly [L in LabelOf<N>]?: string }

/** What the variables of a dashboard choose. */
const CHOSEN = ['job=~"$job"', 'instance=~"$instance"']
const ROUTE_LABELS = ['route']

/** A gauge as a dashboard asks for it: of the chosen jobs, instances and routes. */
export function gauge<N extends GaugeName>(name: N, where: Where<N> = {}): string {
  return select(name, '', [...chosen(name), ...matchers(where)])
}

/** A counter's rate a second, over what the panel's resolution asks for or a time of one's own. */
export function rate<N extends CounterName>(
  name: N,
  where: Where<N> = {},
  over = '$__rate_interval',
): string {
  return `rate(${select(name, '', [...chosen(name), ...matchers(where)])}[${over}])`
}

/** How much a counter rose in the last hour: an hour's sum, not a minute's times sixty. */
export function lastHour<N extends CounterName>(name: N, where: Where<N> = {}): string {
  return `increase(${select(name, '', [...chosen(name), ...matchers(where)])}[1h])`
}

/** The rate of one part of a histogram. */
export function histogramRate<N extends HistogramName>(
  name: N,
  part: 'bucket' | 'sum' | 'count',
  where: Where<N> = {},
): string {
  return `rate(${select(name, `_${part}`, [...chosen(name), ...matchers(where)])}[$__rate_interval])`
}

/** A quantile of a histogram, by labels. */
export function quantile<N extends HistogramName>(
  q: number,
  name: N,
  by: readonly LabelOf<N>[] = [],
  /** Labels that Prometheus adds. */
  of: readonly ('job' | 'instance')[] = [],
): string {
  return `histogram_quantile(${q}, sum by (${['le', ...by, ...of].join(', ')}) (${histogramRate(name, 'bucket')}))`
}

/** Any series without the dashboards' variables, for rules. */
export function plain<N extends MetricName>(
  name: N,
  where: Where<N> = {},
  part: '' | '_bucket' | '_sum' | '_count' = '',
): string {
  return select(name, part, matchers(where))
}

function select(name: string, part: string, all: readonly string[]): string {
  return all.length === 0 ? `${name}${part}` : `${name}${part}{${all.join(', ')}}`
}

function chosen(name: MetricName): string[] {
  const labels: readonly string[] = METRIC_TABLE[name].labels
  const route = ROUTE_LABELS.find((label) => labels.includes(label))
  return route === undefined ? CHOSEN : [...CHOSEN, `${route}=~"$route"`]
}

function matchers(where: Readonly<Record<string, string | undefined>>): string[] {
  return Object.entries(where).flatMap(([label, value]) => {
    if (value === undefined) return []
    const [, not = '', pattern = '', text = ''] = /^(!?)(~?)(.*)$/s.exec(value) ?? []
    const operator =
      `${not}${pattern}` === '' ? '=' : `${not === '' ? '=' : '!'}${pattern === '' ? '=' : '~'}`
    return [`${label}${operator}${JSON.stringify(text)}`]
  })
}
