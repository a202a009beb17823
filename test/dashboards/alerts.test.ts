import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import express from 'express'
import request from 'supertest'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { dashboardFiles } from '../../src/app/dashboards/files.ts'
import { ALERTS } from '../../src/app/dashboards/rules.ts'
import { runbookPage } from '../../src/app/runbooks/runbook-page.ts'
import { promtool } from '../kit/promtool.ts'
import { ALERT_CASES, type AlertCase } from './alert-cases.ts'

let directory: string

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tollway-alerts-'))
  for (const name of ['recording-rules.yml', 'alerts.yml', 'prometheus.yml']) {
    await writeFile(join(directory, name), dashboardFiles().get(`prometheus/${name}`) ?? '')
  }
})

afterAll(async () => {
  await rm(directory, { recursive: true, force: true })
})

/** promtool compares whole alerts; whether one fires at all is asked of the series Prometheus keeps about alerts. */
function unitTest(alert: string, { why, series, at, fires }: AlertCase): object {
  return {
    name: `${alert}: ${why}`,
    interval: '1m',
    input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
    promql_expr_test: [
      {
        expr: `count(ALERTS{alertname="${alert}", alertstate="firing"}) > bool 0`,
        eval_time: at,
        exp_samples: fires ? [{ labels: '{}', value: 1 }] : [],
      },
    ],
  }
}

async function run(
  tests: readonly object[],
): Promise<{ readonly code: number | null; readonly output: string }> {
  const path = join(directory, 'test.yml')
  const rule_files = ['recording-rules.yml', 'alerts.yml']
  // promtool's order of groups is a random one: an alert could see the sum of a minute ago.
  const group_eval_order = ['tollway-recording', 'tollway']
  await writeFile(path, stringify({ rule_files, evaluation_interval: '1m', group_eval_order, tests }))
  return await promtool(['test', 'rules', path])
}

test('promtool accepts the rules and the scrape configuration', async () => {
  const rules = ['recording-rules.yml', 'alerts.yml'].map((name) => join(directory, name))
  expect(await promtool(['check', 'rules', '--lint-fatal', ...rules])).toMatchObject({ code: 0 })
  expect(await promtool(['check', 'config', join(directory, 'prometheus.yml')])).toMatchObject({ code: 0 })
})

test('every alert has a case in which it fires and one in which it is silent', () => {
  expect(Object.keys(ALERT_CASES).toSorted()).toEqual(ALERTS.map(({ alert }) => alert).toSorted())
  for (const cases of Object.values(ALERT_CASES)) {
    expect(new Set(cases.map(({ fires }) => fires))).toEqual(new Set([true, false]))
  }
})

test('every alert fires when it must and is silent otherwise', async () => {
  const tests = Object.entries(ALERT_CASES).flatMap(([alert, cases]) =>
    cases.map((each) => unitTest(alert, each)),
  )
  const { code, output } = await run(tests)
  expect(output).toContain('SUCCESS')
  expect(code).toBe(0)
})

test('a case that expects the opposite is told', async () => {
  const [firing, , silent] = ALERT_CASES['TollwayBudgetAlmostUsed'] ?? []
  if (!firing || !silent) throw new Error('the budget alert has no cases')
  for (const each of [firing, silent]) {
    const { code, output } = await run([unitTest('TollwayBudgetAlmostUsed', { ...each, fires: !each.fires })])
    expect(output).toContain('FAILED')
    expect(code).toBe(1)
  }
})

test('one subject raises one budget alert, the most serious, with the severity of its budget', async () => {
  const ME = 'job="tollway",instance="a:1"'
  const subject = (budget: string, name: string, remaining: string): object[] => [
    { series: `tollway_budget_limit_usd{${ME},budget="${budget}",subject="${name}"}`, values: '100x90' },
    { series: `tollway_budget_remaining_usd{${ME},budget="${budget}",subject="${name}"}`, values: remaining },
  ]
  const info = (budget: string, labels: string): object => ({
    series: `tollway_budget_info{${ME},budget="${budget}",${labels}}`,
    values: '1x90',
  })
  const input_series = [
    // Each would be running out within four hours, almost used and used up at once.
    ...subject('all', '*', '90-1x90'),
    ...subject('each', 'ci', '90-1x90'),
    ...subject('each', 'prod', '90-0.9x90'),
    ...subject('watching', '*', '90-1x90'),
    info('all', 'enforce="true",severity="critical"'),
    info('each', 'enforce="true",severity="warning"'),
    info('watching', 'enforce="false",severity="critical"'),
    // A refusal of ci is none of prod.
    {
      series: `tollway_budget_refusals_total{${ME},budget="each",subject="ci",early="true"}`,
      values: '0x80 1x10',
    },
  ]
  const alert = (name: string, budget: string, of: string, severity: string): object => ({
    labels: `{alertname="${name}", budget="${budget}", subject="${of}", severity="${severity}"}`,
    value: 1,
  })
  const exp_samples = [
    alert('TollwayBudgetUsedUp', 'all', '*', 'critical'),
    alert('TollwayBudgetUsedUp', 'each', 'ci', 'warning'),
    alert('TollwayBudgetAlmostUsed', 'each', 'prod', 'warning'),
  ]
  const expr =
    'count by (alertname, budget, subject, severity) (ALERTS{alertname=~"TollwayBudget.*", alertstate="firing"})'
  const promql_expr_test = [{ expr, eval_time: '90m', exp_samples }]
  const { code, output } = await run([{ interval: '1m', input_series, promql_expr_test }])
  expect(output).toContain('SUCCESS')
  expect(code).toBe(0)
})

test('every alert leads to a page that the gateway serves, and to a dashboard that there is', async () => {
  const app = express().use(runbookPage())
  const page = await request(app).get('/docs/alerts')
  expect(page.status).toBe(200)
  expect(page.headers['content-security-policy']).toContain("default-src 'none'")
  const rules = dashboardFiles().get('prometheus/alerts.yml') ?? ''
  for (const { alert, dashboard, steps } of ALERTS) {
    expect(rules).toMatch(new RegExp(`runbook_url: .*http://.*/docs/alerts#${alert.toLowerCase()}`))
    expect(page.text).toContain(`<h2 id="${alert.toLowerCase()}">`)
    expect([...dashboardFiles().keys()]).toContain(`grafana/${dashboard}.json`)
    expect(page.text.split('<li>').length).toBeGreaterThan(steps.length)
  }
  expect(page.text).not.toMatch(/<script|`/)
  expect((await request(app).head('/docs/')).status).toBe(200)
  expect((await request(app).post('/docs/alerts')).status).toBe(404)
  expect((await request(app).get('/docs/other')).status).toBe(404)
})

test('the alert about differing totals names a shared wallet as a possible cause, and what to do about it', () => {
  const { meaning, steps } = ALERTS.find(({ alert }) => alert === 'TollwayLedgerMismatch') ?? {}
  expect(meaning).toContain('for `ledger_chain` a wallet that is shared with another program')
  expect(steps?.join(' ')).toContain('Give Tollway a wallet of its own.')
})

test('every alert says what it means and what to do, in words without labels that do not exist', () => {
  for (const { alert, summary, meaning, steps } of ALERTS) {
    expect(alert).toMatch(/^Tollway[A-Z][A-Za-z]+$/)
    expect(summary).toMatch(/\.$/)
    expect(meaning.length).toBeGreaterThan(20)
    expect(steps.length).toBeGreaterThan(0)
  }
})
