/** Calls that wait for a person: paid and keyed ones, decided by command, over HTTP or on the page, or by nobody. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import { run as command } from '../../src/app/cli/run.ts'
import { FakeTerminal } from '../cli/fake-terminal.ts'
import { launchChromium } from '../kit/chromium.ts'
import { errorOf, startGateway, type TestGateway } from '../kit/gateway.ts'
import { ManualTimers } from '../kit/manual-timers.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'
import { challengeV2, completion, OFFER } from '../kit/seller-answers.ts'
import { startWebhookReceiver, WEBHOOK_SECRET } from '../kit/webhook-receiver.ts'

const ADMIN = 'the-admin-key-of-this-test'
const WAIT_MS = 600_000
/** What a person is asked about. */
const DEAR = '300000'

let upstream: ScriptedSeller
let seller: ScriptedSeller
let gateway: TestGateway
let timers: ManualTimers

beforeEach(async () => {
  timers = new ManualTimers()
  upstream = await startScriptedSeller(() => completion())
  seller = await startScriptedSeller({ unpaid: challengeV2([{ ...OFFER, amount: DEAR }]) })
})
afterEach(async () => {
  await gateway?.close()
  await Promise.all([upstream.close(), seller.close()])
})

async function open(more: object = {}): Promise<TestGateway> {
  Object.assign(process.env, {
    APPROVAL_WALLET: localAccounts().buyer.privateKey,
    APPROVAL_ADMIN: ADMIN,
    APPROVAL_SECRET: WEBHOOK_SECRET,
  })
  gateway = await startGateway(
    {
      admin: { key: '${env:APPROVAL_ADMIN}' },
      payers: { base: { kind: 'direct', key: '${env:APPROVAL_WALLET}', networks: ['base-sepolia'] } },
      model_list: [
        { model_name: 'paid/*', model: '*', api_base: seller.apiBase, payer: 'base' },
        { model_name: 'keyed', api_base: upstream.apiBase, model_info: { usd_per_request: '0.30' } },
        { model_name: 'cheap', api_base: upstream.apiBase, model_info: { usd_per_request: '0.20' } },
      ],
      policy: { max_usd_per_request: '0.50', approve_above_usd: '0.20', approval_seconds: WAIT_MS / 1000 },
      budgets: [{ name: 'all', limit_usd: '0.50', window: 'day' }],
      ...more,
    },
    { timers },
  )
  return gateway
}

interface Waiting {
  readonly approval: string
  readonly [name: string]: unknown
}

const admin = async (path: string, init: RequestInit = {}): Promise<Response> =>
  await fetch(`${gateway.url}${path}`, {
    ...init,
    headers: { authorization: `Bearer ${ADMIN}`, 'content-type': 'application/json' },
  })

async function list(): Promise<Waiting[]> {
  return ((await (await admin('/admin/approvals')).json()) as { approvals: Waiting[] }).approvals
}

/** How many calls were answered: one that nobody was asked about never waits. */
let answered = 0

/** The calls that wait, once there are so many. Fails at once where one is answered instead. */
async function waiting(count = 1): Promise<Waiting[]> {
  const before = answered
  await expect.poll(async () => (await list()).length === count || answered > before).toBe(true)
  const found = await list()
  expect([found.length, answered - before]).toEqual([count, 0])
  return found
}

const decide = async (id: string, decision: string, from = '/admin/approvals'): Promise<Response> =>
  await admin(`${from}/${id}`, { method: 'POST', body: JSON.stringify({ decision }) })

async function held(): Promise<unknown> {
  const { budgets } = (await (await admin('/api/budgets')).json()) as { budgets: { held_usd: string }[] }
  return budgets[0]?.held_usd
}

const types = async (): Promise<string[]> =>
  (await gateway.audit())
    .map(({ type }) => String(type))
    .filter((type) => /^(?:charge|approval)\./.test(type))

