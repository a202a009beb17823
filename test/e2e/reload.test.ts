/** The configuration of a running gateway is read again: with the real ledger, signer and audit file, and a scripted seller. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { pino } from 'pino'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import { parseConfig } from '../../src/app/config/load.ts'
import type { Gateway } from '../../src/app/gateway/gateway.ts'
import { run as command } from '../../src/app/cli/run.ts'
import { FakeTerminal } from '../cli/fake-terminal.ts'
import { ask, errorOf, startGateway, type TestGateway } from '../kit/gateway.ts'
import { completion, RECEIPT } from '../kit/seller-answers.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'

/** Asks a tenth of a cent for anything. */
let seller: ScriptedSeller
let gateway: TestGateway | undefined
const logged: string[] = []

const ADMIN = 'the-admin-key-of-this-test'
const WALLET = '${env:RELOAD_WALLET}'

beforeAll(async () => {
  seller = await startScriptedSeller()
})
afterEach(async () => {
  await gateway?.close()
  gateway = undefined
  logged.length = 0
  seller.follow({})
})
afterAll(async () => {
  await seller?.close()
})

const ALL = { name: 'all', limit_usd: '0.002', window: 'day' }
const base = () => ({
  admin: { key: '${env:RELOAD_ADMIN}' },
  payers: { base: { kind: 'direct', key: WALLET, networks: ['base-sepolia'] } },
  model_list: [{ model_name: 'paid/*', model: '*', api_base: seller.apiBase, payer: 'base' }],
  budgets: [ALL],
})

/** Opens a gateway; `next` is what it finds when it reads its configuration again. */
async function open(config: object = base()): Promise<{ next: object; reload(): Promise<Response> }> {
  process.env['RELOAD_WALLET'] = localAccounts().buyer.privateKey
  process.env['RELOAD_ADMIN'] = ADMIN
  process.env['RELOAD_KEY'] = 'sk-upstream-key-before'
  const file = { next: config }
  const log = pino({ level: 'info' }, { write: (line: string) => void logged.push(line) })
  const opened = await startGateway(config, {
    log,
    readConfig: () => {
      const { store, audit } = opened.gateway.parts.config
      const fixed = { listen: '127.0.0.1:0', store, audit: { path: audit.path } }
      return parseConfig({ ...fixed, ...file.next }, process.env, { again: true })
    },
  })
  gateway = opened
  return Object.assign(file, {
    reload: () =>
      fetch(`${opened.url}/admin/reload`, { method: 'POST', headers: { authorization: `Bearer ${ADMIN}` } }),
  })
}

let asked = 0
const call = async (model = 'paid/bare'): Promise<Response> =>
  await ask(gateway?.url ?? '', { model, seed: asked++ })
const records = async (type: string) => (await gateway?.audit())?.filter((record) => record['type'] === type)

