import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { DASHBOARDS, dashboardFiles } from '../../src/app/dashboards/files.ts'
import { METRIC_TABLE, type MetricSpec } from '../../src/io/metrics/metric-table.ts'
import { dashboardSchema, queryPanels } from './grafana-schema.ts'

const ROOT = join(import.meta.dirname, '../../dashboards')
const FILES = dashboardFiles()

/** Series no part of Tollway tells, and rules may ask for. */
const FOREIGN = new Set(['up'])

/** Everything in an expression that reads like a metric of ours. */
function metricsOf(expr: string): string[] {
  const bare = expr
    .replaceAll(/"[^"]*"/g, '""')
    .replaceAll(/\{[^}]*\}/g, '')
    .replaceAll(/\b(?:by|without|on|ignoring) \([^)]*\)/g, '')
  return [...bare.matchAll(/\b(?:tollway|gen_ai|process|nodejs)_[a-z0-9_]+\b(?!:)/g)].map(([name]) => name)
}

function specOf(series: string): MetricSpec | undefined {
  const table: Readonly<Record<string, MetricSpec>> = METRIC_TABLE
  return table[series] ?? table[series.replace(/_(?:bucket|sum|count)$/, '')]
}

test('the files in dashboards/ are what the code makes (node src/app/dashboards/write.ts mends it)', async () => {
  for (const [name, text] of FILES) expect(await readFile(join(ROOT, name), 'utf8'), name).toBe(text)
  const there = await readdir(ROOT, { recursive: true, withFileTypes: true })
  const names = there
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(ROOT.length + 1))
  expect(names.toSorted()).toEqual([...FILES.keys()].toSorted())
})

describe.each(DASHBOARDS.map(({ uid }) => uid))('%s', (uid) => {
  const json: unknown = JSON.parse(FILES.get(`grafana/${uid}.json`) ?? '')
  const dashboard = dashboardSchema.parse(json)
  const panels = queryPanels(dashboard)
  const targets = panels.flatMap(({ title, targets: own }) => own.map(({ expr }) => ({ title, expr })))

  test('every dashboard has the uid of its file, and no id of one Grafana', () => {
    expect(dashboard.uid).toBe(uid)
    expect(json).not.toHaveProperty('id')
  })

  test('chooses its data source, job, instance and route by variables', () => {
    const [source, ...rest] = dashboard.templating.list
    expect(source).toMatchObject({ name: 'datasource', label: 'Data Source', type: 'datasource' })
    expect(rest.map(({ name }) => name)).toEqual(['job', 'instance', 'route'])
    for (const variable of rest) {
      expect(variable).toMatchObject({ multi: true, includeAll: true, refresh: 2 })
      if (variable.name !== 'route') expect(variable).toMatchObject({ allValue: '.+' })
    }
  })

  test('gives every panel a title of its own, a description and a unit', () => {
    const titles = panels.map(({ title }) => title)
    expect(new Set(titles).size).toBe(titles.length)
    for (const { title, description } of panels) {
      expect(description.length, title).toBeGreaterThan(10)
      expect(description, title).toMatch(/[.)]$/)
    }
  })

  test('money is shown in USD with its digits, parts as per cent, times in seconds', () => {
    for (const { title, fieldConfig, targets: own } of panels) {
      const { unit, decimals } = fieldConfig.defaults
      if (unit === 'currencyUSD') expect(decimals, title).toBeGreaterThanOrEqual(2)
      if (own.some(({ expr }) => expr.startsWith('histogram_quantile'))) expect(unit, title).toBe('s')
    }
  })

  test('panels lie side by side and never over each other', () => {
    const taken = new Map<string, number>()
    const inRows = dashboard.panels.flatMap((panel) => (panel.type === 'row' ? panel.panels : []))
    for (const { id, gridPos } of dashboard.panels) {
      expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24)
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect(taken.get(`${x} ${y}`)).toBeUndefined()
          taken.set(`${x} ${y}`, id)
        }
      }
    }
    const ids = [...dashboard.panels, ...inRows].map(({ id }) => id)
    expect(new Set(ids).size).toBe(ids.length)
  })

  test('every selector is of the chosen job and instance, and of the chosen route where it has one', () => {
    for (const { title, expr } of targets) {
      const selectors = [...expr.matchAll(/\b([a-z][a-z0-9_]*)\{([^}]*)\}/g)]
      expect(selectors.length, title).toBe(metricsOf(expr).length)
      for (const [, name = '', matchers = ''] of selectors) {
        expect(matchers, title).toContain('job=~"$job", instance=~"$instance"')
        const labels = specOf(name)?.labels ?? []
        if (labels.includes('route')) expect(matchers, title).toContain('route=~"$route"')
      }
    }
  })

  test('counters are asked for their rate, over an interval that Grafana chooses or one with a reason', () => {
    for (const { title, expr } of targets) {
      for (const name of metricsOf(expr)) {
        const isCounter = specOf(name)?.type === 'counter' || /_(?:bucket|sum|count)$/.test(name)
        const used = new RegExp(
          `\\b(?:rate|increase)\\(${name}\\{[^}]*\\}\\[(\\$__rate_interval|1h|6h)\\]\\)`,
        )
        if (isCounter && specOf(name)?.type !== 'gauge') expect(expr, title).toMatch(used)
        else expect(expr, title).not.toMatch(new RegExp(`\\b(?:rate|increase)\\(${name}\\b`))
      }
      if (/\[6h\]/.test(expr)) expect(title).toBe('Runway of wallets')
      // An hour's sum is the hour's, and no minute's times sixty.
      expect(expr, title).not.toMatch(/\* 3600/)
    }
  })
})

