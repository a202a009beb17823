/** Grafana dashboards as data: the part of its JSON model that ours use (schema version 39; loads in Grafana 9.5 to 12). */
import { bounded } from './bounded.ts'
import type { PanelSpec } from './panel.ts'

/** Panels under a heading. */
export interface Section {
  readonly title: string
  /** For features that many do not use: its panels are opened by a click. */
  readonly collapsed?: boolean | undefined
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
  let [y, id] = [0, 0]
  const placed = (json: Record<string, unknown>, x: number, width: number, height: number) => {
    id += 1
    return { id, ...json, gridPos: { x, y, w: width, h: height } }
  }
  const place = (...panel: Parameters<typeof placed>): void => {
    panels.push(placed(...panel))
  }
  for (const section of spec.sections) {
    const { collapsed = false } = section
    const folded: Record<string, unknown>[] = []
    place({ type: 'row', title: section.title, collapsed, panels: folded }, 0, COLUMNS, 1)
    y += 1
    const from = y
    let [x, tallest] = [0, 0]
    for (const panel of section.panels) {
      const [width, height] = [panel.width ?? 8, HEIGHTS[panel.kind]]
      if (x + width > COLUMNS) {
        y += tallest
        ;[x, tallest] = [0, 0]
      }
      if (collapsed) folded.push(placed(panelJson(panel), x, width, height))
      else place(panelJson(panel), x, width, height)
      x += width
      tallest = Math.max(tallest, height)
    }
    // A collapsed row is one line high; Grafana moves what is below when it is opened.
    y = collapsed ? from : y + tallest
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
        // Of a link to one address; the model has them in every link.
        icon: 'external link',
        tooltip: '',
        url: '',
      },
    ],
    templating: { list: VARIABLES },
    panels,
  }
}

const VARIABLES = [
  {
    name: 'datasource',
    label: 'Data Source',
    type: 'datasource',
    query: 'prometheus',
    current: { text: 'default', value: 'default' },
    hide: 0,
  },
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
    targets: queries
      .flatMap((query) => bounded(query, panel))
      .map(({ expr, legend }, index) => ({
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
  low,
  states,
  stacked,
}: PanelSpec): Record<string, unknown> {
  const steps = [
    ...(low === undefined
      ? [{ color: 'green', value: null }]
      : [
          { color: 'red', value: null },
          { color: 'orange', value: low.fault },
          { color: 'green', value: low.warn },
        ]),
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
