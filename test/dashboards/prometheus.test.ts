import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { DASHBOARDS, dashboardFiles } from '../../src/app/dashboards/files.ts'
import { ALERTS } from '../../src/app/dashboards/rules.ts'
import { startPrometheus, type Prometheus, type Series } from '../kit/prometheus.ts'
import { promtool } from '../kit/promtool.ts'
import { panelsPage, valueText, type DrawnPanel } from './draw-panels.ts'
import { dashboardSchema, queryPanels } from './grafana-schema.ts'
import { startTraffic, type Traffic } from './traffic.ts'

const FILES = dashboardFiles()
const panels = DASHBOARDS.flatMap(({ uid }) => {
  const dashboard = dashboardSchema.parse(JSON.parse(FILES.get(`grafana/${uid}.json`) ?? ''))
  return queryPanels(dashboard).flatMap(({ title, type, fieldConfig, targets }) =>
    targets.map(({ refId, expr, instant, legendFormat }) => ({
      name: `${uid}: ${title} ${refId}`,
      drawn: { dashboard: uid, title, type, unit: fieldConfig.defaults.unit },
      legend: legendFormat,
      expr,
      instant,
      isRest: legendFormat === 'rest',
    })),
  )
})
/** How far back panels look: everything this test did. */
const SECONDS = 60

let traffic: Traffic
let prometheus: Prometheus

/** What Grafana puts in place of the variables when everything is chosen. */
function substituted(expr: string): string {
  const values: Readonly<Record<string, string>> = {
    job: '.+',
    instance: '.+',
    route: '.*',
    __rate_interval: `${SECONDS}s`,
    __range: `${SECONDS}s`,
  }
  return expr.replaceAll(/\$(\w+)/g, (whole, name: string) => values[name] ?? whole)
}

const hasNumber = (series: readonly Series[]): boolean =>
  series.some(({ values }) => values.some((value) => Number.isFinite(value)))

/** Waits until Prometheus has scraped what the gateway tells now. */
async function scraped(name: string): Promise<void> {
  const lines = (await traffic.tollway.gateway.parts.metrics.text()).split('\n')
  const now = lines
    .filter((line) => line.startsWith(`${name}{`))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
  const look = async (): Promise<void> => {
    const [sum] = await prometheus.query(`sum(${name})`)
    if (sum?.values[0] !== now) throw new Error(`${name} is ${sum?.values[0]} in Prometheus, and ${now} here`)
  }
  await vi.waitFor(look, { timeout: 120_000, interval: 100 })
}

beforeAll(async () => {
  traffic = await startTraffic()
  const { host } = new URL(traffic.tollway.metricsUrl)
  prometheus = await startPrometheus({
    // The second one is down: an alert asks for that.
    targets: [host, '127.0.0.1:9'],
    token: traffic.token,
    rules: {
      'recording-rules.yml': FILES.get('prometheus/recording-rules.yml') ?? '',
      'alerts.yml': FILES.get('prometheus/alerts.yml') ?? '',
    },
  })
  for (let round = 0; round < 2; round++) {
    await traffic.round()
    traffic.tell()
    await scraped('tollway_requests_total')
  }
  // The budgets of these routes are used up now.
  await traffic.round()
  await traffic.expire()
  traffic.tell()
  await traffic.tollway.gateway.parts.gauges.refresh()
  await scraped('tollway_requests_total')
  await scraped('tollway_payments_total')
  // A rate needs two looks at the youngest series too.
  const youngest = [
    'tollway_budget_refusals_total',
    'tollway_budget_would_refuse_total',
    'tollway_payments_total',
  ]
  for (const name of youngest) {
    const look = async (): Promise<void> => {
      const [least] = await prometheus.query(`min(count_over_time(${name}[1m]))`)
      if (least?.values[0] === undefined || least.values[0] < 2) throw new Error(`${name} was scraped once`)
    }
    await vi.waitFor(look, { timeout: 120_000, interval: 100 })
  }
})