describe('the rules of the dashboard linter', () => {
  const all = DASHBOARDS.map(({ uid }) =>
    dashboardSchema.parse(JSON.parse(FILES.get(`grafana/${uid}.json`) ?? '')),
  )
  const panels = all.flatMap((dashboard) => queryPanels(dashboard).map((panel) => ({ dashboard, panel })))
  const targets = panels.flatMap(({ panel }) => panel.targets.map((target) => ({ panel, target })))

  test('template-datasource-rule, panel-datasource-rule, target-datasource: one variable, and everyone uses it', () => {
    for (const { templating } of all) expect(templating.list[0]).toMatchObject({ type: 'datasource' })
    for (const { panel, target } of targets) {
      expect(panel.datasource.uid).toBe('${datasource}')
      expect(target.datasource.uid).toBe('${datasource}')
    }
  })

  test('template-job-rule, template-instance-rule, template-on-time-change-reload-rule', () => {
    for (const { templating } of all) {
      for (const name of ['job', 'instance']) {
        const variable = templating.list.find((one) => one.name === name)
        expect(variable).toMatchObject({ type: 'query', multi: true, allValue: '.+', refresh: 2 })
      }
    }
  })

  test('panel-title-description-rule, panel-units-rule, panel-no-targets-rule', () => {
    for (const { panel } of panels) {
      expect(panel.title).not.toBe('')
      expect(panel.description).not.toBe('')
      expect(panel.fieldConfig.defaults.unit).not.toBe('')
      expect(panel.targets.length).toBeGreaterThan(0)
    }
  })

  test('target-job-rule, target-instance-rule, target-rate-interval-rule', () => {
    for (const { target } of targets) {
      expect(target.expr).toContain('job=~"$job"')
      expect(target.expr).toContain('instance=~"$instance"')
      for (const [, range] of target.expr.matchAll(/\b(?:rate|irate)\([^[]*\[([^\]]+)\]/g)) {
        // Six hours: the runway of wallets, which a quiet quarter of an hour must not end.
        expect(range === '$__rate_interval' || range === '6h', target.expr).toBe(true)
      }
    }
  })

  test('uneditable-dashboard-rule', () => {
    for (const { editable } of all) expect(editable).toBe(false)
  })
})

describe('what a legend shows', () => {
  const panels = DASHBOARDS.flatMap(({ uid }) =>
    queryPanels(dashboardSchema.parse(JSON.parse(FILES.get(`grafana/${uid}.json`) ?? ''))),
  )
  const many = /\{\{(?:route|model|seller|caller|payer|subject|budget|gen_ai_request_model|to|address)\}\}/

  test('is bounded where a label has many values: ten series, and what adds up as the rest', () => {
    const open = panels.flatMap(({ title, targets }) =>
      targets
        .filter(({ legendFormat, expr }) => many.test(legendFormat) && !/(?:top|bottom)k\(10, /.test(expr))
        .map(() => title),
    )
    expect(open).toEqual([])
    const spend = panels.find(({ title }) => title === 'Spend per hour by model')
    expect(spend?.targets.map(({ legendFormat }) => legendFormat)).toEqual(['{{model}}', 'rest'])
  })

  test('names a seller by its host', () => {
    const sellers = panels.flatMap(({ targets }) =>
      targets.filter(({ legendFormat }) => legendFormat.includes('{{seller}}')),
    )
    expect(sellers.length).toBeGreaterThan(5)
    for (const { expr } of sellers) expect(expr).toContain('"seller", "$1", "seller", "https?://(.+)")')
  })
})

test('rows of features that many do not use are collapsed', () => {
  const collapsed = DASHBOARDS.flatMap(({ sections }) =>
    sections.flatMap(({ title, collapsed: isCollapsed }) => (isCollapsed === true ? [title] : [])),
  )
  expect(collapsed.toSorted()).toEqual([
    'Approvals and messages',
    'Pools of vouchers',
    'Sign-ins and hooks',
    'Upstreams with a key',
  ])
  // What is about such a feature is nowhere else.
  const open = DASHBOARDS.flatMap(({ sections }) => sections.filter((section) => section.collapsed !== true))
  const told = JSON.stringify(open.flatMap(({ panels }) => panels.map(({ queries }) => queries)))
  expect(told.match(/tollway_(?:metered|voucher|approvals|notifications|sign_ins|hook)\w*/g)).toBeNull()
})

test('every metric of the table is on a dashboard, and nothing else is', () => {
  const asked = DASHBOARDS.flatMap(({ sections }) =>
    sections.flatMap(({ panels }) =>
      panels.flatMap(({ queries }) => queries.flatMap(({ expr }) => metricsOf(expr))),
    ),
  )
  for (const name of asked) expect(specOf(name), name).toBeDefined()
  const shown = new Set(
    asked.map((name) => (name in METRIC_TABLE ? name : name.replace(/_(?:bucket|sum|count)$/, ''))),
  )
  // What alerts join with is no panel, nor are smallest units, which nobody can act on. The series of x402-buyer are there for the dashboards people have of it.
  const rest = Object.keys(METRIC_TABLE).filter(
    (name) => !shown.has(name) && !/^obol_|_info$|_atomic_total$/.test(name),
  )
  expect(rest).toEqual([])
})

test('rules ask for metrics that exist, or for series of other rules', () => {
  const rules = `${FILES.get('prometheus/recording-rules.yml')}\n${FILES.get('prometheus/alerts.yml')}`
  const exprs = [...rules.matchAll(/^ +expr: (.*)$/gm)].map(([, expr = '']) => expr)
  const records = new Set([...rules.matchAll(/- record: (\S+)$/gm)].map(([, name]) => name))
  expect(exprs.length).toBeGreaterThan(15)
  for (const expr of exprs) {
    for (const name of metricsOf(expr))
      expect(specOf(name) !== undefined || FOREIGN.has(name), name).toBe(true)
    for (const [name] of expr.matchAll(/\btollway:[a-z0-9_:]+/g)) expect(records).toContain(name)
  }
})
