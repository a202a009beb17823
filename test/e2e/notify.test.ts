/** Messages of a running gateway to a webhook on this machine: for paid and keyed calls, and never at a call's cost. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import { parseConfig } from '../../src/app/config/load.ts'
import { ask, startGateway, type TestGateway } from '../kit/gateway.ts'
import { ManualTimers } from '../kit/manual-timers.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'
import { challengeV2, completion, OFFER } from '../kit/seller-answers.ts'
import { startWebhookReceiver, status, WEBHOOK_SECRET } from '../kit/webhook-receiver.ts'

let upstream: ScriptedSeller
let seller: ScriptedSeller
let receiver: Awaited<ReturnType<typeof startWebhookReceiver>>
let gateway: TestGateway | undefined
let timers: ManualTimers
let lines: string
const byText = (a: string, b: string): number => (a < b ? -1 : 1)

beforeEach(async () => {
  Object.assign(process.env, {
    NOTIFY_WALLET: localAccounts().buyer.privateKey,
    NOTIFY_SECRET: WEBHOOK_SECRET,
  })
  lines = ''
  timers = new ManualTimers()
  receiver = await startWebhookReceiver()
  upstream = await startScriptedSeller(() => completion())
  seller = await startScriptedSeller({ unpaid: challengeV2([{ ...OFFER, amount: '180000' }]) })
})
afterEach(async () => {
  await gateway?.close()
  gateway = undefined
  await Promise.all([receiver.close(), upstream.close(), seller.close()])
})

function configured(more: object = {}): object {
  return {
    payers: { base: { kind: 'direct', key: '${env:NOTIFY_WALLET}', networks: ['base-sepolia'] } },
    model_list: [
      { model_name: 'paid/*', model: '*', api_base: seller.apiBase, payer: 'base' },
      { model_name: 'keyed', api_base: upstream.apiBase, model_info: { usd_per_request: '0.18' } },
    ],
    policy: { max_usd_per_request: '0.50' },
    budgets: [
      { name: 'all', limit_usd: '1.00', window: 'day' },
      { name: 'calls', limit_requests: 4, window: 'day', enforce: false },
    ],
    notify: { url: receiver.url, secret: '${env:NOTIFY_SECRET}', at: [0.5, 0.8, 1] },
    ...more,
  }
}

/** Opens a gateway; `next` is what it finds when it reads its configuration again. */
async function open(config: object = configured()) {
  const file = { next: config }
  const writeLog = (line: string): void => void (lines += line)
  const opened = await startGateway(config, {
    timers,
    writeLog,
    readConfig: () => {
      const { store, audit } = opened.gateway.parts.config
      const fixed = { listen: '127.0.0.1:0', store, audit: { path: audit.path } }
      return parseConfig({ ...fixed, ...file.next }, process.env, { again: true })
    },
  })
  gateway = opened
  return Object.assign(file, opened)
}

test('keyed and paid calls tell a webhook once of each level of each budget, signed, and of the first refusal', async () => {
  const opened = await open()
  const statuses: number[] = []
  for (let n = 0; n < 7; n += 1) {
    const answer = await ask(opened.url, { model: n % 2 === 0 ? 'keyed' : 'paid/x', seed: n })
    statuses.push(answer.status)
    await answer.text()
  }
  expect(statuses).toEqual([200, 200, 200, 200, 200, 402, 402])
  expect((await receiver.levels(5)).toSorted(byText)).toEqual([
    'budget.level all * 0.5',
    'budget.level all * 0.8',
    'budget.level calls * 0.5',
    'budget.level calls * 1',
    'budget.refused all * 1',
  ])
  expect(receiver.received.every(({ isSigned }) => isSigned)).toBe(true)
  expect(new Set(receiver.received.map(({ id }) => id)).size).toBe(5)
  await expect
    .poll(
      async () => await opened.metric('tollway_notifications_total', { kind: 'budget', result: 'delivered' }),
    )
    .toBe(5)
  const recorded = (await opened.audit()).filter(({ type }) => type === 'notify.delivered')
  expect(recorded.map(({ budget, level }) => `${String(budget)} ${String(level)}`).toSorted(byText)).toEqual([
    'all 0.5',
    'all 0.8',
    'all 1',
    'calls 0.5',
    'calls 1',
  ])
})