/** Set it to a directory to get a page there with a picture of every panel; no test looks at it. */
const PICTURES = process.env['TOLLWAY_TEST_PICTURES']

async function answerTo({ expr, instant }: (typeof panels)[number]): Promise<Series[]> {
  const query = substituted(expr)
  return instant ? await prometheus.query(query) : await prometheus.queryRange(query, SECONDS)
}

async function drawPanels(directory: string): Promise<void> {
  const pictures = new Map<string, DrawnPanel>()
  for (const panel of panels) {
    const { drawn, legend } = panel
    const key = `${drawn.dashboard} ${drawn.title}`
    const { answers = [] } = pictures.get(key) ?? {}
    const series = await answerTo(panel)
    pictures.set(key, { ...drawn, answers: [...answers, { legend, series }] })
  }
  await writeFile(join(directory, 'panels.html'), panelsPage([...pictures.values()]))
}

afterAll(async () => {
  if (PICTURES !== undefined) await drawPanels(PICTURES)
  await prometheus?.close()
  await traffic?.close()
})

test('the traffic went through every outcome and every state', async () => {
  const outcomes = await prometheus.query('count by (outcome) (tollway_requests_total{route!="none"})')
  expect(outcomes.map(({ metric }) => metric['outcome']).toSorted()).toEqual([
    'failed',
    'free',
    'paid',
    'refused',
    'uncertain',
  ])
  const states = await prometheus.query('sum by (state) (tollway_payments_total)')
  expect(states.map(({ metric }) => metric['state']).toSorted()).toEqual([
    'authorized',
    'held',
    'offered',
    'refused',
    'released',
    'settled',
    'uncertain',
  ])
})

test('promtool finds nothing to say about the metrics', async () => {
  const headers = { authorization: `Bearer ${traffic.token}` }
  const text = await (await fetch(traffic.tollway.metricsUrl, { headers })).text()
  expect(await promtool(['check', 'metrics'], text)).toEqual({ code: 0, output: '' })
})

test('Prometheus keeps the exemplars: a latency leads to its request', async () => {
  const query = new URLSearchParams({
    query: 'tollway_request_overhead_seconds_bucket',
    start: String(Date.now() / 1000 - SECONDS),
    end: String(Date.now() / 1000 + 1),
  })
  const found = (await prometheus.api(`query_exemplars?${query}`)) as {
    exemplars: { labels: { request_id?: string } }[]
  }[]
  const ids = found.flatMap(({ exemplars }) => exemplars.map(({ labels }) => labels.request_id))
  expect(ids.some((id) => id?.startsWith('req_'))).toBe(true)
})

describe('every panel shows something', () => {
  test.each(panels.filter(({ isRest }) => !isRest))('$name', async ({ expr, instant }) => {
    const query = substituted(expr)
    const look = async (): Promise<boolean> =>
      hasNumber(instant ? await prometheus.query(query) : await prometheus.queryRange(query, SECONDS))
    await expect.poll(look, { interval: 100, message: query }).toBe(true)
  })
})

function holdEventLoop(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

test('what is left beyond ten series is a query that Prometheus takes', async () => {
  const rest = panels.filter(({ isRest }) => isRest)
  expect(rest.length).toBeGreaterThan(10)
  for (const { expr, instant } of rest) {
    const query = substituted(expr)
    const found = instant ? await prometheus.query(query) : await prometheus.queryRange(query, SECONDS)
    expect(Array.isArray(found), query).toBe(true)
  }
})

describe('every alert can fire on what the gateway tells', () => {
  test.each(ALERTS)('$alert', async ({ alert, expr }) => {
    if (alert !== 'TollwayEventLoopHeld') {
      const found = async (): Promise<number> => (await prometheus.query(expr)).length
      return await expect.poll(found, { interval: 100 }).toBeGreaterThan(0)
    }
    // Nothing else holds the event loop that long. Each scrape of the next minute sees it.
    const query = expr.replace(/nodejs_\w+(?:\{[^}]*\})?/, `max_over_time($&[${SECONDS}s])`)
    expect(query).not.toBe(expr)
    const found = async (): Promise<number> => {
      holdEventLoop(560)
      return (await prometheus.query(query)).length
    }
    await expect.poll(found, { interval: 1000 }).toBeGreaterThan(0)
  })
})