let asked = 0
const call = async (model: string, init: { readonly signal?: AbortSignal } = {}): Promise<Response> => {
  const answer = await fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model, seed: asked++, messages: [{ role: 'user', content: 'hi' }] }),
    ...init,
  })
  answered += 1
  return answer
}

describe.each([
  ['paid', 'paid/x'],
  ['keyed', 'keyed'],
])('a %s call above the threshold', (kind, model) => {
  const sent = (): number => (kind === 'paid' ? seller.payments.length : upstream.requests.length)

  test('rule 3: reserves, signs and sends nothing while it waits, and is answered once it is approved', async () => {
    await open()
    const answer = call(model)
    const [found] = await waiting()
    expect(found).toMatchObject({
      caller: 'anonymous',
      model,
      max_usd: '0.3',
      seller: expect.stringMatching(/^http:/),
    })
    expect(found?.['pays']).toBe(kind === 'paid' ? '0.3 USDC' : null)
    expect([sent(), await held(), await types()]).toEqual([0, '0', ['approval.requested']])
    expect(await gateway.metric('tollway_approvals_waiting')).toBe(1)
    expect((await call('cheap')).status).toBe(200)
    const decided = await decide(found?.approval ?? '', 'approved')
    expect([decided.status, await decided.json()]).toMatchObject([
      200,
      { decision: 'approved', max_usd: '0.3' },
    ])
    expect((await answer).status).toBe(200)
    expect(sent()).toBe(kind === 'paid' ? 1 : 2)
    expect((await types()).filter((type) => type.startsWith('approval'))).toEqual([
      'approval.requested',
      'approval.approved',
    ])
    expect(await gateway.metric('tollway_approvals_total', { result: 'approved' })).toBe(1)
    expect(await list()).toEqual([])
    expect((await decide(found?.approval ?? '', 'approved')).status).toBe(404)
  })

  test('rule 7: ends with its own code when a person refuses it', async () => {
    await open()
    const answer = call(model)
    const [found] = await waiting()
    await decide(found?.approval ?? '', 'refused')
    const refused = await answer
    expect([refused.status, refused.headers.get('x-tollway-spent')]).toEqual([400, 'no'])
    const error = await errorOf(refused)
    expect(error).toMatchObject({ code: 'approval_refused', type: 'invalid_request_error' })
    expect(error.message).toContain(
      "A call of up to $0.3 needs a person's approval, and a person refused it. No payment was sent.",
    )
    expect([sent(), await held(), await types()]).toEqual([
      0,
      '0',
      ['approval.requested', 'approval.refused'],
    ])
  })

  test('is refused by itself when its time is over', async () => {
    await open()
    const answer = call(model)
    await waiting()
    await timers.fire(WAIT_MS)
    expect((await errorOf(await answer)).message).toContain('no person approved it in time')
    expect([sent(), await held(), await types()]).toEqual([
      0,
      '0',
      ['approval.requested', 'approval.timeout'],
    ])
    expect(await gateway.metric('tollway_approvals_total', { result: 'timeout' })).toBe(1)
  })

  test('waits no longer when its client has left', async () => {
    await open()
    const leaving = new AbortController()
    const answer = call(model, { signal: leaving.signal }).catch(() => 'left')
    const [found] = await waiting()
    leaving.abort()
    expect(await answer).toBe('left')
    await waiting(0)
    expect((await decide(found?.approval ?? '', 'approved')).status).toBe(404)
    await expect.poll(types).toEqual(['approval.requested', 'approval.left'])
    expect([sent(), await held()]).toEqual([0, '0'])
  })

  test('rule 2: that was approved is refused when the budget was spent meanwhile', async () => {
    await open()
    const answers = [call(model), call(model)]
    const found = await waiting(2)
    for (const { approval } of found) await decide(approval, 'approved')
    const statuses = (await Promise.all(answers)).map(({ status }) => status)
    expect(statuses.toSorted((a, b) => a - b)).toEqual([200, 402])
    expect(sent()).toBe(1)
  })

  test('that does not fit the budget bothers no person', async () => {
    await open({ budgets: [{ name: 'all', limit_usd: '0.25', window: 'day' }] })
    const answer = await call(model)
    expect((await errorOf(answer)).code).toBe('budget_exhausted')
    expect((await types()).filter((type) => type.startsWith('approval'))).toEqual([])
  })

  test('is refused when the gateway stops, which does not wait for it', async () => {
    const opened = await open()
    const answer = call(model)
    await waiting()
    await opened.gateway.close()
    expect((await errorOf(await answer)).message).toContain('the gateway is stopping')
    expect(sent()).toBe(0)
  })
})

