/** A gateway with one of everything, and traffic through every state that a dashboard or alert asks about. */
import { startWorld, type World } from '../../src/app/sandbox/world.ts'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import { NO_TOTALS } from '../../src/core/budget/budget.ts'
import { METERED_NETWORK } from '../../src/core/charge/metered.ts'
import type { Charge } from '../../src/core/charge/charge.ts'
import type { RequestSummary } from '../../src/core/telemetry/events.ts'
import { ask, startGateway, type TestGateway } from '../kit/gateway.ts'
import { challengeV2, send } from '../kit/seller-answers.ts'
import { startScriptedSeller } from '../kit/scripted-seller.ts'
import { type ScriptedSeller } from '../kit/scripted-seller.ts'
import { terms } from '../store/samples.ts'

/** See the file's head. */
export interface Traffic {
  readonly tollway: TestGateway
  readonly world: World
  /** Bearer token of the metrics. */
  readonly token: string
  /** Every outcome once: paid, free, refused, uncertain, failed. */
  round(): Promise<void>
  /** An uncertain payment that the chain proves unspent. */
  expire(): Promise<void>
  /** What no part of Tollway does on demand, told to the metrics as those parts would. */
  tell(): void
  close(): Promise<void>
}

/** Past the validity of what was signed, seconds. */
const EXPIRED_SECONDS = 120
const TOKEN = 'dashboards-token'
/** Nothing listens there: the discard port. */
const NOBODY = 'http://127.0.0.1:9/v1'

/** Starts it; nothing is asked yet. */
export async function startTraffic(): Promise<Traffic> {
  const world = await startWorld()
  const { chain } = world
  const offer = (amount: string): Parameters<typeof challengeV2>[0] => [
    {
      scheme: 'exact',
      network: chain.network,
      asset: chain.token.address,
      amount,
      payTo: chain.accounts.seller.address,
      maxTimeoutSeconds: 60,
      extra: { name: chain.token.name, version: '2' },
    },
  ]
  // A stand-in for a seller that takes the payment and never settles it: the official ones are honest.
  const silent = await startScriptedSeller(({ headers }, response) => {
    if (headers['payment-signature'] === undefined) send(response, challengeV2(offer('1000')))
    else response.writeHead(502).end()
  })
  const dear = await startScriptedSeller((_request, response) => send(response, challengeV2(offer('900000'))))
  const free = await startScriptedSeller((_request, response) => {
    const usage = { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 }
    response
      .writeHead(200, { 'content-type': 'application/json' })
      .end(JSON.stringify({ choices: [{ message: { content: 'yes' } }], usage }))
  })
  const accounts = localAccounts()
  process.env['DASHBOARDS_TOKEN'] = TOKEN
  process.env['DASHBOARDS_WALLET'] = accounts.buyer.privateKey
  process.env['DASHBOARDS_EMPTY'] = accounts.facilitator.privateKey
  const payer = (name: string, networks: readonly string[]): object => ({
    kind: 'direct',
    key: `\${env:${name}}`,
    networks,
  })
  const paid = (model_name: string, api_base: string): object => ({
    model_name,
    model: '*',
    api_base,
    payer: 'base',
  })
  let aheadMs = 0
  const tollway = await startGateway(
    {
      payers: {
        base: payer('DASHBOARDS_WALLET', [chain.v1Network]),
        // Without tokens, and with a network that nobody can read.
        empty: payer('DASHBOARDS_EMPTY', [chain.v1Network, 'base']),
      },
      chains: { [chain.v1Network]: { rpc: chain.rpcUrl } },
      model_list: [
        paid('official/*', world.seller.apiBase),
        paid('stream/*', world.streamingSeller.apiBase),
        paid('silent/*', silent.apiBase),
        paid('dear/*', dear.apiBase),
        { model_name: 'dead/*', model: '*', api_base: NOBODY },
        { model_name: 'free/*', model: '*', api_base: free.apiBase },
      ],
      budgets: [
        { name: 'all', limit_usd: '0.05', window: 'day', soft_usd: '0.002' },
        { name: 'each', limit_usd: '0.0025', window: 'day', per: 'model' },
        { name: 'tokens', limit: '1000', asset: 'USDC', window: 'day', per: 'model', enforce: false },
      ],
      metrics: { token: '${env:DASHBOARDS_TOKEN}', listen: '127.0.0.1:0' },
    },
    { clock: { now: () => Date.now() + aheadMs } },
  )
  const sellers: readonly ScriptedSeller[] = [silent, dear, free]
  let asked = 0
  const call = async (model: string, more: object = {}): Promise<void> => {
    asked += 1
    // Bodies that differ: an equal one within two minutes is answered without a payment.
    const answer = await ask(tollway.url, { model: `${model}/sandbox-small`, user: `user-${asked}`, ...more })
    await answer.arrayBuffer()
  }
  return {
    tollway,
    world,
    token: TOKEN,
    async round() {
      await call('official')
      await call('stream', { stream: true, stream_options: { include_usage: true } })
      await call('free')
      await call('dear')
      await call('silent')
      for (let n = 0; n < 3; n++) await call('dead')
    },
    async expire() {
      await world.chain.levers.increaseTime(EXPIRED_SECONDS)
      aheadMs += EXPIRED_SECONDS * 1000
      await tollway.gateway.parts.reconciler.run({ all: true })
      await call('silent')
    },
    tell: () => tell(tollway),
    async close() {
      await tollway.close()
      for (const seller of sellers) await seller.close()
      await world.close()
    },
  }
}

