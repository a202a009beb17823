/** A gateway with paid routes to official sellers on a local chain, for the real LiteLLM before it, and what passed. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import type { TollwayEvent } from '../../src/core/telemetry/events.ts'
import { startWorld, type World } from '../../src/app/sandbox/world.ts'
import { tollway } from '../cli/tollway.ts'
import { startGateway, walletPayer, type TestGateway } from '../kit/gateway.ts'
import { AFTER_PAYMENT, startFailingSeller } from './failing-seller.ts'

type RequestEvent = Extract<TollwayEvent, { type: 'request' }>

/** What each call costs, USD. */
export const PRICE_USD = 0.001

/** The gateway's callers, each with the key of its name. */
export const CALLERS = { litellm: 'key-of-litellm', 'team-a': 'key-of-team-a' } as const

/** What was caused since the last `reset()`. */
export interface Passed {
  /** Requests that reached the gateway. */
  readonly gateway: number
  /** Transfers on the chain. */
  readonly payments: number
}

/** A `config.yaml` of LiteLLM's. */
export interface LitellmConfig {
  readonly model_list: readonly { readonly model_name: string; readonly litellm_params: object }[]
  readonly litellm_settings?: object
}

/** See {@link startPaidWorld}. */
export interface PaidWorld {
  readonly world: World
  readonly gateway: TestGateway
  /** With a budget of one call a day. */
  readonly tight: TestGateway
  /** What `tollway init litellm` prints for the first gateway; its key is to be in LiteLLM's `TOLLWAY_KEY`. */
  litellmConfig(): Promise<LitellmConfig>
  reset(): Promise<void>
  passed(): Promise<Passed>
  /** USD that left the wallet since the last `reset()`, by the chain. */
  spentUsd(): Promise<number>
  /** Requests since the last `reset()`, as the gateway reports them. */
  readonly requests: readonly RequestEvent['summary'][]
  close(): Promise<void>
}

/**
 * Two gateways on one chain. Routes of the first: `paid/fast` and all without a route of their own stream, `paid/buffered` answers at once, `paid/after-…` fails
 * once it is paid. The second has `paid/stop`, and a budget of one call a day. What passed is counted over both.
 */
export async function startPaidWorld(): Promise<PaidWorld> {
  for (const [id, key] of Object.entries(CALLERS)) process.env[`LITELLM_TEST_${id.replace('-', '_')}`] = key
  const world = await startWorld()
  const failing = await startFailingSeller(world.seller.url)
  const requests: RequestEvent['summary'][] = []
  const paid = (name: string, model: string, apiBase: string): object => ({
    model_name: `paid/${name}`,
    model,
    api_base: apiBase,
    payer: 'base',
  })
  const after = AFTER_PAYMENT.flatMap((status) => [`after-${status}`, `after-${status}-receipt`])
  const list = [
    paid('fast', 'sandbox-small', world.streamingSeller.apiBase),
    paid('*', '*', world.streamingSeller.apiBase),
    paid('buffered', 'sandbox-small', world.seller.apiBase),
    ...[...after, 'after-nothing', 'after-cut', 'after-long'].map((name) =>
      paid(name, name, failing.apiBase),
    ),
  ]
  const observers = [
    (event: TollwayEvent): void => {
      if (event.type === 'request' && event.summary.method === 'POST') requests.push(event.summary)
    },
  ]
  const callers = Object.keys(CALLERS).map((id) => ({
    id,
    key: `\${env:LITELLM_TEST_${id.replace('-', '_')}}`,
  }))
  const tight = await startGateway(
    {
      callers,
      payers: { base: walletPayer(world.chain) },
      model_list: [paid('stop', 'sandbox-small', world.seller.apiBase)],
      budgets: [{ name: 'today', limit_usd: String(PRICE_USD), window: 'day' }],
    },
    { observers },
  )
  const config = {
    callers,
    payers: { base: walletPayer(world.chain) },
    model_list: list,
    router: { num_retries: 0, allowed_fails: 1000 },
    tags: { declared: ['team:red'] },
  }
  const gateway = await startGateway(config, { observers })
  const from = world.chain.accounts.buyer.address
  const unit = 10 ** world.chain.token.decimals
  let before = await world.chain.transfers({ from })
  return {
    world,
    gateway,
    tight,
    async litellmConfig() {
      const file = join(gateway.directory, 'tollway.yaml')
      // JSON is YAML.
      writeFileSync(file, JSON.stringify(config))
      const { stdout, stderr } = await tollway([
        'init',
        'litellm',
        '--config',
        file,
        '--url',
        gateway.url,
        '--file',
        join(gateway.directory, 'litellm.yaml'),
      ])
      if (stderr !== '') throw new Error(stderr)
      return parse(stdout) as LitellmConfig
    },
    requests,
    async reset() {
      requests.length = 0
      before = await world.chain.transfers({ from })
    },
    async passed() {
      const now = await world.chain.transfers({ from })
      return { gateway: requests.length, payments: now.length - before.length }
    },
    async spentUsd() {
      const now = (await world.chain.transfers({ from })).slice(before.length)
      return Number(now.reduce((sum, { value }) => sum + value, 0n)) / unit
    },
    async close() {
      await tight.close()
      await gateway.close()
      await failing.close()
      await world.close()
    },
  }
}
