/**
 * The part of Grafana's dashboard model that ours use, strictly: a key Grafana does not know is a slip. Written after the
 * published model of schema version 39; Grafana itself is not run in the tests.
 */
import { z } from 'zod'

const datasource = z.strictObject({ type: z.literal('prometheus'), uid: z.literal('${datasource}') })
const gridPos = z.strictObject({
  x: z.int().min(0).max(23),
  y: z.int().min(0),
  w: z.int().min(1).max(24),
  h: z.int().min(1),
})
const target = z.strictObject({
  refId: z.string().regex(/^[A-Z]$/),
  datasource,
  expr: z.string().min(1),
  legendFormat: z.string().min(1),
  editorMode: z.literal('code'),
  instant: z.boolean(),
  range: z.boolean(),
})
const thresholds = z.strictObject({
  mode: z.literal('absolute'),
  steps: z.array(z.strictObject({ color: z.string(), value: z.number().nullable() })).min(1),
})
const defaults = z.strictObject({
  unit: z.enum(['currencyUSD', 's', 'percentunit', 'short', 'reqps', 'bytes']),
  decimals: z.int().min(0).max(8).optional(),
  min: z.literal(0),
  noValue: z.string().optional(),
  mappings: z
    .array(
      z.strictObject({
        type: z.literal('value'),
        options: z.record(
          z.string().regex(/^\d+$/),
          z.strictObject({
            text: z.string().min(1),
            color: z.enum(['green', 'orange', 'red']),
            index: z.int(),
          }),
        ),
      }),
    )
    .optional(),
  color: z.strictObject({ mode: z.enum(['palette-classic', 'thresholds']) }),
  thresholds,
  custom: z
    .strictObject({
      drawStyle: z.literal('line'),
      lineWidth: z.int(),
      fillOpacity: z.int().min(0).max(100),
      showPoints: z.literal('never'),
      spanNulls: z.boolean(),
      stacking: z.strictObject({ mode: z.enum(['none', 'normal']), group: z.string() }),
    })
    .optional(),
})
const reduceOptions = z.strictObject({
  calcs: z.array(z.literal('lastNotNull')),
  fields: z.literal(''),
  values: z.literal(false),
})
const common = {
  id: z.int().min(1),
  title: z.string().min(1),
  description: z.string().min(1),
  datasource,
  gridPos,
  fieldConfig: z.strictObject({ defaults, overrides: z.tuple([]) }),
  targets: z.array(target).min(1),
}

const queryPanel = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('timeseries'),
    ...common,
    options: z.strictObject({
      legend: z.strictObject({
        displayMode: z.literal('list'),
        placement: z.literal('bottom'),
        showLegend: z.boolean(),
        calcs: z.array(z.string()),
      }),
      tooltip: z.strictObject({ mode: z.literal('multi'), sort: z.literal('desc') }),
    }),
  }),
  z.strictObject({
    type: z.literal('stat'),
    ...common,
    options: z.strictObject({
      reduceOptions,
      colorMode: z.enum(['value', 'background', 'none']),
      graphMode: z.enum(['none', 'area']),
      justifyMode: z.enum(['auto', 'center']),
      orientation: z.enum(['auto', 'horizontal', 'vertical']),
      textMode: z.enum(['auto', 'value', 'name', 'none', 'value_and_name']),
    }),
  }),
  z.strictObject({
    type: z.literal('bargauge'),
    ...common,
    options: z.strictObject({
      reduceOptions,
      displayMode: z.enum(['basic', 'lcd', 'gradient']),
      orientation: z.enum(['auto', 'horizontal', 'vertical']),
      showUnfilled: z.boolean(),
      minVizHeight: z.int(),
      minVizWidth: z.int(),
    }),
  }),
])

/** A collapsed row keeps its panels; those of an open one are below it. */
const row = z
  .strictObject({
    type: z.literal('row'),
    id: z.int().min(1),
    title: z.string().min(1),
    collapsed: z.boolean(),
    panels: z.array(queryPanel),
    gridPos,
  })
  .refine(({ collapsed, panels }) => collapsed === panels.length > 0)

const panel = z.union([row, queryPanel])

const variable = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('datasource'),
    name: z.string(),
    label: z.string(),
    query: z.literal('prometheus'),
    current: z.strictObject({ text: z.literal('default'), value: z.literal('default') }),
    hide: z.literal(0),
  }),
  z.strictObject({
    type: z.literal('query'),
    name: z.string(),
    label: z.string(),
    datasource,
    query: z.strictObject({ query: z.string(), refId: z.string() }),
    allValue: z.string(),
    includeAll: z.boolean(),
    multi: z.boolean(),
    refresh: z.union([z.literal(1), z.literal(2)]),
    sort: z.int(),
    current: z.strictObject({ text: z.literal('All'), value: z.literal('$__all') }),
    hide: z.literal(0),
  }),
])

/** One dashboard, as it is provisioned. */
export const dashboardSchema = z.strictObject({
  uid: z.string().regex(/^[a-z0-9-]{1,40}$/),
  title: z.string().min(1),
  description: z.string().min(1),
  tags: z.array(z.string()),
  schemaVersion: z.int().min(36).max(39),
  version: z.int(),
  editable: z.literal(false),
  graphTooltip: z.literal(1),
  refresh: z.literal('30s'),
  time: z.strictObject({ from: z.literal('now-6h'), to: z.literal('now') }),
  timezone: z.enum(['browser', 'utc']),
  annotations: z.strictObject({ list: z.tuple([]) }),
  links: z.array(
    z.strictObject({
      type: z.literal('dashboards'),
      title: z.string(),
      tags: z.array(z.string()),
      asDropdown: z.boolean(),
      includeVars: z.boolean(),
      keepTime: z.boolean(),
      targetBlank: z.boolean(),
      icon: z.literal('external link'),
      tooltip: z.literal(''),
      url: z.literal(''),
    }),
  ),
  templating: z.strictObject({ list: z.array(variable) }),
  panels: z.array(panel),
})

/** A dashboard that passed the schema. */
export type Dashboard = z.output<typeof dashboardSchema>
/** A panel with queries. */
export type QueryPanel = Exclude<Dashboard['panels'][number], { readonly type: 'row' }>

/** The panels that ask something. */
export function queryPanels(dashboard: Dashboard): QueryPanel[] {
  return dashboard.panels.flatMap((each) => (each.type === 'row' ? each.panels : [each]))
}