/** Fixtures: pools, mismatches and faults of the machine are other parts' tests; here their series are needed. */
function tell({ gateway }: TestGateway): void {
  const { metrics, ledger, config } = gateway.parts
  const [route, seller] = ['official/*', 'https://fixture.example']
  metrics.watch({
    budgets: async () => [
      ...(await ledger.budgets(config.budgets)).map(({ rule, claim, totals }) => ({
        budget: rule.name,
        subject: claim.subject,
        limit: claim.limit,
        totals,
        asset: rule.asset,
        enforce: rule.enforce,
      })),
      { budget: 'nearly', subject: '*', limit: 100n, totals: { ...NO_TOTALS, spent: 85n } },
    ],
    diskSpace: () => [{ name: 'audit', bytes: 1_000_000 }],
    vouchers: async () => [
      { payer: 'pool', seller, state: 'ready', count: 3 },
      { payer: 'pool', seller, state: 'held', count: 1 },
    ],
    voucherTimes: async () => [
      { payer: 'pool', seller, oldest: Date.now() / 1000 - 60, nextExpiry: Date.now() / 1000 + 60 },
    ],
    voucherExposure: async () => 3000n,
    mismatches: () => [
      { pair: 'ledger_audit', microUsd: 1n },
      { pair: 'ledger_metrics', microUsd: undefined },
      { pair: 'ledger_chain', microUsd: undefined },
    ],
    routes: () => [{ route, seller, state: 'cooling' }],
    unpricedRoutes: () => [route],
    config: () => ({ hash: 'a'.repeat(64), isLastDone: true, doneAt: 0 }),
    flagged: async () => [{ flag: 'receipt_mismatch', count: 1 }],
  })
  metrics.observe({ type: 'retried', route, seller, reason: 'http_503' })
  metrics.observe({ type: 'fell_back', route, to: 'free/*', reason: 'seller_unavailable' })
  metrics.observe({ type: 'cooled', route, seller, reason: 'http_503' })
  metrics.observe({ type: 'catalogue', seller, ok: true, models: 40 })
  metrics.observe({ type: 'tokens_reduced', seller, route })
  metrics.observe({ type: 'price_moved', route, seller, direction: 'up' })
  metrics.observe({ type: 'refilled', payer: 'pool', result: 'refilled', vouchers: 3 })
  metrics.observe({ type: 'terms', seller, route, result: 'remembered' })
  metrics.observe({ type: 'sign_in', seller, result: 'accepted' })
  metrics.observe({ type: 'hook', hook: 'beforeSign', result: 'refused', reason: 'out_of_hours' })
  metrics.observe({ type: 'config_reloaded', result: 'done' })
  metrics.observe({ type: 'notified', kind: 'budget', result: 'delivered' })
  metrics.observe({ type: 'approval', result: 'approved' })
  metrics.observe({
    type: 'charge',
    charge: {
      ...terms(2, { route, network: METERED_NETWORK }),
      state: 'settled',
      proof: 'receipt',
      authorization: undefined,
      transaction: undefined,
      reason: 'usage',
      updatedAt: 0,
    },
    from: 'authorized',
  })
  metrics.observe({ type: 'clock_skew', source: seller, seconds: 31 })
  metrics.observe({ type: 'catalogue', seller: 'https://unread.example', ok: false, models: 0 })
  for (const reason of ['payee_not_allowed', 'insufficient_funds', 'signer_unavailable'] as const) {
    metrics.observe({ type: 'offer', payer: 'base', seller, network: 'none', state: 'refused', reason })
  }
  metrics.observe({ type: 'audit_failed' })
  // The chain takes off again what an upto seller did not take: test/sums counts real ones.
  const taken: Charge = {
    ...terms(1, { route }),
    state: 'settled',
    proof: 'chain',
    charged: 0n,
    authorization: undefined,
    transaction: undefined,
    reason: 'chain_used',
    updatedAt: 0,
  }
  metrics.observe({ type: 'charge', charge: taken, from: 'settled' })
  // More callers than a label keeps.
  for (let n = 0; n < 250; n++) {
    metrics.observe({ type: 'rate_limited', caller: `caller-${n}`, limit: 'requests' })
  }
  const slow: RequestSummary = {
    requestId: `slow-${ledger.instance}`,
    method: 'POST',
    endpoint: '/chat/completions',
    caller: 'anonymous',
    route,
    payer: 'base',
    model: 'x',
    status: 200,
    outcome: 'paid',
    code: undefined,
    charge: undefined,
    spent: 'yes',
    usage: undefined,
    stream: false,
    truncated: false,
    conversion: 'json_to_sse',
    seconds: 3,
    firstByteSeconds: 2,
    overheadSeconds: 2,
    details: {},
  }
  metrics.observe({ type: 'request', summary: slow })
}