describe('what a person approved is what is signed', () => {
  const OTHER_PAYEE = '0x00000000000000000000000000000000000000bb'
  const offering = (changes: object): void =>
    seller.follow({ unpaid: challengeV2([{ ...OFFER, amount: DEAR, ...changes }]) })

  test.each([
    ['the same terms', {}, DEAR],
    ['less', { amount: '250000' }, '250000'],
  ])('rule 6: %s, which the seller is asked for again, are paid', async (_name, changed, paid) => {
    await open()
    const answer = call('paid/x')
    const [found] = await waiting()
    offering(changed)
    await decide(found?.approval ?? '', 'approved')
    expect((await answer).status).toBe(200)
    expect(seller.questions).toHaveLength(2)
    const amounts = (await gateway.audit())
      .filter(({ type }) => type === 'charge.authorized')
      .map(({ amount }) => amount)
    expect(amounts).toEqual([paid])
  })

  test.each([
    ['a higher price', { amount: '300001' }, '0.300001 USDC'],
    ['another payee', { payTo: OTHER_PAYEE }, 'to 0x00000000000000000000000000000000000000'],
  ])('rule 6: %s is not paid, reserved or asked about once more', async (_name, changed, told) => {
    await open()
    const answer = call('paid/x')
    const [found] = await waiting()
    offering(changed)
    await decide(found?.approval ?? '', 'approved')
    const refused = await answer
    expect([refused.status, refused.headers.get('x-tollway-spent')]).toEqual([400, 'no'])
    const { code, message } = await errorOf(refused)
    expect(code).toBe('approval_refused')
    expect(message).toContain('The seller changed its terms while the call waited for approval: 0.3 USDC on ')
    expect(message).toContain(told)
    expect([seller.payments.length, await held(), (await list()).length]).toEqual([0, '0', 0])
    expect((await types()).filter((type) => type.startsWith('charge'))).toEqual([])
  })

  test('rule 6: terms that are remembered are asked for again too', async () => {
    await open({ budgets: [{ name: 'all', limit_usd: '5', window: 'day' }] })
    const long = async (length: number): Promise<Response> =>
      await fetch(`${gateway.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'paid/x', messages: [{ role: 'user', content: 'x'.repeat(length) }] }),
      })
    for (let n = 1; n <= 5; n += 1) {
      const answer = long(100 * n)
      await decide((await waiting())[0]?.approval ?? '', 'approved')
      expect((await answer).status).toBe(200)
    }
    const before = seller.questions.length
    const answer = long(1_000)
    const [found] = await waiting()
    // They are: nothing was asked before the wait.
    expect(seller.questions).toHaveLength(before)
    offering({ amount: '300001' })
    await decide(found?.approval ?? '', 'approved')
    expect((await errorOf(await answer)).code).toBe('approval_refused')
    expect([seller.questions.length, seller.payments.length]).toEqual([before + 1, 5])
  })
})

test('a call at exactly the threshold, and every call without one, waits for nobody', async () => {
  await open({ policy: { max_usd_per_request: '0.50', approve_above_usd: '0.30' } })
  expect((await call('paid/x')).status).toBe(200)
  await gateway.close()
  await open({ policy: { max_usd_per_request: '0.50' } })
  expect((await call('paid/x')).status).toBe(200)
})

test('a webhook is told with a link, and the page shows and decides with the rights of the admin', async () => {
  const receiver = await startWebhookReceiver()
  const page = 'https://tollway.example.com/dashboard'
  await open({ notify: { url: receiver.url, secret: '${env:APPROVAL_SECRET}', page } })
  const answer = call('paid/x')
  const [found] = await waiting()
  await expect.poll(() => receiver.received.length).toBe(1)
  const [message] = receiver.received
  expect(message).toMatchObject({
    isSigned: true,
    body: { type: 'approval.requested', data: { ...found, page } },
  })
  expect(message?.body.text).toContain(`${page}, or tollway approve ${found?.approval ?? ''}`)
  const shown = await (await admin('/api/approvals')).json()
  expect(shown).toEqual({ approvals: [found] })
  const stranger = await fetch(`${gateway.url}/api/approvals/${found?.approval ?? ''}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"decision":"approved"}',
  })
  expect(stranger.status).toBe(401)
  const form = await fetch(`${gateway.url}/api/approvals/${found?.approval ?? ''}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${ADMIN}`, 'content-type': 'text/plain' },
    body: '{"decision":"approved"}',
  })
  expect(form.status).toBe(415)
  expect((await decide(found?.approval ?? '', 'maybe', '/api/approvals')).status).toBe(400)
  expect((await decide(found?.approval ?? '', 'approved', '/api/approvals')).status).toBe(200)
  expect((await answer).status).toBe(200)
  await receiver.close()
})

