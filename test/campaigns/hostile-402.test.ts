import { expect, test } from 'vitest'
import { fuzzGate, fuzzGateway } from './hostile-402/campaign.ts'
import { faultsOf, type Signable } from './hostile-402/judge.ts'
import { PAYEE, USDC } from './hostile-402/replies.ts'

const SEED = 402

test('rule 6: any 402 is either refused with an error code or becomes a quote that an independent judge accepts', async () => {
  const { outcomes, signed } = await fuzzGate(4000, 50, SEED)
  // The replies reach every part: quotes, each refusal, and every way not to be understood.
  for (const outcome of [
    'quote',
    'offer_undecodable',
    'no_supported_offer',
    'network_not_allowed',
    'asset_not_allowed',
    'amount_invalid',
    'amount_zero',
    'amount_conflict',
    'payee_not_allowed',
    'validity_too_long',
    'price_above_limit',
  ]) {
    expect(outcomes.get(outcome) ?? 0, outcome).toBeGreaterThan(0)
  }
  expect(signed).toBe(50)
})

test('rule 6: given any 402, the gateway answers, keeps running, and pays nothing that the judge would refuse', async () => {
  const { outcomes, signed } = await fuzzGateway(150, SEED)
  expect([...outcomes.values()].reduce((sum, count) => sum + count, 0)).toBe(150)
  expect(signed).toBe(outcomes.get('paid'))
  expect(signed).toBeGreaterThan(0)
})

test('the judge sees each rule that is broken', () => {
  const raw = { scheme: 'exact', amount: '1000', payTo: PAYEE }
  const good: Signable = {
    amount: 1000n,
    payTo: PAYEE,
    asset: USDC,
    network: 'eip155:84532',
    seconds: 60,
    raw,
  }
  expect(faultsOf(good)).toEqual([])
  const bad: Partial<Signable>[] = [
    { amount: 100_001n, raw: { ...raw, amount: '100001' } },
    { amount: 0n, raw: { ...raw, amount: '0' } },
    { amount: 999n },
    { payTo: USDC, raw: { ...raw, payTo: USDC } },
    { raw: { ...raw, payTo: USDC } },
    { asset: PAYEE },
    { network: 'eip155:8453' },
    { raw: { ...raw, scheme: 'cash' } },
    { spender: PAYEE },
    { spender: '0x4020A4f3b7b90ccA423B9fabCc0CE57C6C240002' },
    { seconds: 601 },
    { seconds: 0 },
  ]
  for (const change of bad)
    expect(faultsOf({ ...good, ...change }), JSON.stringify(Object.keys(change))).toHaveLength(1)
})
