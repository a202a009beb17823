/** What is reserved for a payment: each name and amount in its own place, since budgets match by them. */
import { expect, test } from 'vitest'
import { BUILT_IN_ASSETS } from '../../src/core/money/assets.ts'
import type { Quote } from '../../src/core/policy/gate.ts'
import { newExchange } from '../../src/core/request/exchange.ts'
import { namesOf, termsOf } from '../../src/payment/reserve-terms.ts'
import { candidateAt } from '../kit/payment-engine.ts'

const [asset] = BUILT_IN_ASSETS
if (!asset) throw new Error('no built-in token')
const quote = {
  origin: 'https://seller.test',
  asset,
  payTo: '0xpayee',
  amount: 7n,
  microUsd: 8n,
} as unknown as Quote

function asked(model: string | undefined) {
  const exchange = newExchange({ id: 'req_1', startedAt: 1, begunAt: 0 })
  exchange.caller.id = 'ci'
  exchange.caller.team = 'web'
  exchange.request.model = model
  return exchange
}

test('rule 2: every fact of the quote, the route and the caller is reserved under its own name', () => {
  const candidate = candidateAt('seller.test', { modelName: 'paid/*', model: '*' })
  expect(termsOf(asked('paid/m'), quote, candidate)).toEqual({
    requestId: 'req_1',
    caller: 'ci',
    team: 'web',
    model: 'paid/m',
    publicModel: 'paid/m',
    remoteModel: 'm',
    route: 'paid/*',
    payer: 'wallet',
    seller: 'https://seller.test',
    apiBase: 'https://seller.test/v1',
    network: asset.network,
    asset: asset.address,
    symbol: asset.symbol,
    decimals: asset.decimals,
    payTo: '0xpayee',
    amount: 7n,
    microUsd: 8n,
  })
})

test('a request without a model, and a route without a payer, are reserved under no name', () => {
  const candidate = candidateAt('seller.test', { modelName: 'paid/*', model: '*', payer: undefined })
  expect(termsOf(asked(undefined), quote, candidate)).toMatchObject({ model: '', payer: '' })
  expect(namesOf(asked(undefined), { ...candidate, remoteModel: '' })).toEqual({
    team: 'web',
    model: undefined,
    publicModel: undefined,
    remoteModel: '',
  })
})
