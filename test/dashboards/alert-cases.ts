/** For every alert: series under which it fires, and series under which it must not. */

/** One series, in promtool's notation. */
export type Samples = Readonly<Record<string, string>>

/** When and under what an alert is asked for. */
export interface AlertCase {
  readonly why: string
  readonly series: Samples
  /** promtool duration after the start. */
  readonly at: string
  readonly fires: boolean
}

const ME = 'job="tollway",instance="a:1"'
const BUDGET = `${ME},budget="all",subject="*"`
const ROUTE = `${ME},route="paid/*"`
const counter = (name: string, labels: string, samples: string): Samples => ({
  [`${name}{${ME}${labels}}`]: samples,
})
const budget = (limit: string, remaining: string): Samples => ({
  [`tollway_budget_limit_usd{${BUDGET}}`]: limit,
  [`tollway_budget_remaining_usd{${BUDGET}}`]: remaining,
})
const wallet = (balance: string, spend: string, address = '0xa', instance = 'a:1'): Samples => {
  const payer = `job="tollway",instance="${instance}",payer="base"`
  return {
    [`tollway_wallet_balance_usd{${payer},address="${address}",network="n",asset="USDC"}`]: balance,
    [`tollway_spend_usd_total{${payer},route="paid/*",seller="s",asset="USDC",caller="c"}`]: spend,
  }
}
const tokens = (limit: string, remaining: string): Samples => ({
  [`tollway_budget_asset_units{${BUDGET},asset="OBOL",kind="limit"}`]: limit,
  [`tollway_budget_asset_units{${BUDGET},asset="OBOL",kind="remaining"}`]: remaining,
})
const refusals = (samples: string): Samples => ({
  [`tollway_budget_refusals_total{${ME},budget="all",early="false"}`]: samples,
})
const traffic = (failed: string, paid: string): Samples => ({
  [`tollway_requests_total{${ROUTE},payer="base",outcome="failed"}`]: failed,
  [`tollway_requests_total{${ROUTE},payer="base",outcome="paid"}`]: paid,
})
const overhead = (fast: string, slow: string): Samples => ({
  [`tollway_request_overhead_seconds_bucket{${ROUTE},le="0.005"}`]: fast,
  [`tollway_request_overhead_seconds_bucket{${ROUTE},le="1"}`]: slow,
  [`tollway_request_overhead_seconds_bucket{${ROUTE},le="+Inf"}`]: slow,
})

