/**
 * A seller that changes its price between any two requests it gets, also between the question and the payment, at a gateway that
 * remembers its terms: what the seller was given, what the books say and what the clients were told are one and the same.
 */
import { afterEach, expect, test } from 'vitest'
import { property } from '../../src/core/property.ts'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import { ask, errorOf, startGateway, type TestGateway } from '../kit/gateway.ts'
import { nonceOf, startScriptedSeller, type SellerRequest } from '../kit/scripted-seller.ts'
import { asking, completion, decodeHeader, RECEIPT } from '../kit/seller-answers.ts'

const DAY_MS = 86_400_000
const SEEDS = [1, 2]
/** Of one day each: what was learnt is forgotten when the seller was seen to change. */
const DAYS = 4
const CALLS = 6
const LIMIT = 60_000n

let tollway: TestGateway | undefined
afterEach(async () => {
  await tollway?.close()
  tollway = undefined
})

/** The same numbers for the same seed (mulberry32). */
function random(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

function valueOf(request: SellerRequest): string {
  const authorization = property(property(decodeHeader(request.payment), 'payload'), 'authorization')
  return String(property(authorization, 'value'))
}

async function world(seed: number, policy: object) {
  const next = random(seed)
  const seller = {
    price: 1000n,
    /** How often the price changes, from 0 to 1. */
    restless: 0,
    /** Nonces of the payments that it took, with what they paid. */
    taken: new Map<string, string>(),
  }
  const move = (): void => {
    if (next() < seller.restless) seller.price = BigInt(1 + Math.floor(next() * 3)) * 1000n
  }
  const script = await startScriptedSeller((request) => {
    move()
    if (request.payment === undefined || valueOf(request) !== seller.price.toString()) {
      return asking(seller.price)
    }
    seller.taken.set(nonceOf(request), valueOf(request))
    const transaction = `0x${seller.taken.size.toString(16).padStart(64, '0')}`
    return completion({}, { ...RECEIPT, transaction })
  })
  // A signer takes its variable away.
  process.env['CHANGING_WALLET'] = localAccounts().buyer.privateKey
  const clock = { at: Date.UTC(2026, 0, 1), now: () => clock.at }
  tollway = await startGateway(
    {
      payers: { base: { kind: 'direct', key: '${env:CHANGING_WALLET}', networks: ['base-sepolia'] } },
      model_list: [{ model_name: 'paid/*', model: '*', api_base: script.apiBase, payer: 'base' }],
      budgets: [{ name: 'all', limit_usd: '0.06', window: 'lifetime' }],
      policy: { max_usd_per_request: '0.004', ...policy },
    },
    { clock },
  )
  return { next, seller, script, clock, tollway }
}

test.each([
  ['fail', {}],
  ['pay_again', { on_changed_terms: 'pay_again' }],
])(
  'rules 2, 4 and 5: with on_changed_terms %s there is no difference between seller, books and clients',
  async (choice, policy) => {
    let skipped = 0
    let again = 0
    for (const seed of SEEDS) {
      const { next, seller, script, clock, tollway: gateway } = await world(seed, policy)
      const told = new Map<string, { cost: string; charge: string }>()
      let asked = 0
      for (let day = 0; day < DAYS; day++) {
        for (let n = 0; n < 5 + CALLS; n++) {
          // Quiet while the terms are learnt, and then restless.
          seller.restless = n < 5 ? 0 : 0.4
          const questions = script.questions.length
          const payments = script.payments.length
          const answers = await Promise.all(
            Array.from({ length: n < 5 ? 1 : 1 + Math.floor(next() * 3) }, async () => {
              asked += 1
              return await ask(gateway.url, { model: 'paid/m', note: 'x'.repeat(asked) })
            }),
          )
          expect(script.payments.length - payments).toBeLessThanOrEqual(
            answers.length * (choice === 'pay_again' ? 2 : 1),
          )
          if (script.questions.length === questions && answers.some(({ ok }) => ok)) skipped += 1
          for (const answer of answers) {
            const id = answer.headers.get('x-request-id') ?? ''
            const charge = answer.headers.get('x-tollway-charge')
            if (charge) told.set(id, { charge, cost: answer.headers.get('x-tollway-cost-usd') ?? '' })
            if (answer.ok) await answer.text()
            else
              expect(['terms_changed', 'budget_exhausted', 'price_above_limit']).toContain(
                (await errorOf(answer)).code,
              )
          }
        }
        clock.at += DAY_MS + 1
      }
      const charges = await gateway.gateway.parts.ledger.store.charges({ limit: 1000 })
      const counted = charges.filter(({ state }) => state !== 'released')
      // Every payment that the seller got is one charge of the same amount, and it took those that are settled.
      const sent = new Map(script.payments.map((request) => [nonceOf(request), valueOf(request)]))
      expect(sent.size).toBe(script.payments.length)
      const booked = counted.map(
        ({ authorization, amount }) => [authorization?.nonce, amount.toString()] as const,
      )
      expect(new Map(booked)).toEqual(sent)
      const settled = counted.filter(({ state }) => state === 'settled')
      expect(
        new Map(settled.map(({ authorization, amount }) => [authorization?.nonce, amount.toString()])),
      ).toEqual(seller.taken)
      expect(counted.every(({ state, reason }) => state === 'settled' || reason === 'terms_changed')).toBe(
        true,
      )
      expect(counted.reduce((sum, { amount }) => sum + amount, 0n)).toBeLessThanOrEqual(LIMIT)
      // What a client was told is what its request cost: two charges where it was paid again.
      const cost = new Map<string, bigint>()
      for (const { requestId, microUsd = 0n } of counted) {
        cost.set(requestId, (cost.get(requestId) ?? 0n) + microUsd)
      }
      expect(new Map([...told].map(([id, answer]) => [id, usd(answer.cost)]))).toEqual(cost)
      again += counted.length - cost.size
      await gateway.close()
      await script.close()
      tollway = undefined
    }
    expect(skipped).toBeGreaterThan(0)
    if (choice === 'fail') expect(again).toBe(0)
    else expect(again).toBeGreaterThan(0)
  },
  180_000,
)

test('rule 5: an answer that was paid again is given once more for its Idempotency-Key, and nothing is paid', async () => {
  const { seller, script, tollway: gateway } = await world(1, { on_changed_terms: 'pay_again' })
  for (let n = 1; n <= 5; n++) await (await ask(gateway.url, { model: 'paid/m', note: 'x'.repeat(n) })).text()
  seller.price = 2000n
  const named = { 'idempotency-key': 'k-1' }
  const first = await ask(gateway.url, { model: 'paid/m', note: 'named' }, named)
  expect([first.status, first.headers.get('x-tollway-cost-usd')]).toEqual([200, '0.003'])
  const text = await first.text()
  expect(property(property(JSON.parse(text), 'usage'), 'cost')).toBe(0.003)
  const { length } = script.requests
  const second = await ask(gateway.url, { model: 'paid/m', note: 'named' }, named)
  expect([second.status, await second.text(), script.requests.length]).toEqual([200, text, length])
  expect(second.headers.get('x-tollway-cost-usd')).toBe('0.003')
  expect(await gateway.metric('tollway_remembered_terms_total', { result: 'paid_again' })).toBe(1)
  await script.close()
})

function usd(text: string): bigint {
  return BigInt(Math.round(Number(text) * 1_000_000))
}
