/** Which upstreams may pay for a charge. */
import { expect, test } from 'vitest'
import { upstreamsFor } from '../../providers/obol/pool-claim.ts'
import type { Charge } from '../../src/core/charge/charge.ts'
import { pool } from '../store/voucher-samples.ts'
import { terms } from '../store/samples.ts'

const { network, asset, payTo } = terms(1)

const upstream = (name: string, seller: string, amount = 23_000n) => ({
  name,
  pool: pool({ name, seller, network, asset, payTo, amount, method: 'eip3009', remoteModel: 'qwen' }),
})

const chargeAt = (apiBase: string, route = 'paid/qwen'): Charge => ({
  ...terms(1, { apiBase, route, amount: 23_000n }),
  state: 'held',
  proof: undefined,
  authorization: undefined,
  transaction: undefined,
  reason: undefined,
  updatedAt: 0,
})

const names = (charge: Charge, ...upstreams: ReturnType<typeof upstream>[]): string[] =>
  upstreamsFor(upstreams, charge, 'eip3009').map(({ name }) => name)

test('of two upstreams that sell one model only that of the seller that is asked', () => {
  const [a, b] = [upstream('a', 'https://a.example.com'), upstream('b', 'https://b.example.com')]
  expect(names(chargeAt('https://a.example.com/v1'), a, b)).toEqual(['a'])
  expect(names(chargeAt('https://b.example.com/v1'), a, b)).toEqual(['b'])
})

test('upstreams of one seller with matching terms come first, and a configured route has none', () => {
  const old = upstream('old', 'https://a.example.com', 1n)
  const now = upstream('now', 'https://a.example.com')
  expect(names(chargeAt('https://a.example.com/v1'), old, now)).toEqual(['now', 'old'])
  expect(names(chargeAt('https://a.example.com/v1', 'mine'), old, now)).toEqual([])
})
