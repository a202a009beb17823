/** A repeat is known by what its client says, though another route, another gateway or another configuration would serve it. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { cash } from '../../providers/cash.ts'
import { ask, startGateway, type TestGateway } from '../kit/gateway.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'
import { challengeV2, completion, json, OFFER } from '../kit/seller-answers.ts'

const KEY = { 'idempotency-key': 'k' }
const WAYS: [string, Record<string, string>, Record<string, string>][] = [
  ['an Idempotency-Key', KEY, KEY],
  ['an x-request-id', { 'x-request-id': 'id' }, { 'x-request-id': 'id' }],
  ['a retry count', { 'x-stainless-retry-count': '0' }, { 'x-stainless-retry-count': '1' }],
]

let directory: string
let dear: ScriptedSeller
let spare: ScriptedSeller
let now: number
let gateways: TestGateway[]

beforeEach(async () => {
  process.env['HEALTH_WALLET'] = `0x${'11'.repeat(32)}`
  directory = await mkdtemp(join(tmpdir(), 'tollway-health-'))
  now = Date.parse('2026-11-21T10:00:00Z')
  dear = await startScriptedSeller()
  spare = await startScriptedSeller()
  gateways = []
})

afterEach(async () => {
  for (const gateway of gateways) await gateway.close()
  await dear.close()
  await spare.close()
  await rm(directory, { recursive: true, force: true })
})

async function start(config: object = {}): Promise<TestGateway> {
  const gateway = await startGateway(
    {
      store: `sqlite:${join(directory, 'tollway.db')}`,
      payers: { base: { kind: 'direct', key: '${env:HEALTH_WALLET}', networks: ['base-sepolia'] } },
      model_list: [
        { model_name: 'paid/*', model: '*', api_base: dear.apiBase, payer: 'base' },
        { model_name: 'spare', model: 'm', api_base: spare.apiBase, payer: 'base' },
        { model_name: 'local', model: 'm', api_base: `${spare.url}/local` },
      ],
      router: {
        fallbacks: [{ 'paid/*': ['spare'] }],
        content_policy_fallbacks: [{ local: ['paid/m'] }],
        allowed_fails: 0,
        cooldown_seconds: 60,
      },
      timeouts: { first_byte_seconds: 60, shutdown_seconds: 1 },
      ...config,
    },
    { clock: { now: () => now }, payers: new Map([['base', cash({ clock: { now: () => now } })]]) },
  )
  gateways.push(gateway)
  return gateway
}

const payments = (): number => dear.payments.length + spare.payments.length
const model = { model: 'paid/m' }

test.each(WAYS)(
  'rule 5: %s holds while the route cools down and when it heals',
  async (_way, first, again) => {
    const { url } = await start()
    dear.follow({ unpaid: json({}, {}, 503) })
    const answered = await ask(url, model, first)
    expect([answered.status, spare.payments.length]).toEqual([200, 1])
    const charge = answered.headers.get('x-tollway-charge')
    expect((await ask(url, model, again)).headers.get('x-tollway-charge')).toBe(charge)
    dear.follow({})
    now += 61_000
    expect((await ask(url, model, again)).headers.get('x-tollway-charge')).toBe(charge)
    expect(payments()).toBe(1)
  },
)

test.each(WAYS)(
  'rule 5: %s holds for a gateway to which another route is the first',
  async (_way, first, again) => {
    const one = await start()
    const two = await start({
      model_list: [{ model_name: 'paid/m', model: 'm', api_base: spare.apiBase, payer: 'base' }],
      router: {},
    })
    await ask(one.url, model, first)
    const repeat = await ask(two.url, model, again)
    expect(repeat.headers.get('x-tollway-replayed')).toBe('yes')
    expect(payments()).toBe(1)
  },
)

test('rule 5: a failed payment is not made again because a header of the repeat means another route', async () => {
  const { url } = await start({
    model_list: [
      { model_name: 'paid/*', model: '*', api_base: dear.apiBase, payer: 'base' },
      {
        model_name: 'paid/*',
        api_base: spare.apiBase,
        payer: 'base',
        when: { headers: { 'x-tier': 'gold' } },
      },
    ],
    router: {},
  })
  dear.follow({ paid: json({}, {}, 500) })
  expect((await ask(url, model)).status).toBe(400)
  expect((await ask(url, model, { 'x-tier': 'gold' })).headers.get('x-tollway-replayed')).toBe('yes')
  expect(payments()).toBe(1)
})

test('rule 5: a key of an unpaid model is kept when a paid model stands in for its answer', async () => {
  spare.follow(() => json({ error: { code: 'content_filter', message: 'no' } }, {}, 400))
  const { url } = await start()
  const answered = await ask(url, { model: 'local' }, KEY)
  expect(answered.headers.get('x-tollway-spent')).toBe('yes')
  expect((await ask(url, { model: 'local' }, KEY)).headers.get('x-tollway-replayed')).toBe('yes')
  expect(payments()).toBe(1)
})

test.each(['while it is being paid', 'when it was paid'])(
  'rule 5: another gateway knows %s that the client left before the first byte',
  async (when) => {
    const one = await start()
    const two = await start()
    const released = Promise.withResolvers<void>()
    const arrived = Promise.withResolvers<void>()
    dear.follow({
      paid: async () => {
        arrived.resolve()
        await released.promise
        return completion()
      },
    })
    const leaver = new AbortController()
    const lost = fetch(`${one.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ messages: [{ role: 'user', content: 'hello' }], ...model }),
      signal: leaver.signal,
    }).catch(() => 'left')
    await arrived.promise
    leaver.abort()
    expect(await lost).toBe('left')
    await until('undelivered_at IS NOT NULL')
    if (when === 'when it was paid') {
      released.resolve()
      await until("state = 'settled'")
      expect((await ask(two.url, model)).status).toBe(400)
    } else {
      expect((await ask(two.url, model)).status).toBe(503)
      released.resolve()
    }
    expect(payments()).toBe(1)
  },
)

/** Waits for a charge of which this holds. */
async function until(condition: string): Promise<void> {
  const db = new DatabaseSync(join(directory, 'tollway.db'), { readOnly: true })
  const query = db.prepare(`SELECT 1 FROM tombstones JOIN charges ON charges.id = charge WHERE ${condition}`)
  while (query.get() === undefined) await new Promise(setImmediate)
  db.close()
}

