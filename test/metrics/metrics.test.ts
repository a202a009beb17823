import * as fc from 'fast-check'
import { Counter, Registry } from 'prom-client'
import { describe, expect, it } from 'vitest'
import { NO_TOTALS } from '../../src/core/budget/budget.ts'
import type { RequestSummary } from '../../src/core/telemetry/events.ts'
import { LabelGuard } from '../../src/io/metrics/label-guard.ts'
import { METRIC_TABLE } from '../../src/io/metrics/metric-table.ts'
import { createMetrics, type Metrics } from '../../src/io/metrics/metrics.ts'
import { chargeIn } from '../middleware/harness.ts'

const SUMMARY: RequestSummary = {
  requestId: 'r1',
  method: 'POST',
  endpoint: '/chat/completions',
  caller: 'openclaw',
  route: 'paid/*',
  payer: 'base',
  model: 'paid/qwen',
  remoteModel: 'qwen',
  provider: 'seller.example.com',
  status: 200,
  outcome: 'paid',
  code: undefined,
  charge: 'chg_1',
  spent: 'yes',
  usage: { inputTokens: 30, outputTokens: 5 },
  stream: true,
  truncated: false,
  seconds: 1.5,
  firstByteSeconds: 0.2,
  details: {},
}

/** The value of a series by its exact name and labels. */
async function valueOf(metrics: Metrics, series: string): Promise<number | undefined> {
  const line = (await metrics.text()).split('\n').find((text) => text.startsWith(`${series} `))
  return line === undefined ? undefined : Number(line.slice(series.length + 1))
}