test('sums that cannot be read raise the alert; a chain that has not answered yet does not', async () => {
  const alert = ALERTS.find((rule) => rule.alert === 'TollwayLedgerMismatch')
  const found = await prometheus.query(alert?.expr ?? '')
  expect(found.map(({ metric }) => metric['pair']).toSorted()).toEqual(['ledger_audit', 'ledger_metrics'])
})

test('the runbook_url of a firing alert is an address that answers', async () => {
  const found = (await prometheus.api('alerts')) as {
    alerts: { labels: { alertname: string; instance?: string }; annotations: Record<string, string> }[]
  }
  const { host } = new URL(traffic.tollway.metricsUrl)
  const urls = found.alerts.flatMap(({ labels, annotations }) =>
    labels.instance === host && labels.alertname !== 'TollwayDown' ? [annotations['runbook_url'] ?? ''] : [],
  )
  expect(urls.length).toBeGreaterThan(0)
  const [url = ''] = urls
  const page = await fetch(url)
  expect(page.status).toBe(200)
  expect(await page.text()).toContain(`<h2 id="${new URL(url).hash.slice(1)}">`)
})

test('Prometheus evaluates every rule without an error', async () => {
  const { groups } = (await prometheus.api('rules')) as {
    groups: { rules: { name: string; health: string; lastError?: string }[] }[]
  }
  const rules = groups.flatMap((group) => group.rules)
  expect(rules.length).toBeGreaterThanOrEqual(ALERTS.length)
  expect(rules.filter(({ health }) => health !== 'ok')).toEqual([])
})

test('what the panels say is what the ledger says', async () => {
  const [today] = await prometheus.query('sum(tollway_spent_usd{window="day"})')
  const settled = await traffic.tollway.gateway.parts.ledger.store.sum('settled')
  expect(today?.values[0]).toBeCloseTo(Number(settled.microUsd) / 1e6, 9)
  const [uncertain] = await prometheus.query('tollway_uncertain_payments')
  expect(uncertain?.values[0]).toBe((await traffic.tollway.gateway.parts.ledger.uncertainSum()).count)
  const { buyer } = traffic.world.chain.accounts
  const [wallet] = await prometheus.query('tollway_wallet_balance_usd{payer="base"}')
  expect(wallet?.values[0]).toBeGreaterThan(0)
  expect(wallet?.values[0]).toBeGreaterThanOrEqual(
    Number(await traffic.world.chain.balanceOf(buyer.address)) / 1e6,
  )
})

test('an expression that asks for nothing there is told apart from one that works', async () => {
  expect(hasNumber(await prometheus.query('tollway_no_such_series'))).toBe(false)
  await expect(prometheus.query('rate(tollway_requests_total')).rejects.toThrow(/parse error/)
})

test('a picture of a panel has a line and a value for each series, by the name that Grafana would show', () => {
  const series = [
    { metric: { route: 'paid/*' }, values: [0, 1, Number.NaN, 2] },
    { metric: { route: '<x>' }, values: [4, 1.5] },
  ]
  const answers = [{ legend: '{{route}} now', series }]
  const page = panelsPage([
    { dashboard: 'd', title: 'Spend', type: 'timeseries', unit: 'currencyUSD', answers },
  ])
  expect(page.match(/<polyline /g)).toHaveLength(2)
  expect(page).toContain('paid/* now <b>$2</b>')
  expect(page).toContain('&lt;x> now <b>$1.5</b>')
  expect(page).toContain('points="0.0,120.0 120.0,90.0 360.0,60.0"')
  const units = ['percentunit', 's', 'reqps', 'bytes', 'short']
  expect(units.map((unit) => valueText(0.5, unit))).toEqual([
    '50 %',
    '0.5 s',
    '0.5 /s',
    '4.768e-7 MiB',
    '0.5',
  ])
})
