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
const info = (labels = 'enforce="true",severity="critical"', name = 'all'): Samples => ({
  [`tollway_budget_info{${ME},budget="${name}",${labels}}`]: '1x180',
})
const budget = (limit: string, remaining: string, subject = '*', more = info()): Samples => ({
  [`tollway_budget_limit_usd{${ME},budget="all",subject="${subject}"}`]: limit,
  [`tollway_budget_remaining_usd{${ME},budget="all",subject="${subject}"}`]: remaining,
  ...more,
})
/** It only watches. */
const WATCHING = info('enforce="false",severity="critical"')
const SILENT = info('enforce="true",severity="none"')
const wallet = (balance: string, spend: string, address = '0xa', instance = 'a:1'): Samples => {
  const payer = `job="tollway",instance="${instance}",payer="base"`
  return {
    [`tollway_wallet_balance_usd{${payer},address="${address}",network="n",asset="USDC"}`]: balance,
    [`tollway_spend_usd_total{${payer},route="paid/*",model="m",seller="s",asset="USDC",caller="c"}`]: spend,
  }
}
const held = (samples: string): Samples => ({ [`nodejs_eventloop_delay_max_seconds{${ME}}`]: samples })
const tokens = (limit: string, remaining: string): Samples => ({
  [`tollway_budget_asset_units{${BUDGET},asset="OBOL",kind="limit"}`]: limit,
  [`tollway_budget_asset_units{${BUDGET},asset="OBOL",kind="remaining"}`]: remaining,
  ...info(),
})
const refusals = (samples: string, subject = '*'): Samples => ({
  [`tollway_budget_refusals_total{${ME},budget="all",subject="${subject}",early="false"}`]: samples,
})
const offers = (reason: string, samples: string, payer = 'base', state = 'refused'): Samples => ({
  [`tollway_payments_total{${ME},payer="${payer}",seller="s",network="n",state="${state}",reason="${reason}"}`]:
    samples,
})
const traffic = (unavailable: string, all: string, code = 'seller_unavailable'): Samples => ({
  [`tollway_errors_total{${ROUTE},code="${code}"}`]: unavailable,
  [`tollway_requests_total{${ROUTE},model="m",payer="base",outcome="failed"}`]: unavailable,
  [`tollway_requests_total{${ROUTE},model="m",payer="base",outcome="paid"}`]: all,
})
const disk = (free: string, minimum: string): Samples => ({
  ...counter('tollway_disk_free_bytes', ',file="audit"', free),
  ...counter('tollway_disk_min_free_bytes', '', minimum),
})
const lists = (failed: string, readAt: string | undefined): Samples => ({
  ...counter('tollway_catalogue_reads_total', ',seller="s",result="failed"', failed),
  ...(readAt === undefined ? {} : counter('tollway_catalogue_read_timestamp_seconds', ',seller="s"', readAt)),
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
    {
      why: '80 %, of a budget that only watches (enforce: false)',
      series: budget('5x5', '1x5', '*', WATCHING),
      at: '1m',
      fires: false,
    },
    {
      why: '90 % and refusing, which the other alert tells',
      series: { ...budget('5x9', '0.5x9'), ...refusals('_x3 1x5') },
      at: '5m',
      fires: false,
    },
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
    {
      why: 'nothing left, of a budget that only watches (enforce: false)',
      series: { ...budget('5x9', '0x9', '*', WATCHING), ...refusals('_x3 1x5') },
      at: '5m',
      fires: false,
    },
    {
      why: 'nothing left, of a budget with alert: none',
      series: budget('5x9', '0x9', '*', SILENT),
      at: '5m',
      fires: false,
    },
    {
      why: 'half used by one subject, and another subject was refused',
      series: { ...budget('5x9', '2x9', 'ci'), ...refusals('_x3 1x5', 'prod') },
      at: '5m',
      fires: false,
    },
    {
      why: 'the subject that was refused',
      series: { ...budget('5x9', '2x9', 'ci'), ...refusals('_x3 1x5', 'ci') },
      at: '5m',
      fires: true,
    },
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
    {
      why: 'an hour left at this pace, of a budget that only watches (enforce: false)',
      series: budget('100x180', '100-0.6x90', '*', WATCHING),
      at: '85m',
      fires: false,
    },
    {
      why: 'at the same pace with 80 % used, which the other alert tells',
      series: budget('500x180', '100-0.6x90'),
      at: '85m',
      fires: false,
    },
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
    { why: 'most requests find no seller', series: traffic('0+6x20', '0+4x20'), at: '12m', fires: true },
    { why: 'some do not', series: traffic('0+4x20', '0+6x20'), at: '12m', fires: false },
    {
      why: 'most requests fail because clients leave or name what is not sold',
      series: traffic('0+6x20', '0+4x20', 'price_above_limit'),
      at: '12m',
      fires: false,
    },
  ],
  TollwayRouteCooling: [
    {
      why: 'for six minutes',
      series: { [`tollway_route_state{${ROUTE},seller="s"}`]: '2x20' },
      at: '6m',
      fires: true,
    },
    {
      why: 'on trial again after two',
      series: { [`tollway_route_state{${ROUTE},seller="s"}`]: '2x2 1x20' },
      at: '6m',
      fires: false,
    },
  ],
  TollwayPayeeRefused: [
    {
      why: 'the first refusal a process sees',
      series: offers('payee_not_allowed', '_x3 1x5'),
      at: '5m',
      fires: true,
    },
    { why: 'half an hour ago', series: offers('payee_not_allowed', '1x60'), at: '45m', fires: false },
    { why: 'refused for its price', series: offers('price_above_limit', '_x3 1x5'), at: '5m', fires: false },
  ],
  TollwayWalletEmpty: [
    {
      why: 'one offer that could not be paid',
      series: offers('insufficient_funds', '_x3 1x5'),
      at: '5m',
      fires: true,
    },
    { why: 'refused by a budget', series: offers('budget_exhausted', '_x3 1x5'), at: '5m', fires: false },
    {
      why: 'filled up half an hour ago',
      series: offers('insufficient_funds', '4x60'),
      at: '45m',
      fires: false,
    },
  ],
  TollwaySignerDown: [
    {
      why: 'refusals for three minutes',
      series: offers('signer_unavailable', '0+1x9'),
      at: '5m',
      fires: true,
    },
    {
      why: 'none since it was restarted',
      series: offers('signer_unavailable', '9x60'),
      at: '45m',
      fires: false,
    },
    { why: 'an empty wallet', series: offers('insufficient_funds', '0+1x9'), at: '5m', fires: false },
  ],
  TollwayClockSkew: [
    {
      why: '31 s behind for six minutes',
      series: counter('tollway_clock_skew_seconds', ',source="s"', '-31x20'),
      at: '6m',
      fires: true,
    },
    {
      why: '30 s ahead, which fails no payment',
      series: counter('tollway_clock_skew_seconds', ',source="s"', '30x20'),
      at: '6m',
      fires: false,
    },
  ],
  TollwayCatalogueStale: [
    { why: 'reads fail, and none ever worked', series: lists('0+1x90', undefined), at: '80m', fires: true },
    {
      why: 'reads fail, and the last good one was at the start',
      series: lists('0+1x120', '0x120'),
      at: '100m',
      fires: true,
    },
    { why: 'some reads fail', series: lists('0+1x120', '0+60x120'), at: '100m', fires: false },
    { why: 'nobody asked for it in a day', series: lists('3x120', '0x120'), at: '100m', fires: false },
  ],
  TollwayEventLoopHeld: [
    { why: 'held at every scrape', series: held('0.8x30'), at: '15m', fires: true },
    { why: 'held once', series: held('0.01x8 0.8x2 0.01x20'), at: '15m', fires: false },
  ],
  TollwayDiskNearlyFull: [
    { why: 'less than twice audit.min_free', series: disk('1.9e9x20', '1e9x20'), at: '6m', fires: true },
    { why: 'twice audit.min_free', series: disk('2e9x20', '1e9x20'), at: '6m', fires: false },
    {
      why: 'less than 256 MiB where audit.min_free is 0',
      series: disk('2e8x20', '0x20'),
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