describe('createMetrics', () => {
  it('keeps a registry of its own', async () => {
    const [one, two] = [createMetrics(), createMetrics()]
    one.observe({ type: 'audit_failed' })
    expect(await valueOf(one, 'tollway_audit_failures_total')).toBe(1)
    expect(await valueOf(two, 'tollway_audit_failures_total')).toBe(0)
  })

  it('exports the table and nothing else', () => {
    const names = createMetrics()
      .registry.getMetricsAsArray()
      .map(({ name }) => name)
    expect(names.toSorted()).toEqual(Object.keys(METRIC_TABLE).toSorted())
  })

  it('counts a settled charge as spend once, in USD and exactly in atomic units', async () => {
    const metrics = createMetrics()
    const charge = chargeIn('settled', {
      amount: 9_007_199_254n,
      microUsd: 9_007_199_254n,
      remoteModel: 'qwen',
      reason: 'receipt',
    })
    metrics.observe({
      type: 'charge',
      charge: { ...charge, state: 'held', reason: undefined },
      from: undefined,
    })
    metrics.observe({
      type: 'charge',
      charge: { ...charge, state: 'authorized', reason: 'send' },
      from: 'held',
    })
    metrics.observe({ type: 'charge', charge, from: 'authorized' })
    metrics.observe({ type: 'charge', charge: { ...charge, proof: 'chain' }, from: 'settled' })
    const labels =
      '{route="paid/*",model="qwen",payer="base",seller="https://seller.example.com",asset="USDC",caller="openclaw"}'
    expect(await valueOf(metrics, `tollway_spend_atomic_total${labels}`)).toBe(9_007_199_254)
    expect(await valueOf(metrics, `tollway_spend_usd_total${labels}`)).toBe(9007.199254)
    const moved = (state: string, reason: string): Promise<number | undefined> =>
      valueOf(
        metrics,
        `tollway_payments_total{payer="base",seller="https://seller.example.com",network="eip155:84532",state="${state}",reason="${reason}"}`,
      )
    expect(await moved('settled', 'receipt')).toBe(1)
    expect(await moved('authorized', 'send')).toBe(1)
    expect(await moved('held', '')).toBe(1)
  })

  it('leaves USD out for an asset without a price', async () => {
    const metrics = createMetrics()
    metrics.observe({
      type: 'charge',
      charge: chargeIn('settled', { microUsd: undefined }),
      from: 'authorized',
    })
    const text = await metrics.text()
    expect(text).toMatch(/tollway_spend_atomic_total\{.*\} 1000/)
    expect(text).not.toMatch(/tollway_spend_usd_total\{/)
  })

  it('observes requests under bounded labels: the model that was asked for, and not how the client named it', async () => {
    const metrics = createMetrics()
    metrics.observe({ type: 'request', summary: SUMMARY })
    metrics.observe({
      type: 'request',
      summary: {
        ...SUMMARY,
        outcome: 'refused',
        code: 'price_above_limit',
        usage: undefined,
        firstByteSeconds: undefined,
      },
    })
    metrics.observe({
      type: 'request',
      summary: { ...SUMMARY, route: 'none', payer: 'none', outcome: 'free', usage: undefined },
    })
    expect(
      await valueOf(
        metrics,
        'tollway_requests_total{route="paid/*",model="qwen",payer="base",outcome="paid"}',
      ),
    ).toBe(1)
    expect(
      await valueOf(metrics, 'tollway_request_duration_seconds_sum{route="paid/*",outcome="paid"}'),
    ).toBe(1.5)
    expect(await valueOf(metrics, 'tollway_request_time_to_first_byte_seconds_count{route="paid/*"}')).toBe(1)
    const genAi =
      'gen_ai_operation_name="chat",gen_ai_provider_name="seller.example.com",gen_ai_request_model="qwen"'
    expect(await valueOf(metrics, `gen_ai_client_token_usage_sum{${genAi},gen_ai_token_type="input"}`)).toBe(
      30,
    )
    expect(await valueOf(metrics, `gen_ai_client_token_usage_sum{${genAi},gen_ai_token_type="output"}`)).toBe(
      5,
    )
    expect(
      await valueOf(metrics, `gen_ai_client_operation_duration_seconds_count{${genAi},error_type=""}`),
    ).toBe(1)
    expect(
      await valueOf(
        metrics,
        `gen_ai_client_operation_duration_seconds_count{${genAi},error_type="price_above_limit"}`,
      ),
    ).toBe(1)
    const text = await metrics.text()
    expect(text).not.toContain('paid/qwen')
    expect(text).not.toContain('gen_ai_request_model="none"')
  })

  it('observes phases, quotes and refusals of budgets', async () => {
    const metrics = createMetrics()
    metrics.observe({ type: 'phase', phase: 'sign', seconds: 0.002 })
    metrics.observe({ type: 'quoted', seller: 'https://s.example', route: 'r', microUsd: 1500n })
    const claim = {
      budget: 'all',
      subject: '*',
      window: 'day',
      windowStart: 0,
      windowEnd: 1,
      limit: 1n,
      amount: 1n,
    } as const
    metrics.observe({ type: 'budget_refused', claim, totals: NO_TOTALS, early: true })
    expect(await valueOf(metrics, 'tollway_payment_phase_seconds_count{phase="sign"}')).toBe(1)
    expect(await valueOf(metrics, 'tollway_quote_usd{seller="https://s.example",route="r"}')).toBe(0.0015)
    expect(
      await valueOf(metrics, 'tollway_budget_refusals_total{budget="all",subject="*",early="true"}'),
    ).toBe(1)
  })

  it('reads the gauges from the ledger at every scrape', async () => {
    const metrics = createMetrics()
    let spent = 1_000_000n
    metrics.watch({
      budgets: () =>
        Promise.resolve([
          {
            budget: 'all',
            subject: '*',
            limit: 5_000_000n,
            totals: { spent, held: 1n, authorized: 2n, uncertain: 500_000n },
          },
        ]),
      uncertain: () => Promise.resolve({ count: 3, microUsd: 2500n }),
    })
    metrics.watch({ auditSequence: () => 42 })
    const gauge = (name: string): Promise<number | undefined> =>
      valueOf(metrics, `tollway_budget_${name}_usd{budget="all",subject="*"}`)
    expect(await gauge('limit')).toBe(5)
    expect(await gauge('spent')).toBe(1)
    expect(await gauge('held')).toBe(0.000003)
    expect(await gauge('uncertain')).toBe(0.5)
    expect(await gauge('remaining')).toBe(3.499997)
    spent = 9_000_000n
    expect(await gauge('spent')).toBe(9)
    expect(await gauge('remaining')).toBe(0)
    expect(await valueOf(metrics, 'tollway_uncertain_payments')).toBe(3)
    expect(await valueOf(metrics, 'tollway_uncertain_usd')).toBe(0.0025)
    expect(await valueOf(metrics, 'tollway_audit_sequence')).toBe(42)
  })

  it("omits and counts subjects beyond a label's cap, because sums under one name would overwrite each other", async () => {
    const metrics = createMetrics({ labelCap: 2 })
    const reading = (subject: string, spent: bigint) => ({
      budget: 'each',
      subject,
      limit: 9n,
      totals: { ...NO_TOTALS, spent },
    })
    metrics.watch({
      budgets: () =>
        Promise.resolve([reading('a', 1n), reading('b', 2n), reading('c', 3n), reading('other', 4n)]),
    })
    const lines = (await metrics.text())
      .split('\n')
      .filter((line) => line.startsWith('tollway_budget_spent_usd{'))
    expect(lines).toEqual([
      'tollway_budget_spent_usd{budget="each",subject="a"} 0.000001',
      'tollway_budget_spent_usd{budget="each",subject="b"} 0.000002',
      'tollway_budget_spent_usd{budget="each",subject="other"} 0.000004',
    ])
    expect(await valueOf(metrics, 'tollway_series_dropped_total{label="subject"}')).toBeGreaterThan(0)
  })

  it('exports budgets in a token in whole units, and not in USD', async () => {
    const metrics = createMetrics()
    const totals = { spent: 25n * 10n ** 16n, held: 0n, authorized: 5n * 10n ** 16n, uncertain: 0n }
    const obol = { symbol: 'OBOL', decimals: 18 }
    metrics.watch({
      budgets: () => Promise.resolve([{ budget: 'o', subject: '*', limit: 10n ** 18n, totals, asset: obol }]),
    })
    const unit = (kind: string): Promise<number | undefined> =>
      valueOf(metrics, `tollway_budget_asset_units{budget="o",subject="*",asset="OBOL",kind="${kind}"}`)
    expect(await unit('limit')).toBe(1)
    expect(await unit('spent')).toBe(0.25)
    expect(await unit('held')).toBe(0.05)
    expect(await unit('remaining')).toBe(0.7)
    expect(await metrics.text()).not.toContain('tollway_budget_limit_usd{')
  })

  it('counts passed soft limits and refusals that were not enforced', async () => {
    const metrics = createMetrics()
    const claim = {
      budget: 'all',
      subject: '*',
      window: 'day',
      windowStart: 0,
      windowEnd: 1,
      limit: 1n,
      amount: 1n,
    } as const
    metrics.observe({ type: 'budget_soft_limit', claim, totals: NO_TOTALS })
    metrics.observe({ type: 'budget_would_refuse', claim, totals: NO_TOTALS })
    expect(await valueOf(metrics, 'tollway_budget_soft_limits_total{budget="all",subject="*"}')).toBe(1)
    expect(await valueOf(metrics, 'tollway_budget_would_refuse_total{budget="all",subject="*"}')).toBe(1)
  })

  it('shows nothing rather than stale figures when the ledger cannot be read', async () => {
    const metrics = createMetrics()
    let broken = false
    metrics.watch({
      budgets: async () => {
        if (broken) throw new Error('locked')
        return [{ budget: 'all', subject: '*', limit: 1n, totals: NO_TOTALS }]
      },
      uncertain: () =>
        broken ? Promise.reject(new Error('locked')) : Promise.resolve({ count: 1, microUsd: 1n }),
    })
    expect(await metrics.text()).toContain('tollway_budget_limit_usd{')
    broken = true
    expect(await metrics.text()).not.toContain('tollway_budget_limit_usd{')
    expect(await valueOf(metrics, 'tollway_uncertain_payments')).toBeNaN()
  })

  it('folds what is over the cap into other, and counts it', async () => {
    const metrics = createMetrics({ labelCap: 2 })
    for (const route of ['a', 'b', 'c', 'd', 'a'])
      metrics.observe({
        type: 'request',
        summary: { ...SUMMARY, route, usage: undefined, firstByteSeconds: undefined },
      })
    expect(
      await valueOf(metrics, 'tollway_requests_total{route="a",model="qwen",payer="base",outcome="paid"}'),
    ).toBe(2)
    expect(
      await valueOf(
        metrics,
        'tollway_requests_total{route="other",model="qwen",payer="base",outcome="paid"}',
      ),
    ).toBe(2)
    expect(await valueOf(metrics, 'tollway_series_dropped_total{label="route"}')).toBeGreaterThan(0)
  })

  it('exports how streams ended, their first chunk, errors by code, and microseconds of overhead', async () => {
    const metrics = createMetrics()
    metrics.observe({ type: 'request', summary: { ...SUMMARY, overheadSeconds: 0.000_2 } })
    metrics.observe({ type: 'request', summary: { ...SUMMARY, truncated: true } })
    metrics.observe({
      type: 'request',
      summary: {
        ...SUMMARY,
        route: 'none',
        status: 404,
        outcome: 'refused',
        code: 'not_found',
        usage: undefined,
      },
    })
    const streams = (ended: string): Promise<number | undefined> =>
      valueOf(metrics, `tollway_streams_total{route="paid/*",ended="${ended}"}`)
    expect(await streams('whole')).toBe(1)
    expect(await streams('truncated')).toBe(1)
    expect(await valueOf(metrics, 'tollway_errors_total{route="none",code="not_found"}')).toBe(1)
    const overhead = (le: string): Promise<number | undefined> =>
      valueOf(metrics, `tollway_request_overhead_seconds_bucket{le="${le}",route="paid/*"}`)
    expect(await overhead('0.0001')).toBe(0)
    expect(await overhead('0.00025')).toBe(1)
    const genAi =
      'gen_ai_operation_name="chat",gen_ai_provider_name="seller.example.com",gen_ai_request_model="qwen"'
    const name = 'gen_ai_client_operation_time_to_first_chunk_seconds'
    expect(await valueOf(metrics, `${name}_count{${genAi}}`)).toBe(2)
    expect(await valueOf(metrics, `${name}_sum{${genAi}}`)).toBe(0.4)
  })

  it('names the request of an observation in OpenMetrics, and stays readable as text afterwards', async () => {
    const metrics = createMetrics()
    metrics.observe({ type: 'request', summary: { ...SUMMARY, requestId: 'req_"1"' } })
    const before = await metrics.text()
    const [open, text] = await Promise.all([metrics.openMetrics(), metrics.text()])
    expect(open.contentType).toMatch(/^application\/openmetrics-text/)
    expect(open.text).toMatch(/^tollway_requests_total\{.*\} 1 # \{request_id="req_\\"1\\""\} 1 /m)
    expect(open.text).toMatch(/_bucket\{le="2.5",.*# \{request_id=/)
    expect(open.text.endsWith('# EOF\n')).toBe(true)
    const steady = (lines: string): string => lines.replaceAll(/^(?:process|nodejs)_.*$/gm, '')
    expect(steady(text)).toBe(steady(before))
    expect(text).not.toContain('request_id')
  })

  it("adds to a registry of one's own, and leaves what is in there as it was", async () => {
    const registry = new Registry()
    const mine = new Counter({ name: 'mine_total', help: 'Mine.', registers: [registry] })
    const metrics = createMetrics({ registry })
    mine.inc()
    expect((await metrics.openMetrics()).text).toContain('mine_total 1')
    expect(await metrics.text()).toContain('\nmine_total 1')
    expect(await registry.metrics()).toContain('# TYPE mine_total counter')
    expect(metrics.registry).toBe(registry)
  })

  it('gives an observation no exemplar when its id is longer than OpenMetrics allows', async () => {
    const metrics = createMetrics()
    metrics.observe({ type: 'request', summary: { ...SUMMARY, requestId: 'x'.repeat(128) } })
    expect((await metrics.openMetrics()).text).not.toContain('request_id')
  })

  it('keeps the sums right when labels that are each bounded multiply past the bound', async () => {
    const metrics = createMetrics({ seriesCap: 10 })
    for (let caller = 0; caller < 20; caller++) {
      for (let route = 0; route < 20; route++) {
        const labels = { caller: `caller-${caller}`, route: `route-${route}`, amount: 1n, microUsd: 1n }
        metrics.observe({ type: 'charge', charge: chargeIn('settled', labels), from: 'authorized' })
      }
    }
    const lines = (await metrics.text())
      .split('\n')
      .filter((line) => line.startsWith('tollway_spend_atomic_total{'))
    expect(lines).toHaveLength(11)
    const sum = lines.reduce((total, line) => total + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
    expect(sum).toBe(400)
    expect(await valueOf(metrics, 'tollway_series_dropped_total{label="all"}')).toBeGreaterThan(0)
  })

  it('does not grow beyond its bound under a hundred thousand different names of everything', async () => {
    const metrics = createMetrics()
    for (let n = 0; n < 100_000; n++) {
      const name = `${n}-\u0000"\n{`
      const summary = {
        ...SUMMARY,
        usage: undefined,
        requestId: name,
        caller: name,
        route: name,
        remoteModel: name,
        provider: name,
        payer: name,
        endpoint: `/${name}`,
      }
      metrics.observe({ type: 'request', summary })
    }
    const text = await metrics.text()
    expect(text.split('\n').length).toBeLessThan(60_000)
    expect(text.split('\n').filter((line) => line.startsWith('tollway_requests_total{')).length).toBe(201)
  })

  it('shows spending, vouchers, wallets and mismatches from their sources, and nothing when they stop', async () => {
    const metrics = createMetrics()
    const names = { route: 'r', model: 'm', payer: 'base', seller: 's', caller: 'c' }
    let known = true
    metrics.watch({
      spent: () => (known ? [{ window: 'day', ...names, microUsd: 1_500_000n }] : undefined),
      vouchers: async () => [{ payer: 'pool', seller: 's', state: 'ready', count: 7 }],
      voucherExposure: async () => (known ? 700_000n : Promise.reject(new Error('locked'))),
      wallets: () => [
        {
          payer: 'base',
          address: '0xa',
          network: 'eip155:1',
          asset: 'USDC',
          microUsd: known ? 2_000_000n : undefined,
        },
      ],
      mismatches: () => [{ pair: 'ledger_audit', microUsd: known ? 3n : undefined }],
    })
    const spent = 'tollway_spent_usd{window="day",route="r",model="m",payer="base",seller="s",caller="c"}'
    const wallet = 'tollway_wallet_balance_usd{payer="base",address="0xa",network="eip155:1",asset="USDC"}'
    const mismatch = 'tollway_ledger_mismatch_usd{pair="ledger_audit"}'
    expect(await valueOf(metrics, spent)).toBe(1.5)
    expect(await valueOf(metrics, 'tollway_vouchers{payer="pool",seller="s",state="ready"}')).toBe(7)
    expect(await valueOf(metrics, 'tollway_voucher_exposure_usd')).toBe(0.7)
    expect(await valueOf(metrics, wallet)).toBe(2)
    expect(await valueOf(metrics, mismatch)).toBe(0.000003)
    known = false
    expect(await valueOf(metrics, spent)).toBeUndefined()
    expect(await valueOf(metrics, 'tollway_voucher_exposure_usd')).toBeNaN()
    expect(await valueOf(metrics, wallet)).toBeNaN()
    expect(await valueOf(metrics, mismatch)).toBeNaN()
  })

  it('tells three models behind one wildcard apart: three series of requests, spend and tokens', async () => {
    const metrics = createMetrics()
    for (const remoteModel of ['qwen', 'llama', 'glm']) {
      const charge = chargeIn('settled', { remoteModel })
      metrics.observe({ type: 'charge', charge, from: 'authorized' })
      metrics.observe({ type: 'request', summary: { ...SUMMARY, remoteModel } })
    }
    const lines = (await metrics.text()).split('\n')
    const models = (start: string): string[] =>
      lines
        .flatMap((line) => (line.startsWith(start) ? (/[_{,]model="([^"]*)"/.exec(line)?.[1] ?? []) : []))
        .toSorted()
    const all = ['glm', 'llama', 'qwen']
    expect(models('tollway_spend_usd_total{')).toEqual(all)
    expect(models('tollway_spend_atomic_total{')).toEqual(all)
    expect(models('tollway_requests_total{')).toEqual(all)
    expect(models('gen_ai_client_token_usage_count{').filter((_, n) => n % 2 === 0)).toEqual(all)
  })

  it('gives a hundred thousand made-up models under a wildcard no series of their own', async () => {
    const metrics = createMetrics()
    for (let n = 0; n < 100_000; n++) {
      const refused = {
        ...SUMMARY,
        remoteModel: `made-up-${n}`,
        outcome: 'failed',
        status: 503,
        usage: undefined,
      } as const
      metrics.observe({ type: 'request', summary: refused })
    }
    metrics.observe({ type: 'request', summary: SUMMARY })
    const text = await metrics.text()
    expect(text).not.toContain('made-up')
    expect(
      await valueOf(
        metrics,
        'tollway_requests_total{route="paid/*",model="other",payer="base",outcome="failed"}',
      ),
    ).toBe(100_000)
    // They took no room from the one that answered, and nothing was lost.
    expect(
      await valueOf(
        metrics,
        'tollway_requests_total{route="paid/*",model="qwen",payer="base",outcome="paid"}',
      ),
    ).toBe(1)
    expect(text).not.toContain('tollway_series_dropped_total{')
  })

  it('folds models that answer into other beyond the bound, and keeps the sum of their spend', async () => {
    const metrics = createMetrics()
    for (let n = 0; n < 1000; n++) {
      const charge = chargeIn('settled', { remoteModel: `model-${n}`, amount: 1n, microUsd: 1n })
      metrics.observe({ type: 'charge', charge, from: 'authorized' })
    }
    const lines = (await metrics.text())
      .split('\n')
      .filter((line) => line.startsWith('tollway_spend_atomic_total{'))
    expect(lines).toHaveLength(201)
    expect(lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)).toBe(1000)
    expect(await valueOf(metrics, 'tollway_series_dropped_total{label="model"}')).toBe(2 * 800)
  })

  it('keeps the name of an exact route, answered or not, and names no model where there is none', async () => {
    const metrics = createMetrics()
    const failed = { ...SUMMARY, outcome: 'failed', status: 503 } as const
    metrics.observe({ type: 'request', summary: { ...failed, route: 'exact', remoteModel: 'gpt-4o' } })
    metrics.observe({ type: 'request', summary: { ...failed, route: 'upstream', remoteModel: 'anything' } })
    metrics.observe({ type: 'request', summary: { ...SUMMARY, route: 'none', remoteModel: 'x' } })
    metrics.observe({ type: 'request', summary: { ...SUMMARY, route: 'upstream', remoteModel: undefined } })
    const models = (await metrics.text())
      .split('\n')
      .flatMap((line) => /^tollway_requests_total\{.*model="([^"]*)"/.exec(line)?.[1] ?? [])
    expect(models.toSorted()).toEqual(['gpt-4o', 'none', 'none', 'other'])
  })

  it('says of each budget whether it refuses and how serious it is: a subject of many is a warning', async () => {
    const metrics = createMetrics()
    const reading = { limit: 9n, totals: NO_TOTALS }
    metrics.watch({
      budgets: async () => [
        { ...reading, budget: 'all', subject: '*' },
        { ...reading, budget: 'each', subject: 'ci' },
        { ...reading, budget: 'each', subject: 'prod' },
        { ...reading, budget: 'trial', subject: '*', enforce: false },
        { ...reading, budget: 'dear', subject: 'x', severity: 'critical' },
      ],
    })
    const lines = (await metrics.text()).split('\n').filter((line) => line.startsWith('tollway_budget_info{'))
    expect(lines).toEqual([
      'tollway_budget_info{budget="all",enforce="true",severity="critical"} 1',
      'tollway_budget_info{budget="each",enforce="true",severity="warning"} 1',
      'tollway_budget_info{budget="trial",enforce="false",severity="critical"} 1',
      'tollway_budget_info{budget="dear",enforce="true",severity="critical"} 1',
    ])
  })

  it('counts what was offered, refused and rejected beside the moves of charges', async () => {
    const metrics = createMetrics()
    const offer = {
      type: 'offer',
      payer: 'base',
      seller: 'https://s.example',
      network: 'eip155:8453',
    } as const
    metrics.observe({ ...offer, state: 'offered', reason: '' })
    metrics.observe({ ...offer, state: 'refused', reason: 'budget_exhausted' })
    metrics.observe({ ...offer, state: 'rejected', reason: 'payment_rejected' })
    const value = (state: string, reason: string): Promise<number | undefined> =>
      valueOf(
        metrics,
        `tollway_payments_total{payer="base",seller="https://s.example",network="eip155:8453",state="${state}",reason="${reason}"}`,
      )
    expect(await value('offered', '')).toBe(1)
    expect(await value('refused', 'budget_exhausted')).toBe(1)
    expect(await value('rejected', 'payment_rejected')).toBe(1)
  })

  it('tells which share of the answers has a known cost, over the last thousand', async () => {
    const metrics = createMetrics()
    const ratio = (): Promise<number | undefined> => valueOf(metrics, 'tollway_capture_ratio')
    const answer = (changes: Partial<RequestSummary>): void =>
      metrics.observe({ type: 'request', summary: { ...SUMMARY, ...changes } })
    expect(await ratio()).toBeNaN()
    answer({ costMicroUsd: 5n })
    // A seller that asked for no payment cost nothing; a keyed upstream without a price cost nobody knows what.
    answer({ outcome: 'free', costMicroUsd: undefined })
    answer({ outcome: 'free', payer: 'none', costMicroUsd: undefined })
    answer({ outcome: 'free', payer: 'none', costMicroUsd: 7n })
    expect(await ratio()).toBe(0.75)
    answer({ outcome: 'failed', status: 503 })
    answer({ outcome: 'free', payer: 'none', status: 404 })
    answer({ outcome: 'free', payer: 'none', route: 'none' })
    expect(await ratio()).toBe(0.75)
    for (let n = 0; n < 1000; n++) answer({ costMicroUsd: 5n })
    expect(await ratio()).toBe(1)
  })

  it('measures the time between two tokens of streams that came whole', async () => {
    const metrics = createMetrics()
    const stream = {
      ...SUMMARY,
      seconds: 2,
      firstByteSeconds: 1,
      usage: { inputTokens: 9, outputTokens: 11 },
    }
    metrics.observe({ type: 'request', summary: stream })
    metrics.observe({ type: 'request', summary: { ...stream, truncated: true } })
    metrics.observe({ type: 'request', summary: { ...stream, stream: false } })
    metrics.observe({ type: 'request', summary: { ...stream, usage: { inputTokens: 9, outputTokens: 1 } } })
    const labels =
      '{gen_ai_operation_name="chat",gen_ai_provider_name="seller.example.com",gen_ai_request_model="qwen"}'
    expect(await valueOf(metrics, `gen_ai_server_time_per_output_token_seconds_count${labels}`)).toBe(1)
    expect(await valueOf(metrics, `gen_ai_server_time_per_output_token_seconds_sum${labels}`)).toBe(0.1)
  })

  it('shows the age of pools and their next expiry, and nothing of empty ones', async () => {
    const metrics = createMetrics()
    const pool = { payer: 'pool', seller: 's' }
    let readings = [
      { ...pool, oldest: 100, nextExpiry: 900 },
      { ...pool, oldest: 200, nextExpiry: 800 },
    ]
    metrics.watch({ voucherTimes: async () => readings })
    expect(await valueOf(metrics, 'tollway_voucher_oldest_timestamp_seconds{payer="pool",seller="s"}')).toBe(
      100,
    )
    expect(
      await valueOf(metrics, 'tollway_voucher_next_expiry_timestamp_seconds{payer="pool",seller="s"}'),
    ).toBe(800)
    readings = []
    expect(await metrics.text()).not.toContain('tollway_voucher_oldest_timestamp_seconds{')
  })

  it('passes the naming rules of Prometheus', () => {
    for (const [name, { type, labels }] of Object.entries(METRIC_TABLE)) {
      expect(name).toMatch(/^(?:tollway|gen_ai|process|nodejs|obol)_[a-z0-9_]+$/)
      expect(name.endsWith('_total')).toBe(type === 'counter')
      if (type === 'histogram' && name.startsWith('tollway_')) expect(name).toMatch(/_seconds$/)
      for (const label of labels) expect(label).toMatch(/^[a-z][a-z0-9_]*$/)
    }
  })
})

describe('LabelGuard', () => {
  it('never lets more values through than its cap and one, whatever comes', () => {
    fc.assert(
      fc.property(fc.array(fc.string()), fc.integer({ min: 1, max: 5 }), (values, cap) => {
        const guard = new LabelGuard(cap, () => undefined)
        const passed = new Set(values.map((value) => guard.pass({ label: value })['label']))
        expect(passed.size).toBeLessThanOrEqual(cap + 1)
        for (const value of passed) expect(value).toMatch(/^[\x20-\x7e]{0,128}$/)
      }),
    )
  })
})
