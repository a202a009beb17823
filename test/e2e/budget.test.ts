import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { startWorld, type World } from '../../src/app/sandbox/world.ts'
import { ask, errorOf, startGateway, walletPayer, type TestGateway } from '../kit/gateway.ts'

let world: World
let tollway: TestGateway | undefined

beforeAll(async () => {
  world = await startWorld()
})

afterEach(async () => {
  await tollway?.close()
  tollway = undefined
})

afterAll(async () => {
  await world?.close()
})

/** A gateway that may spend half a cent: five calls of a tenth of a cent. */
async function halfACent(window = 'day'): Promise<TestGateway> {
  tollway = await startGateway({
    payers: { base: walletPayer(world.chain) },
    model_list: [{ model_name: 'paid/*', model: '*', api_base: world.seller.apiBase, payer: 'base' }],
    budgets: [{ name: 'small', limit_usd: '0.005', window }],
  })
  return tollway
}

const body = { model: 'paid/sandbox-small' }

test('rule 7: calls 1 to 5 are answered; call 6 is stopped before the seller is asked, with no payment challenge', async () => {
  const gateway = await halfACent()
  const { url } = gateway
  for (let call = 1; call <= 5; call++) expect((await ask(url, body)).status).toBe(200)
  const seen = world.seller.log.length
  const paid = (await world.chain.transfers()).length

  const stopped = await ask(url, body)
  expect(stopped.status).toBe(402)
  expect(stopped.headers.get('x-tollway-spent')).toBe('no')
  for (const name of ['payment-required', 'www-authenticate', 'x-payment-response'])
    expect(stopped.headers.has(name)).toBe(false)
  const error = await errorOf(stopped)
  expect(error).toMatchObject({ type: 'budget_exceeded', code: 'budget_exhausted', param: null })
  expect(error.message).toMatch(
    /^Daily spending limit reached: budget small: \$0\.001 wanted, \$0\.005 spent and \$0 pending of \$0\.005; resets \d{4}-\d\d-\d\dT00:00:00Z$/,
  )
  expect(JSON.stringify(error)).not.toMatch(/accepts|x402/)

  expect(world.seller.log.length).toBe(seen)
  expect((await world.chain.transfers()).length).toBe(paid)
  expect(await gateway.metric('tollway_budget_remaining_usd', { budget: 'small' })).toBe(0)
  expect((await gateway.audit()).at(-1)).toMatchObject({
    type: 'request',
    outcome: 'refused',
    code: 'budget_exhausted',
    charge: null,
    status: 402,
  })
})

test('rule 2: of 50 concurrent calls on a fresh budget exactly 5 pay', async () => {
  const { url, gateway } = await halfACent()
  const paid = (await world.chain.transfers()).length
  const statuses = await Promise.all(Array.from({ length: 50 }, async () => (await ask(url, body)).status))
  expect(statuses.filter((status) => status === 200)).toHaveLength(5)
  expect(statuses.filter((status) => status === 402)).toHaveLength(45)
  expect((await world.chain.transfers()).length - paid).toBe(5)
  const [status] = await gateway.parts.ledger.budgets(gateway.parts.config.budgets)
  expect(status?.totals).toEqual({ spent: 5000n, held: 0n, authorized: 0n, uncertain: 0n })
})

test('the sums survive a restart', async () => {
  const first = await halfACent('lifetime')
  for (let call = 1; call <= 5; call++) await ask(first.url, body)
  const { parts } = first.gateway
  await first.gateway.close()
  const again = await startGateway({
    store: parts.config.store,
    payers: { base: walletPayer(world.chain) },
    model_list: [{ model_name: 'paid/*', model: '*', api_base: world.seller.apiBase, payer: 'base' }],
    budgets: [{ name: 'small', limit_usd: '0.005', window: 'lifetime' }],
  })
  const stopped = await ask(again.url, body)
  expect((await errorOf(stopped)).message).toMatch(/^Usage limit reached: budget small: .* \$0\.005 spent/)
  await again.close()
})