test('a webhook that takes nothing costs no call anything, and is told in log and audit file', async () => {
  receiver.answers.push(...Array.from({ length: 50 }, () => status(500)))
  const budgets = [{ name: 'all', limit_usd: '0.20', window: 'day' }]
  const opened = await open({ ...configured(), budgets })
  expect((await ask(opened.url, { model: 'keyed' })).status).toBe(200)
  await receiver.levels(1)
  await opened.gateway.close()
  const records = (await opened.audit()).filter(({ type }) => type === 'notify.kept')
  expect(records).toMatchObject([{ about: 'budget.level', budget: 'all', attempts: 1, why: 'status 500' }])
  expect(lines).toContain('was not delivered')
  expect(lines).not.toContain(WEBHOOK_SECRET)
})

test('a webhook that never answers holds up no call and no shutdown', async () => {
  receiver.answers.push(() => undefined)
  const opened = await open({ ...configured(), budgets: [{ name: 'all', limit_usd: '0.20', window: 'day' }] })
  expect((await ask(opened.url, { model: 'keyed' })).status).toBe(200)
  await receiver.levels(1)
  const closed = opened.gateway.close()
  await timers.fire(2_000)
  await closed
  const records = (await opened.audit()).filter(({ type }) => type === 'notify.kept')
  expect(records).toMatchObject([{ attempts: 1, why: 'not reached' }])
})

test('a reload takes levels and addresses into force, and what was told stays told', async () => {
  const file = await open()
  for (let n = 0; n < 3; n += 1) await (await ask(file.url, { model: 'keyed', seed: n })).text()
  await receiver.levels(2)
  const notify = {
    url: `${receiver.url}/b?token=abcdefghijklmnop`,
    secret: '${env:NOTIFY_SECRET}',
    at: ['0.5', '0.7'],
  }
  file.next = { ...configured(), notify }
  const { changed } = await file.gateway.reload()
  expect(changed).toEqual(['notify.at', 'notify.url'])
  await (await ask(file.url, { model: 'keyed', seed: 4 })).text()
  expect((await receiver.levels(4)).slice(2).toSorted(byText)).toEqual([
    'budget.level all * 0.7',
    'budget.level calls * 0.7',
  ])
  expect(receiver.received.at(-1)?.path).toBe('/hook/b?token=abcdefghijklmnop')
  const reloaded = (await file.audit()).find(({ type }) => type === 'config.reloaded')
  expect(JSON.stringify(reloaded)).not.toContain('abcdefghijklmnop')
})

test.each([
  ['no secret', { secret: undefined }, 'notify.secret'],
  ['a secret in plain text', { secret: 'written-right-into-the-file' }, 'notify.secret'],
  ['a level over the limit', { at: ['1.1'] }, 'a share of the limit above 0 and up to 1'],
  ['a level of nothing', { at: [0] }, 'a share of the limit above 0 and up to 1'],
  ['a percentage', { at: ['80%'] }, 'a share of the limit above 0 and up to 1'],
  ['no level', { at: [] }, 'notify.at'],
  ['a user in the address', { url: 'https://me:secret@ops.example.com/' }, 'without user name'],
  ['an address that is none', { url: 'ops.example.com/hook' }, 'must be an http:// or https:// address'],
])('notify with %s is refused', (_name, wrong, message) => {
  const notify = { url: 'https://ops.example.com/hook', secret: '${env:NOTIFY_SECRET}', ...wrong }
  expect(() => parseConfig({ notify }, process.env)).toThrow(message)
})
