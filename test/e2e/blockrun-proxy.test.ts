import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { blockrunSettings } from '../../src/app/blockrun/settings.ts'
import { openBlockrun, type BlockrunGateway } from '../../src/app/blockrun/open.ts'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import { agentcashHome } from '../kit/agentcash-home.ts'
import { freePort } from '../kit/free-port.ts'
import { challengeV2, receiptV2, send } from '../kit/seller-answers.ts'
import { startScriptedSeller } from '../kit/scripted-seller.ts'
import { offerV2 } from '../kit/quotes.ts'

const cleanup: (() => Promise<void>)[] = []
afterEach(async () => {
  vi.unstubAllEnvs()
  for (const end of cleanup.splice(0).toReversed()) await end()
})

async function start(
  env: Record<string, string>,
): Promise<{ url: string; home: string; gateway: BlockrunGateway }> {
  const home = await agentcashHome(localAccounts().buyer)
  cleanup.push(() => home.close())
  const port = await freePort()
  const log = pino({ level: 'silent' })
  const gateway = await openBlockrun({ PORT: String(port), ...env }, { log }, home.path)
  cleanup.push(() => gateway.close())
  const { url } = await gateway.listen()
  expect(url).toBe(`http://127.0.0.1:${port}`)
  return { url, home: home.path, gateway }
}

const chat = (url: string, body: object): Promise<Response> =>
  fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ messages: [{ role: 'user', content: 'Reply with one sentence.' }], ...body }),
  })

const TIME = expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/) as unknown

/** The lines of a log in the proxy's own form. */
const logOf = (path: string): unknown[] =>
  readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown)

const model = 'google/gemini-3-flash-preview'

