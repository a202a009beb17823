/** A page with every panel of the dashboards as a picture, drawn from what Prometheus answered: for people to look at. */
import type { Series } from '../kit/prometheus.ts'

/** A panel with the answers to its queries. */
export interface DrawnPanel {
  readonly dashboard: string
  readonly title: string
  readonly type: string
  readonly unit: string
  readonly answers: readonly { readonly legend: string; readonly series: readonly Series[] }[]
}

interface Line {
  readonly name: string
  readonly values: readonly number[]
}

const [WIDTH, HEIGHT] = [360, 120]
const COLORS = [
  '#7eb26d',
  '#eab839',
  '#6ed0e0',
  '#ef843c',
  '#e24d42',
  '#1f78c1',
  '#ba43a9',
  '#705da0',
  '#508642',
  '#cca300',
]

/** The page, without anything from elsewhere. */
export function panelsPage(panels: readonly DrawnPanel[]): string {
  const dashboards = Map.groupBy(panels, ({ dashboard }) => dashboard)
  const body = [...dashboards].map(
    ([name, own]) => `<h1>${text(name)}</h1><div class="grid">${own.map(panelHtml).join('')}</div>`,
  )
  return `<!doctype html><meta charset="utf-8"><title>Panels</title><style>
body{font:12px sans-serif;background:#111217;color:#ccccdc}.grid{display:grid;grid-template-columns:repeat(3,${WIDTH + 20}px);gap:8px}
section{background:#181b1f;padding:8px}h2{font-size:13px;margin:0 0 4px}svg{display:block}li{list-style:none}ul{margin:4px 0;padding:0}
</style>${body.join('')}`
}

function panelHtml({ title, type, unit, answers }: DrawnPanel): string {
  const lines = answers.flatMap(({ legend, series }) =>
    series.map((one): Line => ({ name: named(legend, one.metric), values: one.values })),
  )
  const shown = lines.toSorted((a, b) => last(b) - last(a)).slice(0, COLORS.length)
  const drawn = type === 'timeseries' ? graph(shown) : ''
  const legend = shown.map(
    (line, at) =>
      `<li><span style="color:${COLORS[at]}">&#9632;</span> ${text(line.name)} <b>${text(valueText(last(line), unit))}</b></li>`,
  )
  const more = lines.length > shown.length ? `<li>and ${lines.length - shown.length} more</li>` : ''
  return `<section><h2>${text(title)}</h2>${drawn}<ul>${legend.join('')}${more}</ul></section>`
}

function graph(lines: readonly Line[]): string {
  const top = Math.max(...lines.flatMap(({ values }) => values.filter(Number.isFinite)), 0) || 1
  const paths = lines.map(({ values }, at) => {
    const points = values.flatMap((value, index) => {
      if (!Number.isFinite(value)) return []
      const x = (index / Math.max(1, values.length - 1)) * WIDTH
      return [`${x.toFixed(1)},${(HEIGHT - (Math.max(0, value) / top) * HEIGHT).toFixed(1)}`]
    })
    return `<polyline fill="none" stroke="${COLORS[at]}" points="${points.join(' ')}"/>`
  })
  return `<svg width="${WIDTH}" height="${HEIGHT}" style="background:#111217">${paths.join('')}</svg>`
}

/** As Grafana fills a legend in. */
function named(legend: string, metric: Series['metric']): string {
  return legend.replaceAll(/\{\{\s*(\w+)\s*\}\}/g, (_whole, label: string) => metric[label] ?? '')
}

function last({ values }: Line): number {
  return values.findLast(Number.isFinite) ?? Number.NaN
}

/** The value in the panel's unit. */
export function valueText(value: number, unit: string): string {
  const digits = Number(value.toPrecision(4))
  switch (unit) {
    case 'currencyUSD':
      return `$${digits}`
    case 'percentunit':
      return `${Number((value * 100).toPrecision(3))} %`
    case 's':
      return `${digits} s`
    case 'reqps':
      return `${digits} /s`
    case 'bytes':
      return `${Number((value / 1_048_576).toPrecision(4))} MiB`
    default:
      return String(digits)
  }
}

function text(value: string): string {
  return value.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
