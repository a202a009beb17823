/// <reference lib="dom" />
/** Spending over time: stacked bars on a canvas, a legend with exact sums, and the same data as a table. */
import type UPlot from 'uplot'
import type { Series, SpendView } from './data.ts'
import { find, make, say } from './dom.ts'
import { addUsd, count, usd } from './format.ts'

/** Number of colours; further groups are shown as one. */
const COLOURS = 5
const HEIGHT = 220
const FONT = '12px system-ui, sans-serif'

/** A layer of the chart: bars are drawn from the bottom up. */
interface Layer {
  readonly name: string
  readonly colour: string
  readonly total: string
  readonly charges: number
  readonly usd: readonly string[]
  /** USD of a thousand tokens; `null` where no answer told its tokens, and for several groups. */
  readonly per: string | null
}

/** The chart of the page. */
export class SpendChart {
  readonly #holder = find('chart', HTMLElement)
  #plot: UPlot | undefined
  #shown: { readonly spend: SpendView; readonly by: string } | undefined

  constructor() {
    new ResizeObserver(() =>
      this.#plot?.setSize({ width: this.#holder.clientWidth, height: HEIGHT }),
    ).observe(this.#holder)
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.redraw())
  }

  /** Shows sums; an empty range keeps its axes. */
  show(spend: SpendView, by: string): void {
    this.#shown = { spend, by }
    const layers = layersOf(spend, by)
    showLegend(layers, by)
    showTable(spend, by)
    this.#draw(spend, layers)
    const words = `${usd(spend.total_usd)} in ${spend.starts.length} ${spend.bucket}s`
    this.#holder.setAttribute('aria-label', `Spending over time: ${words}. The table below has every number.`)
    say('chart-readout', `${usd(spend.total_usd)} in all`)
  }