describe('the calls of blockrun-openclaw-proxy', () => {
  test('pay BlockRun with the wallet, under the daily budget, and /health tells of it in its shape', async () => {
    const seller = await startScriptedSeller(({ headers }, response) => {
      if (headers['payment-signature'] === undefined) {
        return send(response, challengeV2([{ ...offerV2, amount: '20000' }]))
      }
      const receipt = receiptV2({
        success: true,
        transaction: `0x${'1'.repeat(64)}`,
        network: 'eip155:84532',
      })
      const answer = {
        object: 'chat.completion',
        choices: [{ message: { role: 'assistant', content: 'yes' } }],
      }
      const type = { 'content-type': 'application/json' }
      send(response, { status: 200, headers: { ...type, ...receipt }, body: JSON.stringify(answer) })
    })
    cleanup.push(() => seller.close())
    vi.stubEnv('X402_PRIVATE_KEY', localAccounts().buyer.privateKey)
    const chatUrl = `${seller.apiBase}/chat/completions`
    const { url, home, gateway } = await start({
      X402_PRIVATE_KEY: process.env['X402_PRIVATE_KEY'] ?? '',
      BLOCKRUN_CHAT_URL: chatUrl,
      BLOCKRUN_PAYMENT_NETWORK: 'base-sepolia',
      BLOCKRUN_DAILY_BUDGET_USD: '0.03',
      BLOCKRUN_MAX_USD_PER_REQUEST: '0.02',
    })
    const answer = await chat(url, { model, max_tokens: 32, temperature: 0 })
    expect(answer.status).toBe(200)
    expect(gateway.note).toBe(
      `live: ${localAccounts().buyer.address.toLowerCase()} pays ${new URL(chatUrl).host} on base-sepolia, at most $0.03 a day and $0.02 a request`,
    )
    expect(answer.headers.get('x-blockrun-proxy-booked-cost-usd')).toBe('0.02')
    expect(answer.headers.get('x-blockrun-proxy-spent-today-usd')).toBe('0.02')
    expect(await answer.json()).toMatchObject({ choices: [{ message: { content: 'yes' } }] })
    expect(seller.requests[0]?.url).toBe('/v1/chat/completions')
    for (const path of ['/health', '/v1/health']) {
      expect(await (await fetch(`${url}${path}`)).json()).toEqual({
        ok: true,
        dry_run: false,
        blockrun_url: chatUrl,
        models: expect.arrayContaining([model]),
        spent_today_usd: 0.02,
        daily_budget_usd: 0.03,
        max_usd_per_request: 0.02,
      })
    }
    const refused = await chat(url, { model, max_tokens: 33 })
    expect(refused.status).toBe(402)
    expect(JSON.stringify(await refused.json())).toContain('Daily spending limit reached')
    const listed = (await (await fetch(`${url}/v1/models`)).json()) as { data: { id: string }[] }
    expect(listed.data.map(({ id }) => id)).toContain(model)
    expect(readdirSync(join(home, '.openclaw', 'blockrun-proxy'))).toEqual(
      expect.arrayContaining(['tollway.db', 'tollway-audit.jsonl']),
    )
    await gateway.close()
    expect(logOf(join(home, '.openclaw', 'blockrun-proxy', 'audit.jsonl'))).toEqual([
      {
        ts: TIME,
        event: 'chat_completion',
        model,
        dryRun: false,
        streamed: false,
        durationMs: expect.any(Number),
        actualCostUsd: 0.02,
        bookedCostUsd: 0.02,
        paymentNetwork: 'base-sepolia',
        receiptRef: `0x${'1'.repeat(64)}`,
        spentTodayUsd: 0.02,
      },
      {
        ts: TIME,
        event: 'budget_reject',
        model,
        spentToday: 0.02,
        spentTodayUsd: 0.02,
        dailyBudgetUsd: 0.03,
        estimatedCost: 0.02,
      },
    ])
  })

  test('a failing seller and a mistake of the client: the first is in the log of that form, with what it may have cost', async () => {
    const seller = await startScriptedSeller(({ headers }, response) => {
      const isPaid = headers['payment-signature'] !== undefined
      send(
        response,
        isPaid
          ? { status: 500, headers: {}, body: '{"error":"model overloaded"}' }
          : challengeV2([{ ...offerV2, amount: '20000' }]),
      )
    })
    cleanup.push(() => seller.close())
    vi.stubEnv('X402_PRIVATE_KEY', localAccounts().buyer.privateKey)
    const home = await agentcashHome(localAccounts().buyer)
    cleanup.push(() => home.close())
    const path = join(home.path, 'logs', 'audit.jsonl')
    const { url, gateway } = await start({
      X402_PRIVATE_KEY: process.env['X402_PRIVATE_KEY'] ?? '',
      BLOCKRUN_CHAT_URL: `${seller.apiBase}/chat/completions`,
      BLOCKRUN_PAYMENT_NETWORK: 'base-sepolia',
      BLOCKRUN_AUDIT_LOG: path,
    })
    const answer = await chat(url, { model })
    expect([answer.status, answer.headers.get('x-blockrun-proxy-booked-cost-usd')]).toEqual([400, null])
    expect((await chat(url, { model: 'not/listed' })).status).toBe(404)
    await gateway.close()
    expect(logOf(path)).toEqual([
      {
        ts: TIME,
        event: 'upstream_error',
        model,
        durationMs: expect.any(Number),
        error: 'model overloaded',
        bookedCostUsd: 0.02,
        spentTodayUsd: 0.02,
      },
    ])
  })

  test('a log that cannot be written stops nothing', async () => {
    const { url, home, gateway } = await start({ BLOCKRUN_DRY_RUN: '1' })
    mkdirSync(join(home, '.openclaw', 'blockrun-proxy', 'audit.jsonl'))
    const warn = vi.spyOn(gateway.log, 'warn')
    expect((await chat(url, { model })).status).toBe(200)
    await gateway.close()
    expect(warn).toHaveBeenCalledWith(expect.anything(), 'BLOCKRUN_AUDIT_LOG cannot be written')
  })

  test('without a wallet it does not start, and names the variable that gives one', async () => {
    vi.stubEnv('HOME', '/nowhere')
    await expect(start({})).rejects.toThrow(
      /^X402_PRIVATE_KEY is not set, and AgentCash's wallet cannot pay instead\. .*wallet\.json.* USDC on base, or BLOCKRUN_DRY_RUN=1/,
    )
  })

  test('with BLOCKRUN_DRY_RUN=1 answer without a wallet and without BlockRun, streams too', async () => {
    const { url, home, gateway } = await start({ BLOCKRUN_DRY_RUN: '1', BLOCKRUN_MODELS: 'a/b, c/d' })
    expect(gateway.note).toMatch(/^dry run: .* nothing is paid/)
    const answer = await chat(url, { model: 'a/b' })
    expect(answer.headers.get('x-blockrun-proxy-booked-cost-usd')).toBe('0')
    expect(await answer.json()).toMatchObject({ object: 'chat.completion', model: 'a/b' })
    const stream = await chat(url, { model: 'c/d', stream: true })
    expect(stream.headers.get('content-type')).toContain('text/event-stream')
    expect(await stream.text()).toMatch(/dry run ok[\s\S]*data: \[DONE\]/)
    expect((await chat(url, { model })).status).toBe(404)
    expect(await (await fetch(`${url}/health`)).json()).toMatchObject({
      dry_run: true,
      models: ['a/b', 'c/d'],
    })
    await gateway.close()
    expect(logOf(join(home, '.openclaw', 'blockrun-proxy', 'audit.jsonl'))).toMatchObject([
      { event: 'chat_completion', model: 'a/b', dryRun: true, streamed: false, actualCostUsd: 0 },
      { event: 'chat_completion', model: 'c/d', dryRun: true, streamed: true, paymentNetwork: null },
    ])
  })
})

