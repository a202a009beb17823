/** Grafana's panels of models, asked of promtool: three models over one wildcard are three lines. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { stringify } from 'yaml'
import { DASHBOARDS, dashboardFiles } from '../../src/app/dashboards/files.ts'
import { dashboardSchema, queryPanels } from './grafana-schema.ts'
import { promtool } from '../kit/promtool.ts'

const MODELS = ['glm', 'llama', 'qwen']
const SPEND = [
  'route="paid/*"',
  'payer="base"',
  'seller="https://s.example"',
  'caller="c"',
  'job="tollway"',
  'instance="a:1"',
]

/** The query of a panel, with every variable at All. */
function panelQuery(title: string): string {
  const panel = DASHBOARDS.flatMap(({ sections }) => sections.flatMap(({ panels }) => panels)).find(
    (candidate) => candidate.title === title,
  )
  const expr = panel?.queries[0]?.expr
  if (expr === undefined) throw new Error(`there is no panel ${title}`)
  return substituted(expr)
}

function substituted(expr: string): string {
  return expr
    .replaceAll(/"\$(?:job|instance|route)"/g, '".+"')
    .replaceAll('$__rate_interval', '4m')
    .replaceAll('$__range', '10m')
}

test.each(['Today by model', 'This month by model', 'Spend per hour by model', 'Cost per 1,000 tokens'])(
  'three models over one wildcard are three lines of "%s"',
  async (title) => {
    const directory = await mkdtemp(join(tmpdir(), 'tollway-models-'))
    onTestFinished(() => rm(directory, { recursive: true, force: true }))
    const input_series = MODELS.flatMap((model, n) => [
      {
        series: `tollway_spent_usd{${[...SPEND, `model="${model}"`, 'window="day"'].join(',')}}`,
        values: `${n + 1}x20`,
      },
      {
        series: `tollway_spent_usd{${[...SPEND, `model="${model}"`, 'window="month"'].join(',')}}`,
        values: `${n + 1}x20`,
      },
      {
        series: `tollway_spend_usd_total{${[...SPEND, `model="${model}"`, 'asset="USDC"'].join(',')}}`,
        values: `0+${n + 1}x20`,
      },
      {
        series: `gen_ai_client_token_usage_sum{job="tollway",instance="a:1",gen_ai_request_model="${model}",gen_ai_token_type="input"}`,
        values: '0+1000x20',
      },
    ])
    const expr = `count by (model) (${panelQuery(title)})`
    const exp_samples = MODELS.map((model) => ({ labels: `{model="${model}"}`, value: 1 }))
    const path = join(directory, 'test.yml')
    const tests = [
      { interval: '1m', input_series, promql_expr_test: [{ expr, eval_time: '15m', exp_samples }] },
    ]
    await writeFile(path, stringify({ rule_files: [], evaluation_interval: '1m', tests }))
    const { code, output } = await promtool(['test', 'rules', path])
    expect(output).toContain('SUCCESS')
    expect(code).toBe(0)
  },
)

test('of twelve models ten have a line, and the two that cost least are the rest', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'tollway-models-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  const input_series = Array.from({ length: 12 }, (_, n) => ({
    series: `tollway_spend_usd_total{${[...SPEND, `model="m${n + 1}"`, 'asset="USDC"'].join(',')}}`,
    values: `0+${n + 1}x90`,
  }))
  const json = dashboardFiles().get('grafana/tollway-spend.json') ?? ''
  const panel = queryPanels(dashboardSchema.parse(JSON.parse(json))).find(
    ({ title }) => title === 'Spend per hour by model',
  )
  const [shown, rest] = (panel?.targets ?? []).map(({ expr }) => substituted(expr))
  const path = join(directory, 'test.yml')
  const promql_expr_test = [
    { expr: `count(${shown})`, eval_time: '90m', exp_samples: [{ labels: '{}', value: 10 }] },
    // One and two dollars a minute, for an hour.
    { expr: `round(${rest})`, eval_time: '90m', exp_samples: [{ labels: '{}', value: 180 }] },
  ]
  const tests = [{ interval: '1m', input_series, promql_expr_test }]
  await writeFile(path, stringify({ rule_files: [], evaluation_interval: '1m', tests }))
  const { code, output } = await promtool(['test', 'rules', path])
  expect(output).toContain('SUCCESS')
  expect(code).toBe(0)
})