  /** Redraws in the colours of the current theme. */
  redraw(): void {
    if (this.#shown) this.#draw(this.#shown.spend, layersOf(this.#shown.spend, this.#shown.by))
  }

  #draw(spend: SpendView, layers: readonly Layer[]): void {
    this.#plot?.destroy()
    const Plot = (globalThis as { uPlot?: typeof UPlot }).uPlot
    // Without the library the numbers are still shown in the legend and the table.
    if (!Plot) return
    const starts = spend.starts.map((start) => Date.parse(start) / 1000)
    const sums = cumulated(layers, starts.length)
    const ink = colourOf(this.#holder)
    const grid = { stroke: colourOf(this.#holder, 'border-top-color'), width: 1 }
    const axis = { stroke: ink, font: FONT, ticks: { show: false }, gap: 6 }
    const options: UPlot.Options = {
      width: this.#holder.clientWidth,
      height: HEIGHT,
      padding: [8, 20, 0, 0],
      legend: { show: false },
      cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
      scales: {
        x: { time: true, range: () => rangeOf(starts) },
        y: { range: (_plot, _min, max) => [0, max > 0 ? max * 1.1 : 0.01] },
      },
      axes: [
        {
          ...axis,
          grid: { show: false },
          size: 30,
          space: 72,
          values: (_plot, splits) => distinct(splits.map((at) => tickText(at, spend.bucket))),
        },
        {
          ...axis,
          grid,
          size: 64,
          values: (_plot, splits) => moneyTicks(splits),
        },
      ],
      series: [
        {},
        // The highest first: each layer covers what lies below it.
        ...layers
          .map(({ colour }) => ({ fill: colour, width: 0, points: { show: false }, paths: bars(Plot) }))
          .toReversed(),
      ],
      hooks: { setCursor: [(plot) => this.#tell(spend, layers, plot.cursor.idx ?? undefined)] },
    }
    this.#plot = new Plot(options, [starts, ...sums.toReversed()], this.#holder)
  }

  #tell(spend: SpendView, layers: readonly Layer[], at: number | undefined): void {
    const start = at === undefined ? undefined : spend.starts[at]
    if (at === undefined || start === undefined) return say('chart-readout', `${usd(spend.total_usd)} in all`)
    const sum = addUsd(layers.map((layer) => layer.usd[at] ?? '0'))
    say('chart-readout', `${bucketText(start, spend.bucket)}: ${usd(sum)}`)
  }
}

function bars(Plot: typeof UPlot): UPlot.Series.PathBuilder {
  const { bars: builder } = Plot.paths
  if (!builder) throw new Error('the chart library has no bars')
  return builder({ size: [0.72, 48], align: 1, radius: 0.08 })
}

/** The largest groups, and the others as one. The colours come from the style sheet of the current theme. */
function layersOf(spend: SpendView, by: string): Layer[] {
  const layer = (name: string, series: readonly Series[], colour: string): Layer => ({
    name,
    colour,
    total: addUsd(series.map(({ total_usd: total }) => total)),
    charges: series.reduce((sum, { charges }) => sum + charges, 0),
    usd: spend.starts.map((_, at) => addUsd(series.map((one) => one.usd[at] ?? '0'))),
    per: series.length === 1 ? (series[0]?.usd_per_1k_tokens ?? null) : null,
  })
  const shown = spend.series.slice(0, COLOURS)
  const rest = spend.series.slice(COLOURS)
  return [
    ...shown.map((series, at) => layer(by === '' ? 'all' : series.group, [series], paint(`c${at}`))),
    ...(rest.length === 0 ? [] : [layer(`${rest.length} others`, rest, paint('rest'))]),
  ]
}

/** The computed colour of a class: a canvas does not understand `light-dark()` and variables. */
function paint(name: string): string {
  const probe = make('span', { class: `swatch ${name}`, hidden: '' })
  document.body.append(probe)
  const colour = getComputedStyle(probe).backgroundColor
  probe.remove()
  return colour
}

function colourOf(node: Element, property = 'color'): string {
  return getComputedStyle(node).getPropertyValue(property)
}

/** Numbers for the canvas only. */
function cumulated(layers: readonly Layer[], length: number): number[][] {
  const sums: number[][] = []
  for (const { usd: amounts } of layers) {
    const below = sums.at(-1)
    sums.push(Array.from({ length }, (_, at) => (below?.[at] ?? 0) + Number(amounts[at] ?? 0)))
  }
  return sums
}

function rangeOf(starts: readonly number[]): [number, number] {
  const [first = 0, last = 1] = [starts[0], starts.at(-1)]
  const step = starts.length > 1 ? (last - first) / (starts.length - 1) : 3600
  return [first, last + step]
}

/** With as many places as it takes to write every tick exactly, at least two. */
export function moneyTicks(values: readonly number[]): string[] {
  const isExact = (places: number): boolean =>
    values.every((value) => Math.abs(value - Number(value.toFixed(places))) <= Math.abs(value) * 1e-9)
  const places = [2, 3, 4, 5, 6, 7, 8].find(isExact) ?? 9
  return distinct(values.map((value) => `$${value.toFixed(places)}`))
}

/** An axis says nothing twice in a row: days have several ticks in a narrow chart. */
export function distinct(labels: readonly string[]): string[] {
  return labels.map((label, at) => (label === labels[at - 1] ? '' : label))
}

const CLOCK = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' })
const DAY = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' })
const MONTH = new Intl.DateTimeFormat('en-GB', { month: 'short', year: 'numeric' })

function tickText(seconds: number, bucket: SpendView['bucket']): string {
  const date = new Date(seconds * 1000)
  if (bucket === 'month') return MONTH.format(date)
  const midnight = date.getHours() === 0 && date.getMinutes() === 0
  return bucket === 'day' || midnight ? DAY.format(date) : CLOCK.format(date)
}

function bucketText(iso: string, bucket: SpendView['bucket']): string {
  const date = new Date(iso)
  if (bucket === 'month') return MONTH.format(date)
  return bucket === 'day' ? DAY.format(date) : `${DAY.format(date)} ${CLOCK.format(date)}`
}

function showLegend(layers: readonly Layer[], by: string): void {
  find('legend', HTMLElement).replaceChildren(
    ...(by === '' ? [] : layers).map(({ name, total, charges, per }, at) => {
      const colour = at < COLOURS ? `c${at}` : 'rest'
      return make(
        'li',
        {},
        make('span', { class: `swatch ${colour}`, 'aria-hidden': 'true' }),
        make('span', { class: 'name', title: name }, name),
        make('span', { class: 'number' }, usd(total)),
        per === null ? undefined : make('span', { class: 'soft' }, `${usd(per)} per 1k tokens`),
        make('span', { class: 'soft' }, `${count(charges)} ${charges === 1 ? 'payment' : 'payments'}`),
      )
    }),
  )
}

/** Shows the intervals with spending, newest first. */
function showTable(spend: SpendView, by: string): void {
  const names = spend.series.map(({ group }) => (by === '' ? 'Spent' : group))
  const rows = spend.starts
    .map((start, at) => ({ start, amounts: spend.series.map((series) => series.usd[at] ?? '0') }))
    .filter(({ amounts }) => amounts.some((amount) => amount !== '0'))
    .toReversed()
  const head = make(
    'tr',
    {},
    make('th', { scope: 'col' }, `By ${spend.bucket}`),
    ...names.map((name) => make('th', { scope: 'col', class: 'number' }, name)),
  )
  const empty = make('tr', {}, make('td', {}, 'Nothing was spent in this range.'))
  find('spend-table', HTMLElement).replaceChildren(
    make('thead', {}, head),
    make(
      'tbody',
      {},
      ...(rows.length === 0 ? [empty] : []),
      ...rows.map(({ start, amounts }) =>
        make(
          'tr',
          {},
          make('th', { scope: 'row' }, bucketText(start, spend.bucket)),
          ...amounts.map((amount) => make('td', { class: 'number' }, usd(amount))),
        ),
      ),
    ),
  )
}
