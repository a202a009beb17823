/** 100 calls at once under a budget that has room for five: how many are answered, and what was spent. */
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { pino } from 'pino'
import { parseConfig } from '../../src/app/config/load.ts'
import { createGateway } from '../../src/app/gateway/gateway.ts'
import { startWorld } from '../../src/app/sandbox/world.ts'
import type { Part } from '../child.ts'
import { WORK_DIRECTORY } from '../work-directory.ts'
import type { NeighboursResult } from './result.ts'
import { LITELLM_KEY, startLitellm } from './start-peers.ts'

const CALLS = 100
const PRICE_MICRO_USD = 180_000
const LIMIT_MICRO_USD = 1_000_000
const ROUNDS = 3

type Burst = NeighboursResult['budget']['rounds'][number]['tollway']

/** @param upstream answers each call after half a second, and says what it cost */
export async function measureBudget(upstream: Part<{ url: string }>): Promise<NeighboursResult['budget']> {
  const rounds: NeighboursResult['budget']['rounds'] = []
  for (let round = 0; round < ROUNDS; round++) {
    rounds.push({ tollway: await tollwayBurst(), litellm: await litellmBurst(upstream) })
  }
  return { calls: CALLS, priceMicroUsd: PRICE_MICRO_USD, limitMicroUsd: LIMIT_MICRO_USD, rounds }
}

/** Paid on a chain: what was spent is what its transfers say. */
async function tollwayBurst(): Promise<Burst> {
  const world = await startWorld({ priceUsd: '$0.18' })
  const directory = await mkdtemp(WORK_DIRECTORY)
  process.env['TOLLWAY_BENCH_BUDGET_KEY'] = world.chain.accounts.buyer.privateKey
  const config = parseConfig(
    {
      listen: '127.0.0.1:0',
      store: `sqlite:${join(directory, 'tollway.db')}`,
      audit: { path: join(directory, 'audit.jsonl') },
      payers: {
        base: { kind: 'direct', key: '${env:TOLLWAY_BENCH_BUDGET_KEY}', networks: ['base-sepolia'] },
      },
      model_list: [{ model_name: 'slow', api_base: world.seller.apiBase, payer: 'base' }],
      budgets: [{ name: 'all', limit_usd: '1.00', window: 'day' }],
      policy: { max_usd_per_request: '0.20' },
    },
    process.env,
  )
  const gateway = await createGateway(config, { log: pino({ level: 'silent' }) })
  try {
    const { url } = await gateway.listen()
    const burst = await burstOf(`${url}/v1/chat/completions`, 'unused')
    const { chain } = world
    const spent = (await chain.transfers({ from: chain.accounts.buyer.address })).reduce(
      (sum, { value }) => sum + value,
      0n,
    )
    // USDC has six decimals: an atomic unit is a micro-dollar.
    return { ...burst, spentMicroUsd: Number(spent) }
  } finally {
    await gateway.close()
    await rm(directory, { recursive: true, force: true })
    await world.close()
  }
}

/** The budget that LiteLLM has without a database; it reads each call's cost from the answer, as it does with Tollway's. */
async function litellmBurst(upstream: Part<{ url: string }>): Promise<Burst> {
  const litellm = await startLitellm({
    model_list: [
      {
        model_name: 'slow',
        litellm_params: { model: 'openai/slow', api_base: `${upstream.facts.url}/v1`, api_key: 'unused' },
      },
    ],
    router_settings: {
      num_retries: 0,
      provider_budget_config: { openai: { budget_limit: LIMIT_MICRO_USD / 1_000_000, time_period: '1d' } },
    },
  })
  try {
    const before = await upstream.ask('answered')
    const burst = await burstOf(`${litellm.url}/v1/chat/completions`, LITELLM_KEY)
    const answered = (await upstream.ask('answered')) - before
    return { ...burst, spentMicroUsd: answered * PRICE_MICRO_USD }
  } finally {
    await litellm.close()
  }
}

async function burstOf(url: string, key: string): Promise<Omit<Burst, 'spentMicroUsd'>> {
  const call = async (n: number): Promise<number> => {
    const answer = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
      body: JSON.stringify({ model: 'slow', messages: [{ role: 'user', content: `call ${n}` }] }),
    })
    await answer.arrayBuffer()
    return answer.status
  }
  const statuses = await Promise.all(Array.from({ length: CALLS }, (_, n) => call(n)))
  // LiteLLM books behind the answer, and writes its sums together every second.
  await pause(3_000)
  return { answered: statuses.filter((status) => status === 200).length, next: await call(CALLS) }
}
