/** Two gateways in one process, and one that is opened again: hot reload. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { Registry } from 'prom-client'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { generatePrivateKey, privateKeyToAddress } from 'viem/accounts'
import { createMetrics } from '../../middleware/index.ts'
import { tollway, type TollwayMiddleware, type TollwayOptions } from '../../src/app/embedding/tollway.ts'
import { toyPayer } from '../../src/testing/toy-payer.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'
import { post, serve } from './harness.ts'
import { EXPRESS } from './hosts.ts'

const CHAT = '/v1/chat/completions'
const log = pino({ level: 'silent' })

let directory: string
let seller: ScriptedSeller
const open: TollwayMiddleware[] = []

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tollway-several-'))
  seller = await startScriptedSeller()
})

afterEach(async () => {
  for (const middleware of open.splice(0)) await middleware.close()
  await seller.close()
  await rm(directory, { recursive: true, force: true })
})

async function mount(name: string, options: TollwayOptions, more: object = {}): Promise<TollwayMiddleware> {
  const config = {
    store: `sqlite:${join(directory, `${name}.db`)}`,
    audit: { path: join(directory, `${name}.jsonl`) },
    model_list: [{ model_name: `${name}/*`, api_base: seller.apiBase, payer: 'toy' }],
    ...more,
  }
  const middleware = await tollway(config, { payers: { toy: toyPayer() }, log, ...options })
  open.push(middleware)
  return middleware
}

it('two of them share an app, and a registry by a prefix: each counts its own payments', async () => {
  const registry = new Registry()
  const [a, b] = [await mount('a', { registry }), await mount('b', { registry, metricsPrefix: 'b_' })]
  for (const [at, host] of EXPRESS.entries()) {
    const app = host.app()
    app.use(a)
    app.use(b)
    const port = await serve(app)
    for (const model of ['a/m', 'b/m', 'b/n']) {
      expect((await post(port, CHAT, { model: `${model}${at}` })).headers['x-tollway-spent']).toBe('yes')
    }
  }
  await expect
    .poll(async () => {
      const paid = new Map<string, number>()
      for (const line of (await registry.metrics()).split('\n')) {
        const [, name, route, value] =
          /^(\w*tollway_requests_total)\{.*?route="(.).*outcome="paid".*\} (\d+)$/.exec(line) ?? []
        const key = `${name} ${route}`
        if (name !== undefined) paid.set(key, (paid.get(key) ?? 0) + Number(value))
      }
      return Object.fromEntries(paid)
    })
    .toEqual({ 'tollway_requests_total a': 2, 'b_tollway_requests_total b': 4 })
})

it('a second one without a prefix is refused with the fix, and leaves the first as it was', async () => {
  const registry = new Registry()
  await mount('a', { registry })
  await expect(mount('b', { registry })).rejects.toThrow(/registry has tollway_\w+ already.*metricsPrefix/)
  expect(() => createMetrics({ registry, prefix: '9 lives' })).toThrow(/cannot begin the name of a metric/)
  const text = await registry.metrics()
  expect(text.match(/^# TYPE tollway_requests_total /gm)).toHaveLength(1)
  await expect(mount('c', { registry, metricsPrefix: 'c_' })).resolves.toHaveProperty('name', 'tollway')
})

it('one that was closed can be opened again on the same registry, ledger and audit file', async () => {
  const registry = new Registry()
  for (let round = 1; round <= 2; round += 1) {
    const middleware = await mount('a', { registry })
    const port = await serve((req, res) => middleware(req, res, () => res.end('host')))
    expect((await post(port, CHAT, { model: 'a/m', messages: [round] })).status).toBe(200)
    await middleware.close()
  }
  expect(seller.payments).toHaveLength(2)
})

it('a key variable that was taken says by whom, and can be set and taken again', async () => {
  const name = 'SEVERAL_GATEWAYS_KEY'
  const more = { payers: { toy: { kind: 'direct', key: `\${env:${name}}`, networks: ['base-sepolia'] } } }
  const key = generatePrivateKey()
  process.env[name] = key
  const first = await mount('a', { payers: {} }, more)
  await expect(mount('b', { payers: {} }, more)).rejects.toThrow(
    `${privateKeyToAddress(key)} in this process, which is still open`,
  )
  await first.close()
  await expect(mount('b', { payers: {} }, more)).rejects.toThrow(
    `which is closed. Set process.env.${name} again`,
  )
  process.env[name] = key
  await expect(mount('b', { payers: {} }, more)).resolves.toHaveProperty('name', 'tollway')
})