describe('POST /admin/reload', () => {
  test('applies budgets, routes and policy at once, and what was spent stays spent', async () => {
    const file = await open()
    expect([(await call()).status, (await call()).status, (await call()).status]).toEqual([200, 200, 402])
    file.next = { ...base(), budgets: [{ ...ALL, limit_usd: '0.003' }] }
    const answer = await file.reload()
    expect(answer.status).toBe(200)
    expect(await answer.json()).toMatchObject({ changed: ['budgets.all.limit_usd'] })
    expect([(await call()).status, (await call()).status]).toEqual([200, 402])

    file.next = { ...base(), budgets: [], policy: { max_usd_per_request: '0.0001' } }
    await file.reload()
    expect((await errorOf(await call())).code).toBe('price_above_limit')
    file.next = { ...base(), model_list: [] }
    await file.reload()
    expect((await errorOf(await call())).code).toBe('model_not_found')
    file.next = { ...base(), budgets: [] }
    await file.reload()
    expect((await call()).status).toBe(200)
  })

  test('applies callers: a new key opens, a removed one is refused', async () => {
    process.env['RELOAD_A'] = 'key-of-caller-a'
    process.env['RELOAD_B'] = 'key-of-caller-b'
    const caller = (id: string) => ({ id, key: `\${env:RELOAD_${id.toUpperCase()}}` })
    const file = await open({ ...base(), callers: [caller('a')] })
    const as = async (id: string) =>
      (
        await ask(
          gateway?.url ?? '',
          { model: 'paid/bare', seed: asked++ },
          { authorization: `Bearer key-of-caller-${id}` },
        )
      ).status
    expect([await as('a'), await as('b')]).toEqual([200, 401])
    file.next = { ...base(), callers: [caller('b')] }
    expect(await (await file.reload()).json()).toMatchObject({ changed: ['callers.a', 'callers.b'] })
    expect([await as('a'), await as('b')]).toEqual([401, 200])
  })

  test('changes nothing for a mistake, and says why in the words of check', async () => {
    const file = await open()
    file.next = { ...base(), budgets: [{ ...ALL, limit_usd: 'five' }], model_list: [] }
    const answer = await file.reload()
    expect(answer.status).toBe(400)
    const error = await errorOf(answer)
    expect(error.code).toBe('config_invalid')
    expect(() => parseConfig(file.next, process.env, { again: true })).toThrow(error.message.split('\n')[1])
    expect([(await call()).status, (await call()).status, (await call()).status]).toEqual([200, 200, 402])
    expect(await records('config.reloaded')).toEqual([])
    expect(await records('config.refused')).toMatchObject([
      { cause: 'admin', reason: expect.stringContaining('limit_usd') },
    ])
    expect(await gateway?.metric('tollway_config_last_reload_successful')).toBe(0)
    expect(await gateway?.metric('tollway_config_reloads_total', { result: 'refused' })).toBe(1)
  })

  test('names what needs a restart, and applies nothing of the rest', async () => {
    const file = await open()
    file.next = {
      ...base(),
      store: 'memory',
      payers: { base: { kind: 'direct', key: WALLET, networks: ['base'] } },
      budgets: [{ ...ALL, limit_usd: '9' }],
    }
    const error = await errorOf(await file.reload())
    expect(error.code).toBe('restart_required')
    expect(error.message).toContain('payers.base.networks, store')
    expect([(await call()).status, (await call()).status, (await call()).status]).toEqual([200, 200, 402])
  })

  test('refuses to count another unit under the name of a budget', async () => {
    const file = await open()
    file.next = { ...base(), budgets: [{ name: 'all', limit_tokens: 1000, window: 'day' }] }
    const error = await errorOf(await file.reload())
    expect(error).toMatchObject({ code: 'config_invalid', message: expect.stringContaining('another name') })
  })

  test('rule 9: changes nothing while the audit file cannot be written', async () => {
    const file = await open()
    file.next = { ...base(), budgets: [{ ...ALL, limit_usd: '9' }] }
    const { audit } = gateway?.gateway.parts ?? {}
    const append = audit?.append.bind(audit)
    if (audit) Object.assign(audit, { append: () => Promise.reject(new Error('disk full')) })
    expect((await file.reload()).status).toBe(500)
    if (audit) Object.assign(audit, { append })
    expect([(await call()).status, (await call()).status, (await call()).status]).toEqual([200, 200, 402])
  })

  test('records old and new hash and the differing keys, but no secret', async () => {
    const upstream = { api_base: seller.apiBase, api_key: '${env:RELOAD_KEY}' }
    const file = await open({ ...base(), upstream })
    process.env['RELOAD_KEY'] = 'sk-upstream-key-after'
    file.next = { ...base(), upstream, budgets: [{ ...ALL, limit_usd: '9' }] }
    const { hash, previous_hash } = (await (await file.reload()).json()) as Record<string, string>
    expect(hash).not.toBe(previous_hash)
    const found = await records('config.reloaded')
    expect(found).toMatchObject([
      {
        cause: 'admin',
        config_hash: hash,
        previous_config_hash: previous_hash,
        changed: ['budgets.all.limit_usd', 'upstream.api_key'],
        changed_keys: 2,
      },
    ])
    expect(JSON.stringify([found, logged])).not.toMatch(/sk-upstream/)
    expect(await gateway?.metric('tollway_config_info', { hash: hash?.slice(0, 12) ?? '' })).toBe(1)
    expect(await gateway?.metric('tollway_config_info', { hash: previous_hash?.slice(0, 12) ?? '' })).toBe(0)
  })

  test('is asked for by `tollway reload`, with the admin key of the file', async () => {
    const file = await open()
    const { store, audit } = gateway?.gateway.parts.config ?? { store: '', audit: { path: '' } }
    file.next = { ...base(), budgets: [{ ...ALL, limit_usd: '9' }] }
    const path = join(gateway?.directory ?? '', 'tollway.yaml')
    await writeFile(
      path,
      JSON.stringify({ listen: '127.0.0.1:0', store, audit: { path: audit.path }, ...file.next }),
    )
    const run = async (...args: string[]) => {
      const terminal = new FakeTerminal({
        RELOAD_WALLET: localAccounts().buyer.privateKey,
        RELOAD_ADMIN: ADMIN,
      })
      const code = await command(['reload', '--config', path, '--url', gateway?.url ?? '', ...args], terminal)
      return { code, ...terminal }
    }
    expect(await run()).toMatchObject({
      code: 0,
      out: 'The configuration was reloaded. It differs in:\n  budgets.all.limit_usd\n',
    })
    const again = await run('--json')
    expect(JSON.parse(again.out)).toMatchObject({
      changed: [],
      hash: expect.stringMatching(/^[0-9a-f]{64}$/),
    })
    file.next = { ...base(), budgets: [{ ...ALL, limit_usd: 'nine' }] }
    const refused = await run()
    expect(refused.code).toBe(1)
    expect(refused.err).toContain('limit_usd')
    const unreached = await run('--url', 'http://127.0.0.1:1')
    expect(unreached).toMatchObject({ code: 2, err: expect.stringContaining('No gateway answers') })
  })

  test('needs the admin key', async () => {
    await open()
    for (const headers of [{}, { authorization: 'Bearer wrong' }]) {
      const answer = await fetch(`${gateway?.url}/admin/reload`, { method: 'POST', headers })
      expect(answer.status).toBe(401)
    }
  })
})

