/** Grafana dashboards as data: the part of its JSON model that ours use (schema version 39; loads in Grafana 9.5 to 12). */

/** One query of a panel. */
export interface Query {
  readonly expr: string
  /** `{{label}}` stands for a label's value. */
  readonly legend: string
}

/** One panel before it has a place. */
export interface PanelSpec {
  readonly kind: 'timeseries' | 'stat' | 'bargauge'
  readonly title: string
  readonly description: string
  /** Grafana's name of the unit, such as `currencyUSD`, `s`, `percentunit`. */
  readonly unit: string
  readonly decimals?: number | undefined
  readonly queries: readonly Query[]
  /** Columns of 24; default 8. */
  readonly width?: number | undefined
  /** Above which the value is shown as a warning, and as a fault. */
  readonly warnAt?: number | undefined
  readonly faultAt?: number | undefined
  /** What numbers mean, by number: its word and colour. */
  readonly states?: Readonly<Record<number, readonly [word: string, color: string]>> | undefined
  /** Lines on top of each other. */
  readonly stacked?: boolean | undefined
}

/** Panels under a heading. */
export interface Section {
  readonly title: string
  readonly panels: readonly PanelSpec[]
}

/** A dashboard before it is laid out. */
export interface DashboardSpec {
  /** Stable, so that links and annotations survive an update; at most 40 characters. */
  readonly uid: string
  readonly title: string
  readonly description: string
  readonly sections: readonly Section[]
}

const COLUMNS = 24
const HEIGHTS = { timeseries: 8, bargauge: 8, stat: 4 } as const
const DATASOURCE = { type: 'prometheus', uid: '${datasource}' }

/** The JSON model, ready for provisioning. */
export function dashboardJson(spec: DashboardSpec): Record<string, unknown> {
  const panels: Record<string, unknown>[] = []
  let y = 0
  const place = (json: Record<string, unknown>, x: number, width: number, height: number): void => {
    panels.push({ id: panels.length + 1, ...json, gridPos: { x, y, w: width, h: height } })
  }
  for (const section of spec.sections) {
    place({ type: 'row', title: section.title, collapsed: false, panels: [] }, 0, COLUMNS, 1)
    y += 1
    let [x, tallest] = [0, 0]
    for (const panel of section.panels) {
      const [width, height] = [panel.width ?? 8, HEIGHTS[panel.kind]]
      if (x + width > COLUMNS) {
        y += tallest
        ;[x, tallest] = [0, 0]
      }
      place(panelJson(panel), x, width, height)
      x += width
      tallest = Math.max(tallest, height)
    }
    y += tallest
  }
  return {
    uid: spec.uid,
    title: spec.title,
    description: spec.description,
    tags: ['tollway'],
    schemaVersion: 39,
    version: 1,
    editable: false,
    graphTooltip: 1,
    refresh: '30s',
    time: { from: 'now-6h', to: 'now' },
    timezone: 'browser',
    annotations: { list: [] },
    links: [
      {
        type: 'dashboards',
        title: 'Tollway',
        tags: ['tollway'],
        asDropdown: false,
        includeVars: true,
        keepTime: true,
        targetBlank: false,
      },
    ],
    templating: { list: VARIABLES },
    panels,
  }
}

const VARIABLES = [
  { name: 'datasource', label: 'Data Source', type: 'datasource', query: 'prometheus', current: {}, hide: 0 },
  labelVariable('job', 'Job', 'label_values(tollway_requests_total, job)', '.+'),
  labelVariable('instance', 'Instance', 'label_values(tollway_requests_total{job=~"$job"}, instance)', '.+'),
  labelVariable(
    'route',
    'Route',
    'label_values(tollway_requests_total{job=~"$job", instance=~"$instance"}, route)',
    '.*',
  ),
]

function labelVariable(name: string, label: string, query: string, allValue: string) {
  return {
    name,
    label,
    type: 'query',
    datasource: DATASOURCE,
    query: { query, refId: name },
    definition: query,
    allValue,
    includeAll: true,
    multi: true,
    // When the time range changes: a route of last week is found by looking at last week.
    refresh: 2,
    sort: 1,
    current: { text: 'All', value: '$__all' },
    hide: 0,
  }
}

function panelJson(panel: PanelSpec): Record<string, unknown> {
  const { kind, title, description, queries } = panel
  const isInstant = kind !== 'timeseries'
  return {
    type: kind,
    title,
    description,
    datasource: DATASOURCE,
    fieldConfig: { defaults: fieldDefaults(panel), overrides: [] },
    options: OPTIONS[kind],
    targets: queries.map(({ expr, legend }, index) => ({
      refId: String.fromCharCode('A'.charCodeAt(0) + index),
      datasource: DATASOURCE,
      expr,
      legendFormat: legend,
      editorMode: 'code',
      instant: isInstant,
      range: !isInstant,
    })),
  }
}

function fieldDefaults({
  kind,
  unit,
  decimals,
  warnAt,
  faultAt,
  states,
  stacked,
}: PanelSpec): Record<string, unknown> {
  const steps = [
    { color: 'green', value: null },
    ...(warnAt === undefined ? [] : [{ color: 'orange', value: warnAt }]),
    ...(faultAt === undefined ? [] : [{ color: 'red', value: faultAt }]),
  ]
  return {
    unit,
    ...(decimals === undefined ? {} : { decimals }),
    min: 0,
    ...(states === undefined ? {} : { mappings: mappingsOf(states) }),
    // A series that nothing has happened to yet does not exist.
    ...(kind === 'stat' ? { noValue: '0' } : {}),
    color: { mode: kind === 'timeseries' ? 'palette-classic' : 'thresholds' },
    thresholds: { mode: 'absolute', steps },
    ...(kind === 'timeseries'
      ? {
          custom: {
            drawStyle: 'line',
            lineWidth: 1,
            fillOpacity: stacked === true ? 30 : 5,
            showPoints: 'never',
            spanNulls: false,
            stacking: { mode: stacked === true ? 'normal' : 'none', group: 'A' },
          },
        }
      : {}),
  }
}

const REDUCE = { calcs: ['lastNotNull'], fields: '', values: false }

const OPTIONS = {
  timeseries: {
    legend: { displayMode: 'list', placement: 'bottom', showLegend: true, calcs: [] },
    tooltip: { mode: 'multi', sort: 'desc' },
  },
  stat: {
    reduceOptions: REDUCE,
    colorMode: 'value',
    graphMode: 'none',
    justifyMode: 'auto',
    orientation: 'auto',
    textMode: 'auto',
  },
  bargauge: {
    reduceOptions: REDUCE,
    displayMode: 'basic',
    orientation: 'horizontal',
    showUnfilled: true,
    minVizHeight: 10,
    minVizWidth: 0,
  },
} as const

function mappingsOf(states: NonNullable<PanelSpec['states']>): readonly object[] {
  const options = Object.entries(states).map(([value, [text, color]], index) => [
    value,
    { text, color, index },
  ])
  return [{ type: 'value', options: Object.fromEntries(options) }]
}