test('tollway approvals lists what waits, and tollway approve decides', async () => {
  const opened = await open()
  const file = join(opened.directory, 'tollway.yaml')
  await writeFile(file, 'admin: { key: "${env:APPROVAL_ADMIN}" }\n', { mode: 0o600 })
  const tollway = async (...args: string[]) => {
    const terminal = new FakeTerminal({ APPROVAL_ADMIN: ADMIN })
    const code = await command([...args, '--config', file, '--url', opened.url], terminal)
    return { code, out: terminal.out, err: terminal.err }
  }
  expect(await tollway('approvals')).toMatchObject({ code: 0, out: 'No call waits for approval.\n' })
  const answers = [call('keyed'), call('paid/x')]
  const found = await waiting(2)
  const [first = '', second = ''] = found.map(({ approval }) => approval)
  expect((await tollway('approvals')).out).toContain(`${first}  up to $0.3  anonymous -> `)
  expect(JSON.parse((await tollway('approvals', '--json')).out)).toEqual({ approvals: found, ended: [] })
  expect(await tollway('approve', first)).toMatchObject({
    code: 0,
    out: expect.stringMatching(/^Approved: /),
  })
  const refused = await tollway('approve', second, '--refuse', '--json')
  expect(JSON.parse(refused.out)).toMatchObject({ approval: second, decision: 'refused' })
  expect((await Promise.all(answers)).map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([
    200, 400,
  ])
  const unknown = await tollway('approve', first)
  expect([unknown.code, unknown.err]).toEqual([
    1,
    expect.stringContaining(`No call waits for approval under ${first}: it was approved at 20`),
  ])
  expect((await tollway('approvals')).out).toMatch(
    new RegExp(
      `^No call waits for approval\\.\\n\\nEnded, the newest first:\\n${second}  refused  20.*\\n${first}  approved  20.* -> .*\\n$`,
    ),
  )
})

test('a person in a browser sees what waits, approves it with one press, and the list goes away', async () => {
  const opened = await open({ admin: {} })
  const answer = call('paid/x')
  const browser = await launchChromium()
  onTestFinished(async () => await browser.close())
  const page = await browser.newPage()
  page.setDefaultTimeout(240_000)
  await page.goto(`${opened.url}/dashboard`)
  const card = page.locator('#approvals-card')
  await card.waitFor({ state: 'visible' })
  expect(await card.innerText()).toContain('anonymous asks for paid/x')
  await card.getByRole('button', { name: /^Approve apr_/ }).press('Enter')
  expect((await answer).status).toBe(200)
  await card.waitFor({ state: 'hidden' })
})
