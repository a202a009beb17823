/** What OpenClaw's ClawRouter provider reads: the catalogue of a caller's models, and its spending. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'
import { ask, startGateway, type TestGateway } from '../kit/gateway.ts'

const NOW = Date.UTC(2026, 10, 21, 12)

let seller: ScriptedSeller
let gateway: TestGateway

beforeAll(async () => {
  Object.assign(process.env, {
    CLAW_WALLET: localAccounts().buyer.privateKey,
    CLAW_KEY_A: 'key-a',
    CLAW_KEY_B: 'key-b',
    CLAW_KEY_C: 'key-c',
  })
  seller = await startScriptedSeller()
  const config = {
    callers: [
      { id: 'a', key: '${env:CLAW_KEY_A}', models: ['paid/*', 'known', 'team'] },
      { id: 'b', key: '${env:CLAW_KEY_B}', models: ['paid/one'] },
      { id: 'c', key: '${env:CLAW_KEY_C}', models: ['team'] },
    ],
    payers: { base: { kind: 'direct', key: '${env:CLAW_WALLET}', networks: ['base-sepolia'] } },
    model_list: [
      { model_name: 'paid/*', model: '*', api_base: seller.apiBase, payer: 'base' },
      { model_name: 'paid/qwen:7b', model: 'qwen:7b', api_base: seller.apiBase, payer: 'base' },
      { model_name: 'known', api_base: seller.apiBase, payer: 'base' },
      {
        model_name: 'team',
        api_base: seller.apiBase,
        payer: 'base',
        when: { callers: ['c'], headers: { 'x-team': 'blue' } },
        model_info: { input_usd_per_token: '0.000001' },
      },
    ],
    budgets: [
      { name: 'today', limit_usd: '0.01', window: 'day' },
      { name: 'all', limit_usd: '9', window: 'month' },
      { name: 'each', per: 'caller', limit_usd: '2', window: 'month' },
      { name: 'watched', limit_usd: '0.001', window: 'month', enforce: false },
    ],
  }
  gateway = await startGateway(config, { clock: { now: () => NOW } })
})
afterAll(async () => {
  await gateway?.close()
  await seller?.close()
})

const read = async (path: string, key: string): Promise<Response> =>
  await fetch(`${gateway.url}${path}`, { headers: { authorization: `Bearer ${key}` } })

describe('GET /v1/catalog', () => {
  test('lists the models of the caller by name, in the form OpenClaw takes, and no pattern', async () => {
    const answer = await read('/v1/catalog', 'key-a')
    expect(answer.headers.get('cache-control')).toBe('no-store')
    const { providers } = (await answer.json()) as { providers: { models: { id: string }[] }[] }
    expect(providers).toHaveLength(1)
    expect(providers[0]).toMatchObject({ openaiCompatible: true, nativeBaseUrl: '/v1/native/tollway' })
    expect(providers[0]?.models).toEqual(
      ['paid/qwen:7b', 'known'].map((id) => ({
        id,
        upstream: id,
        displayName: id,
        capabilities: ['llm.chat'],
      })),
    )
  })

  test('names what a caller may use of a pattern, and nothing of other callers', async () => {
    const { providers } = (await (await read('/v1/catalog', 'key-b')).json()) as {
      providers: { models: { id: string }[] }[]
    }
    expect(providers[0]?.models.map(({ id }) => id)).toEqual(['paid/one'])
  })

  test('has a route for some callers and headers where they hold, with its price, and nowhere else', async () => {
    const listed = async (key: string, team: string): Promise<{ id: string; pricing?: object }[]> => {
      const headers = { authorization: `Bearer ${key}`, 'x-team': team }
      const answer = await fetch(`${gateway.url}/v1/catalog`, { headers })
      const { providers } = (await answer.json()) as { providers: { models: { id: string }[] }[] }
      return providers[0]?.models ?? []
    }
    expect(await listed('key-c', 'blue')).toMatchObject([
      { id: 'team', pricing: { inputMicrosPerMillion: 1_000_000 } },
    ])
    expect(await listed('key-c', 'red')).toEqual([])
    expect((await listed('key-a', 'blue')).map(({ id }) => id)).not.toContain('team')
  })

  test('asks for the key', async () => {
    expect((await read('/v1/catalog', 'nobody')).status).toBe(401)
    expect((await read('/v1/usage', 'nobody')).status).toBe(401)
  })
})

describe('GET /v1/usage', () => {
  test('tells each caller what it bought this month, beside the monthly budget with the least left', async () => {
    const auth = { authorization: 'Bearer key-a' }
    expect((await ask(gateway.url, { model: 'known', seed: 1 }, auth)).status).toBe(200)
    expect((await ask(gateway.url, { model: 'paid/x', seed: 2 }, auth)).status).toBe(200)
    const usage = (await (await read('/v1/usage', 'key-a')).json()) as object
    expect(usage).toEqual({
      budget: { configured: true, limitMicros: 2_000_000, spentMicros: 2_000, windowKey: 'each/2026-11' },
      usage: { summary: { requestCount: 2, totalTokens: expect.any(Number), actualCostMicros: 2_000 } },
    })
    expect(await (await read('/v1/usage', 'key-b')).json()).toEqual({
      budget: { configured: true, limitMicros: 2_000_000, spentMicros: 0, windowKey: 'each/2026-11' },
      usage: { summary: { requestCount: 0, totalTokens: 0, actualCostMicros: 0 } },
    })
  })

  test('counts the tokens of the answers', async () => {
    const { usage } = (await (await read('/usage', 'key-a')).json()) as {
      usage: { summary: { totalTokens: number } }
    }
    expect(usage.summary.totalTokens).toBeGreaterThan(0)
  })
})