describe('Gateway.reload()', () => {
  const next = (config: object): Parameters<Gateway['reload']>[0] => {
    const { store, audit } = gateway?.gateway.parts.config ?? { store: '', audit: { path: '' } }
    const fixed = { listen: '127.0.0.1:0', store, audit: { path: audit.path } }
    return parseConfig({ ...fixed, ...config }, process.env, { again: true })
  }

  test('lets a running request finish under the old configuration, with its budgets', async () => {
    await open({ ...base(), budgets: [{ ...ALL, limit_usd: '9' }] })
    const [arrived, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    seller.follow({
      async paid() {
        arrived.resolve()
        await released.promise
        return completion({}, RECEIPT)
      },
    })
    const running = call()
    await arrived.promise
    await gateway?.gateway.reload(next({ ...base(), model_list: [], budgets: [] }))
    expect((await errorOf(await call())).code).toBe('model_not_found')
    released.resolve()
    expect((await running).status).toBe(200)
    expect(await gateway?.gateway.parts.ledger.store.charges()).toMatchObject([{ state: 'settled' }])
  })

  test('rule 5: a repeat of a request from before a reload is not paid again', async () => {
    await open()
    const body = { model: 'paid/bare', seed: 'same' }
    const key = { 'idempotency-key': 'one' }
    expect((await ask(gateway?.url ?? '', body, key)).status).toBe(200)
    const paid = seller.payments.length
    await gateway?.gateway.reload(next({ ...base(), budgets: [{ ...ALL, limit_usd: '9' }] }))
    expect((await ask(gateway?.url ?? '', body, key)).status).toBe(200)
    expect(seller.payments.length).toBe(paid)
  })

  test('says that nothing differs', async () => {
    await open()
    expect(await gateway?.gateway.reload(next(base()))).toMatchObject({ changed: [] })
    expect(await records('config.reloaded')).toEqual([])
    expect(await gateway?.metric('tollway_config_reloads_total', { result: 'unchanged' })).toBe(1)
  })
})
