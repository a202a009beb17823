/** Gateways on one Postgres ledger: paid calls, one budget, repeats at another gateway, and a database that goes away. */
import { randomUUID } from 'node:crypto'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { counted } from '../../src/core/budget/budget.ts'
import { cash, type CashProvider } from '../../providers/cash.ts'
import { configFor, startPatientSeller, type PatientSeller } from '../kit/fragile-gateway.ts'
import { ask, errorOf, startGateway, type TestGateway } from '../kit/gateway.ts'
import { startPostgres, type PostgresServer } from '../kit/postgres.ts'
import { freshLedger } from '../kit/postgres-stores.ts'

let seller: PatientSeller
let payer: CashProvider
let running: { close(): Promise<void> }[]
beforeEach(async () => {
  seller = await startPatientSeller()
  payer = cash()
  running = []
})
afterEach(async () => {
  for (const one of running.toReversed()) await one.close()
  await seller.close()
})

async function gateway(store: string, config: object = {}): Promise<TestGateway> {
  const started = await startGateway(
    { ...configFor(seller), store, ...config },
    { payers: new Map([['base', payer]]) },
  )
  running.push(started)
  return started
}

async function ownServer(): Promise<PostgresServer> {
  const server = await startPostgres()
  running.push({ close: () => server.remove() })
  return server
}

const pay = (to: TestGateway, user: string = randomUUID()): Promise<Response> =>
  ask(to.url, { model: 'paid/m', user })

test('rule 2: of 40 calls through two gateways on one database, exactly the 7 that fit pass, and both tell the same', async () => {
  const store = freshLedger()
  const budgets = [{ name: 'all', limit_usd: '0.007', window: 'lifetime' }]
  const both = [await gateway(store, { budgets }), await gateway(store, { budgets })] as const
  const answers = await Promise.all(Array.from({ length: 40 }, (_, n) => pay(both[n % 2 === 0 ? 0 : 1])))
  const statuses = answers.map(({ status }) => status)
  expect(statuses.filter((status) => status === 200)).toHaveLength(7)
  expect(new Set(statuses)).toEqual(new Set([200, 402]))
  expect(seller.counts().paid).toBe(7)
  for (const { gateway: one } of both) {
    const [status] = await one.parts.ledger.budgets(one.parts.config.budgets)
    expect(status?.totals).toEqual({ spent: 7000n, held: 0n, authorized: 0n, uncertain: 0n })
  }
})

test('rule 5: a request that is sent again to another gateway while it is paid for is not paid for twice', async () => {
  const store = freshLedger()
  const [one, other] = [await gateway(store), await gateway(store)]
  const { arrived, answer } = seller.hold()
  const headers = { 'idempotency-key': 'k-1' }
  const first = ask(one.url, { model: 'paid/m' }, headers)
  await arrived
  const second = ask(other.url, { model: 'paid/m' }, headers)
  answer()
  expect((await first).status).toBe(200)
  const third = ask(other.url, { model: 'paid/m' }, headers)
  const repeats = await Promise.all([second, third])
  const told = await Promise.all(repeats.map(async (repeat) => (await errorOf(repeat)).code))
  // What they are told depends on when they came (docs/idempotency.md).
  for (const code of told) expect(['request_in_progress', 'paid_not_delivered']).toContain(code)
  expect(seller.counts().paid).toBe(1)
})

test('rule 10: what a gateway that is gone had signed is uncertain at the other one, and stays counted', async () => {
  const store = freshLedger()
  const [one, other] = [await gateway(store), await gateway(store)]
  const { arrived, answer } = seller.hold()
  const lost = pay(one)
  await arrived
  await other.gateway.parts.ledger.store.retire(
    one.gateway.parts.ledger.instance,
    Date.now(),
    'instance_dead',
  )
  const [status] = await other.gateway.parts.ledger.budgets(other.gateway.parts.config.budgets)
  expect(status?.totals).toMatchObject({ uncertain: 1000n, spent: 0n })
  answer()
  // Its own answer proves it after all.
  expect((await lost).status).toBe(200)
  expect(await other.gateway.parts.ledger.store.sum('settled')).toMatchObject({ count: 1 })
})

test('rule 9: while the database is gone paid routes answer 503 and unpaid ones go on; they open again by themselves', async () => {
  const server = await ownServer()
  const tollway = await gateway(server.address())
  expect((await pay(tollway)).status).toBe(200)
  await server.kill()
  const signed = payer.payments.length
  for (let n = 0; n < 3; n += 1) {
    const refused = await pay(tollway)
    expect([refused.status, (await errorOf(refused)).code]).toEqual([503, 'store_unavailable'])
    expect(refused.headers.get('x-tollway-spent')).toBe('no')
  }
  expect(payer.payments).toHaveLength(signed)
  expect(seller.counts().paid).toBe(1)
  const free = await ask(tollway.url, { model: 'free' })
  expect([free.status, await free.json()]).toEqual([200, { free: true }])
  expect((await fetch(`${tollway.url}/health/ready`)).status).toBe(503)

  await server.start()
  await expect.poll(async () => (await pay(tollway)).status).toBe(200)
  const { ledger, config } = tollway.gateway.parts
  await expect
    .poll(async () => (await ledger.budgets(config.budgets))[0]?.totals)
    .toEqual({ spent: BigInt(seller.counts().paid) * 1000n, held: 0n, authorized: 0n, uncertain: 0n })
})

test('rule 3: a payment whose record cannot be written is not sent, and one that was sent stays counted', async () => {
  const server = await ownServer()
  const tollway = await gateway(server.address())
  const { arrived, answer } = seller.hold()
  const sent = pay(tollway)
  await arrived
  await server.kill()
  answer()
  await (await sent).text()
  await server.start()
  await expect.poll(async () => (await fetch(`${tollway.url}/health/ready`)).status).toBe(200)
  const { ledger, config } = tollway.gateway.parts
  const [status] = await ledger.budgets(config.budgets)
  expect(status && counted(status.totals)).toBe(1000n)
})

test('a database that may lose what it confirms is refused, and the password is told to no one', async () => {
  const server = await ownServer()
  server.sql("ALTER ROLE tollway SET synchronous_commit = off; ALTER ROLE tollway PASSWORD 'hunter2'")
  vi.stubEnv('LEDGER_PASSWORD', 'hunter2')
  const store = server.address().replace('tollway@', 'tollway:${env:LEDGER_PASSWORD}@')
  const refused = await gateway(store).catch((error: unknown) => error)
  expect(refused).toMatchObject({
    name: 'ConfigError',
    message: expect.stringContaining('synchronous_commit is off'),
  })
  expect(String(refused)).not.toContain('hunter2')
})
