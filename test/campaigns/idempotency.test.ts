import { expect, test } from 'vitest'
import { runRepeats, WAYS } from './idempotency/campaign.ts'

test('rule 5: no repeat is paid again, whatever became of the sellers, the routes and the gateways meanwhile', async () => {
  const report = await runRepeats(84, 11)
  expect(report.paidTwice).toEqual([])
  // The campaign meets what it is about: every way, payments, and repeats that were recognised.
  expect([...report.requests.keys()]).toEqual([...WAYS])
  expect(report.paid).toBeGreaterThan(25)
  expect(report.replayed).toBeGreaterThan(25)
})
