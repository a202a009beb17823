/**
 * The real OpenClaw, headless, through a paid route: official seller and facilitator on a local chain. Its model is the
 * sandbox's, which calls a tool when it is told to; everything else is OpenClaw as its users run it.
 */
import { readFileSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { startWorld, type World } from '../../src/app/sandbox/world.ts'
import { tollway } from '../cli/tollway.ts'
import { configFile } from '../config/config-file.ts'
import { startGateway, walletPayer, type TestGateway } from '../kit/gateway.ts'
import { openClawHome, type OpenClaw } from './openclaw.ts'

/** A tenth of a cent, what the sandbox's sellers ask. */
const PRICE_USD = 0.001

let world: World
let gateway: TestGateway
let claw: OpenClaw | undefined
/** How far the gateway's clock is ahead: budgets turn over when a test moves it. */
let ahead = 0

beforeAll(async () => {
  process.env['OPENCLAW_TEST_KEY'] = 'caller-key'
  world = await startWorld()
})
afterAll(async () => {
  await world?.close()
})
afterEach(async () => {
  claw?.remove()
  claw = undefined
  ahead = 0
  await gateway?.close()
})

async function start(budgets: readonly object[] = []): Promise<void> {
  const config = {
    callers: [{ id: 'openclaw', key: '${env:OPENCLAW_TEST_KEY}', models: ['*'] }],
    payers: { base: walletPayer(world.chain) },
    model_list: [
      {
        model_name: 'paid/sandbox-small',
        model: 'sandbox-small',
        api_base: world.streamingSeller.apiBase,
        payer: 'base',
      },
    ],
    budgets,
    tags: { declared: ['agent:main'] },
  }
  gateway = await startGateway(config, { clock: { now: () => Date.now() + ahead } })
}

/** OpenClaw with the gateway in its configuration, put there by our own command. */
async function install(kind: 'provider' | 'litellm' | 'clawrouter'): Promise<OpenClaw> {
  claw = openClawHome({ models: { mode: 'merge' } })
  const config = configFile(
    `callers: [{ id: openclaw, key: "\${env:K}" }]
payers: { base: { kind: direct, key: "\${env:W}", networks: [base-sepolia] } }
model_list: [{ model_name: paid/sandbox-small, api_base: https://seller.example.com/v1, payer: base }]
`,
  )
  const args = ['--config', config, '--url', gateway.url, '--file', claw.file, '--kind', kind]
  const done = await tollway(
    ['init', 'openclaw', ...args, '--write', '--primary', 'paid/sandbox-small', '--key-variable', 'CLAW_KEY'],
    { env: { K: 'k', W: `0x${'1'.repeat(64)}` } },
  )
  expect(done).toMatchObject({ code: 0, stderr: '' })
  return claw
}

/** One agent turn. */
async function turn(prompt: string): Promise<Record<string, unknown>> {
  if (claw === undefined) throw new Error('OpenClaw is not installed yet')
  const args = ['agent', 'exec', prompt, '--timeout', '90', '--json']
  const { stdout, stderr } = await claw.run(args, { CLAW_KEY: 'caller-key' })
  const at = stdout.indexOf('{')
  if (at < 0) throw new Error(`OpenClaw said nothing: ${stderr.slice(-2000)}`)
  return JSON.parse(stdout.slice(at)) as Record<string, unknown>
}

const settled = async () => await gateway.gateway.parts.ledger.store.charges({ states: ['settled'] })

test('a turn with a tool call is paid on the chain, and OpenClaw shows the cost of the ledger', async () => {
  await start()
  await install('provider')
  const before = await world.chain.transfers({ from: world.chain.accounts.buyer.address })
  const result = await turn('Call exec with {"command":"echo tool-ran-here"}')
  expect(result).toMatchObject({ ok: true })
  expect(JSON.stringify(result['final'] ?? result['payloads'])).toContain('tool-ran-here')
  const charges = await settled()
  expect(charges).toHaveLength(2)
  expect(result['costUsd']).toBeCloseTo(charges.length * PRICE_USD, 9)
  const after = await world.chain.transfers({ from: world.chain.accounts.buyer.address })
  expect(after.length - before.length).toBe(2)
})

test('a budget stop is shown word for word, and the turn of the next day works', async () => {
  await start([{ name: 'today', limit_usd: '0.001', window: 'day' }])
  await install('provider')
  expect(await turn('Say one.')).toMatchObject({ ok: true })
  const stopped = await turn('Say two.')
  expect(stopped['ok']).toBe(false)
  expect(JSON.stringify(stopped)).toContain('Daily spending limit reached: budget today')
  ahead = 24 * 3_600_000
  expect(await turn('Say three.')).toMatchObject({ ok: true })
  expect(await settled()).toHaveLength(2)
})

test('through the clawrouter contract it finds the models, tells agent and session, and shows usage and budget', async () => {
  await start([{ name: 'month', limit_usd: '5', window: 'month' }])
  const installed = await install('clawrouter')
  expect(await turn('Say one.')).toMatchObject({ ok: true })
  const { stdout } = await installed.run(['status', '--usage', '--json'], { CLAW_KEY: 'caller-key' })
  expect(stdout).toContain('1 requests')
  expect(stdout).toContain('"limit": 5')
  const [charge] = await settled()
  const record = (await gateway.audit()).find(
    (entry) => entry['charge'] === charge?.id && entry['type'] === 'charge.held',
  )
  expect(record).toMatchObject({ tags: expect.arrayContaining(['agent:main']) })
})

test("through OpenClaw's litellm preset, without /v1 in the address", async () => {
  await start()
  await install('litellm')
  expect(await turn('Say one.')).toMatchObject({ ok: true })
  expect(await settled()).toHaveLength(1)
})

test('what init put in, undo takes out', async () => {
  await start()
  const installed = await install('provider')
  const done = await tollway(['init', 'openclaw', '--file', installed.file, '--undo'])
  expect(done.code).toBe(0)
  expect(JSON.parse(readFileSync(installed.file, 'utf8'))).toEqual({ models: { mode: 'merge' } })
  expect(readFileSync(installed.file, 'utf8')).not.toContain('tollway')
})