/** By the name of the alert. */
export const ALERT_CASES: Readonly<Record<string, readonly AlertCase[]>> = {
  TollwayDown: [
    { why: 'down for three minutes', series: { [`up{${ME}}`]: '0x10' }, at: '3m', fires: true },
    { why: 'a restart', series: { [`up{${ME}}`]: '1 0 1 1 1' }, at: '3m', fires: false },
    { why: 'another job', series: { 'up{job="else",instance="b"}': '0x10' }, at: '5m', fires: false },
  ],
  TollwayPaymentsUncertain: [
    {
      why: 'for eleven minutes',
      series: counter('tollway_uncertain_payments', '', '2x20'),
      at: '11m',
      fires: true,
    },
    {
      why: 'resolved in time',
      series: counter('tollway_uncertain_payments', '', '2x5 0x15'),
      at: '11m',
      fires: false,
    },
  ],
  TollwayBudgetAlmostUsed: [
    { why: '80 %', series: budget('5x5', '1x5'), at: '1m', fires: true },
    { why: 'below', series: budget('5x5', '1.01x5'), at: '1m', fires: false },
    { why: 'all of it, which the other alert tells', series: budget('5x5', '0x5'), at: '1m', fires: false },
    {
      why: 'in a token',
      series: tokens('10x5', '1x5'),
      at: '1m',
      fires: true,
    },
  ],
  TollwayBudgetUsedUp: [
    { why: 'nothing left', series: budget('5x5', '0x5'), at: '1m', fires: true },
    { why: 'one micro-dollar left', series: budget('5x5', '0.000001x5'), at: '1m', fires: false },
    {
      why: 'less left than a request costs: the first refusal a process sees',
      series: { ...budget('0.05x9', '0.004x9'), ...refusals('_x3 1x5') },
      at: '5m',
      fires: true,
    },
    {
      why: 'refusals that go on',
      series: { ...budget('0.05x30', '0.004x30'), ...refusals('3+1x30') },
      at: '25m',
      fires: true,
    },
    {
      why: 'a budget for hardly two requests',
      series: { ...budget('0.05x9', '0.02x9'), ...refusals('_x3 1x5') },
      at: '5m',
      fires: true,
    },
    {
      why: 'refusals of half an hour ago',
      series: { ...budget('0.05x60', '0.004x60'), ...refusals('0x5 1x60') },
      at: '35m',
      fires: false,
    },
    {
      why: 'a request too dear for a budget that is hardly touched',
      series: { ...budget('5x9', '4.9x9'), ...refusals('_x3 1x5') },
      at: '5m',
      fires: false,
    },
    {
      why: 'a token, less left than a request costs',
      series: { ...tokens('10x9', '0.5x9'), ...refusals('_x3 1x5') },
      at: '5m',
      fires: true,
    },
  ],
  TollwayBudgetRunningOut: [
    { why: 'an hour left at this pace', series: budget('100x90', '100-0.6x90'), at: '85m', fires: true },
    { why: 'days left', series: budget('100x90', '100-0.01x90'), at: '85m', fires: false },
    { why: 'used up already', series: budget('100x90', '0x90'), at: '85m', fires: false },
    { why: 'in a token', series: tokens('100x90', '100-0.6x90'), at: '85m', fires: true },
    { why: 'in a token, days left', series: tokens('100x90', '100-0.01x90'), at: '85m', fires: false },
  ],
  TollwayPoolLow: [
    {
      why: 'nine ready',
      series: counter('tollway_vouchers', ',payer="obol",seller="s",state="ready"', '9x10'),
      at: '6m',
      fires: true,
    },
    {
      why: 'ten ready',
      series: counter('tollway_vouchers', ',payer="obol",seller="s",state="ready"', '10x10'),
      at: '6m',
      fires: false,
    },
    {
      why: 'few held, which is how it should be',
      series: counter('tollway_vouchers', ',payer="obol",seller="s",state="held"', '1x10'),
      at: '6m',
      fires: false,
    },
  ],
  TollwayWalletLow: [
    { why: 'five hours left', series: wallet('10x180', '0+0.0333333x180'), at: '170m', fires: true },
    { why: 'a day left', series: wallet('48x180', '0+0.0333333x180'), at: '170m', fires: false },
    { why: 'empty, and nothing spent', series: wallet('0x60', '5x60'), at: '50m', fires: true },
    { why: 'not read', series: wallet('_x60', '0+1x60'), at: '50m', fires: false },
    {
      why: 'empty, beside the full wallet of a payer of the same name',
      series: { ...wallet('0x60', '5x60'), ...wallet('100x60', '5x60', '0xb', 'b:1') },
      at: '50m',
      fires: true,
    },
    {
      why: 'two gateways that spend from one wallet, each half of what it takes',
      series: {
        ...wallet('10x180', '0+0.01x180'),
        ...wallet('10x180', '0+0.01x180', '0xa', 'b:1'),
      },
      at: '170m',
      fires: true,
    },
    {
      why: 'one of them alone',
      series: wallet('10x180', '0+0.01x180'),
      at: '170m',
      fires: false,
    },
  ],
  TollwayPriceDrift: [
    {
      why: 'the first rise a process sees',
      series: counter('tollway_quote_drift_total', ',seller="s",route="r",direction="up"', '_x3 1x5'),
      at: '5m',
      fires: true,
    },
    {
      why: 'another one',
      series: counter('tollway_quote_drift_total', ',seller="s",route="r",direction="refused"', '1x70 2x5'),
      at: '72m',
      fires: true,
    },
    {
      why: 'a rise of two hours ago',
      series: counter('tollway_quote_drift_total', ',seller="s",route="r",direction="up"', '1x150'),
      at: '130m',
      fires: false,
    },
    {
      why: 'a price that falls',
      series: counter('tollway_quote_drift_total', ',seller="s",route="r",direction="down"', '0+1x10'),
      at: '5m',
      fires: false,
    },
  ],
  TollwayAuditFailing: [
    {
      why: 'one record',
      series: counter('tollway_audit_failures_total', '', '0x3 1x5'),
      at: '6m',
      fires: true,
    },
    { why: 'none', series: counter('tollway_audit_failures_total', '', '0x10'), at: '6m', fires: false },
    {
      why: 'a restart',
      series: counter('tollway_audit_failures_total', '', '3x20 0x10'),
      at: '22m',
      fires: false,
    },
  ],
  TollwayLedgerMismatch: [
    {
      why: 'one micro-dollar for eleven minutes, in either direction',
      series: counter('tollway_ledger_mismatch_usd', ',pair="ledger_audit"', '-0.000001x20'),
      at: '11m',
      fires: true,
    },
    {
      why: 'a difference that a payment on its way makes',
      series: counter('tollway_ledger_mismatch_usd', ',pair="ledger_audit"', '0.01x5 0x20'),
      at: '11m',
      fires: false,
    },
  ],
  TollwayPaymentsFlagged: [
    {
      why: 'one charge',
      series: counter('tollway_charges_flagged', ',flag="receipt_mismatch"', '1x20'),
      at: '11m',
      fires: true,
    },
    {
      why: 'none',
      series: counter('tollway_charges_flagged', ',flag="receipt_mismatch"', '0x20'),
      at: '11m',
      fires: false,
    },
  ],
  TollwayChainUnreadable: [
    {
      why: 'for half an hour',
      series: counter('tollway_reconcile_rpc_up', ',network="n"', '0x40'),
      at: '31m',
      fires: true,
    },
    {
      why: 'now and then',
      series: counter('tollway_reconcile_rpc_up', ',network="n"', '0x20 1x20'),
      at: '31m',
      fires: false,
    },
  ],
  TollwaySellerDown: [
    { why: 'most requests fail', series: traffic('0+6x20', '0+4x20'), at: '12m', fires: true },
    { why: 'some requests fail', series: traffic('0+4x20', '0+6x20'), at: '12m', fires: false },
    {
      why: 'it cools down',
      series: { [`tollway_route_state{${ROUTE},seller="s"}`]: '2x20' },
      at: '6m',
      fires: true,
    },
  ],
  TollwayOverheadHigh: [
    { why: 'most take half a second', series: overhead('0+1x30', '0+10x30'), at: '20m', fires: true },
    { why: 'all take microseconds', series: overhead('0+10x30', '0+10x30'), at: '20m', fires: false },
  ],
  TollwaySeriesDropped: [
    {
      why: 'the first',
      series: counter('tollway_series_dropped_total', ',label="route"', '_x3 1x5'),
      at: '5m',
      fires: true,
    },
    {
      why: 'long ago',
      series: counter('tollway_series_dropped_total', ',label="route"', '9x150'),
      at: '130m',
      fires: false,
    },
  ],
}