test('rule 5: a restart with a renamed route knows the key', async () => {
  const one = await start()
  await ask(one.url, model, KEY)
  await one.gateway.close()
  now += 23 * 3_600_000
  const two = await start({
    model_list: [{ model_name: 'p*', model: 'm', api_base: spare.apiBase, payer: 'base' }],
    router: {},
  })
  expect((await ask(two.url, model, KEY)).headers.get('x-tollway-replayed')).toBe('yes')
  expect(payments()).toBe(1)
})

test('a model that costs nothing answers what a paid one failed to, though a paid one stands in for it', async () => {
  const { url } = await start()
  dear.follow({ paid: json({}, {}, 500) })
  expect((await ask(url, model)).status).toBe(400)
  spare.follow(() => json({ free: true }))
  const free = await ask(url, { model: 'local' })
  expect([free.status, await free.json()]).toEqual([200, { free: true }])
})

/** Two gateways are asked at once; the seller answers their questions in the given order, each when the one before is through. */
async function atOnce(
  first: Record<string, string>,
  again: Record<string, string>,
  order: readonly (0 | 1)[],
  answers = [challengeV2([OFFER]), challengeV2([OFFER])],
): Promise<Response[]> {
  const questions: (() => void)[] = []
  const asked = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  dear.follow({
    unpaid: async () => {
      const answered = Promise.withResolvers<void>()
      const at = questions.push(answered.resolve) - 1
      asked[at]?.resolve()
      await answered.promise
      return answers[at] ?? challengeV2([OFFER])
    },
  })
  const [one, two] = [await start(), await start()]
  const attempts = [ask(one.url, model, first)]
  await asked[0]?.promise
  attempts.push(ask(two.url, model, again))
  await asked[1]?.promise
  const responses: Response[] = []
  for (const at of order) {
    questions[at]?.()
    const response = await attempts[at]
    if (response) responses[at] = response
  }
  return responses
}

test.each(WAYS)(
  'rule 5: %s that reaches another gateway before the first attempt has reserved is paid once',
  async (_way, first, again) => {
    const [original, retry] = await atOnce(first, again, [1, 0])
    expect([retry?.status, original?.status]).toEqual([200, 503])
    expect(await original?.json()).toMatchObject({ error: { code: 'request_in_progress' } })
    expect(original?.headers.get('x-tollway-spent')).toBe('no')
    expect(payments()).toBe(1)
  },
)

test.each(WAYS)(
  'rule 5: %s is paid once when the first attempt reserves first',
  async (_way, first, again) => {
    const [original, retry] = await atOnce(first, again, [0, 1])
    expect([original?.status, retry?.status]).toEqual([200, 503])
    expect(payments()).toBe(1)
    // The next retry gets what the first one came to, and pays nothing either.
    const charge = original?.headers.get('x-tollway-charge')
    const last = await ask(gateways[1]?.url ?? '', model, { ...again, ...third(again) })
    expect([last.status, last.headers.get('x-tollway-charge')]).toEqual([400, charge])
    expect(payments()).toBe(1)
  },
)

const third = (again: Record<string, string>): Record<string, string> =>
  'x-stainless-retry-count' in again ? { 'x-stainless-retry-count': '2' } : {}

test('rule 5: a retry is no new attempt because the first one failed unpaid after another gateway had paid', async () => {
  const counts = [{ 'x-stainless-retry-count': '0' }, { 'x-stainless-retry-count': '1' }] as const
  const [original, retry] = await atOnce(...counts, [1, 0], [json({}, {}, 400), challengeV2([OFFER])])
  expect([original?.status, retry?.status]).toEqual([400, 200])
  for (const count of ['2', '3', '4']) {
    const again = await ask(gateways[0]?.url ?? '', model, { 'x-stainless-retry-count': count })
    expect(again.headers.get('x-tollway-charge')).toBe(retry?.headers.get('x-tollway-charge'))
  }
  expect(payments()).toBe(1)
})

test('two identical requests at once at two gateways that nothing calls retries are two', async () => {
  const [one, two] = await atOnce(
    { 'x-stainless-retry-count': '0' },
    { 'x-stainless-retry-count': '0' },
    [1, 0],
  )
  expect([one?.status, two?.status]).toEqual([200, 200])
  expect(payments()).toBe(2)
})

test('rule 5: another gateway knows of an answer that cannot be read before its client knows', async () => {
  const [one, two] = [await start(), await start()]
  dear.follow({ paid: { ...completion(), body: '{"choices":[' } })
  const failed = await ask(one.url, model)
  expect(failed.status).toBe(400)
  const db = new DatabaseSync(join(directory, 'tollway.db'), { readOnly: true })
  const known = db.prepare('SELECT undelivered_at FROM tombstones').all()
  db.close()
  expect(known).toEqual([{ undelivered_at: now }])
  expect(await failed.json()).toMatchObject({ error: { code: 'paid_not_delivered' } })
  expect((await ask(two.url, model)).headers.get('x-tollway-replayed')).toBe('yes')
  expect(payments()).toBe(1)
})
