import { expect, test } from 'vitest'
import { runOvershoot } from '../campaigns/overshoot/campaign.ts'

test('of 60 calls at once through two gateways on one ledger, exactly the 12 that fit pass, under nested budgets', async () => {
  const {
    seconds: _seconds,
    retried: _retried,
    budgets,
    ...found
  } = await runOvershoot({
    calls: 60,
    clients: 2,
    gateways: 2,
    fits: 12,
  })
  expect(found).toEqual({
    paid: 12,
    stopped: 48,
    other: [],
    settled: 12,
    open: 0,
    payments: 12,
    repeatedNonces: 0,
    overshoot: 0n,
    auditsWhole: true,
  })
  expect(budgets.map(({ budget, subject }) => `${budget} ${subject}`)).toEqual([
    'day *',
    'rolling *',
    'caller client-0',
    'caller client-1',
    'tag team:a',
    'tag team:b',
  ])
  for (const { budget, limit, counted } of budgets) expect(counted <= limit, budget).toBe(true)
})
