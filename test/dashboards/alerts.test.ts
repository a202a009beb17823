import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { dashboardFiles } from '../../src/app/dashboards/files.ts'
import { ALERTS } from '../../src/app/dashboards/rules.ts'
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
  await writeFile(path, stringify({ rule_files, evaluation_interval: '1m', tests }))
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

test('every alert says what it means and what to do, in words without labels that do not exist', () => {
  for (const { alert, summary, meaning, steps } of ALERTS) {
    expect(alert).toMatch(/^Tollway[A-Z][A-Za-z]+$/)
    expect(summary).toMatch(/\.$/)
    expect(meaning.length).toBeGreaterThan(20)
    expect(steps.length).toBeGreaterThan(0)
  }
})