describe('the variables of blockrun-openclaw-proxy', () => {
  test('have its defaults', () => {
    expect(blockrunSettings({}, '/var/lib/me')).toMatchObject({
      host: '127.0.0.1',
      port: '8787',
      chatUrl: 'https://blockrun.ai/api/v1/chat/completions',
      dailyBudgetUsd: '1.00',
      maxUsdPerRequest: '0.05',
      network: 'base',
      timeoutSeconds: 180,
      ledgerPath: '/var/lib/me/.openclaw/blockrun-proxy/tollway.db',
    })
  })

  test.each([
    ['BLOCKRUN_DAILY_BUDGET_USD', 'lots'],
    ['BLOCKRUN_MAX_USD_PER_REQUEST', '-1'],
    ['BLOCKRUN_CHAT_URL', 'https://blockrun.ai/api/v1'],
    ['BLOCKRUN_TIMEOUT_MS', '0'],
  ])('are refused by name when they are wrong: %s=%s', (name, value) => {
    expect(() => blockrunSettings({ [name]: value })).toThrow(name)
  })

  test('are named when the port is taken', async () => {
    const other = await startScriptedSeller((_request, response) => void response.end())
    cleanup.push(() => other.close())
    await expect(start({ BLOCKRUN_DRY_RUN: '1', PORT: new URL(other.apiBase).port })).rejects.toThrow(
      'choose another address with HOST and PORT',
    )
  })

  test.each([
    ['HOST or PORT', { PORT: 'many' }],
    ['BLOCKRUN_PAYMENT_NETWORK', { BLOCKRUN_PAYMENT_NETWORK: 'moon' }],
    ['BLOCKRUN_MODELS', { BLOCKRUN_MODELS: 'a b' }],
    ['BLOCKRUN_CHAT_URL', { BLOCKRUN_CHAT_URL: 'ftp://blockrun.ai/chat/completions' }],
  ])('are named too where the configuration made of them is wrong: %s', async (name, env) => {
    await expect(start(env)).rejects.toThrow(new RegExp(`^${name}: `))
  })
})
