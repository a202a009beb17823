import { DatabaseSync } from 'node:sqlite'
import { expect, onTestFinished, test } from 'vitest'
import { startFragileGateway } from '../kit/fragile-gateway.ts'
import { holdBooksTogether } from './simulated-day/books.ts'
import { localDate, nextClockChange } from './simulated-day/clock-change.ts'
import { simulateDay } from './simulated-day/day.ts'

test('rule 1: after a day across midnight and a clock change, ledger, charges, metrics, audit file and chain agree', async () => {
  const { books, answers, reconciled, ...day } = await simulateDay({ seed: 7, steps: 16, burst: 5 })
  expect(books.differences).toEqual([])
  const { ledger, charges, metrics, audit, chain } = books
  expect([ledger, charges, metrics, audit]).toEqual([chain, chain, chain, chain])
  expect(chain).toBeGreaterThan(30_000n)
  // All kinds of traffic were in it, and the chain was asked about some of it.
  expect(Object.keys(answers)).toEqual(
    expect.arrayContaining([
      'free: 200',
      'not taken: 400 payment_rejected',
      'paid: 200',
      'streamed: 200',
      'taken, denied: 400 payment_rejected',
      'too dear: 400 price_above_limit',
      'unreachable: 503 seller_unavailable',
    ]),
  )
  expect(reconciled.settled).toBeGreaterThan(0)
  expect(reconciled.released).toBeGreaterThan(0)
  expect(Date.parse(day.clockChange)).toBeGreaterThan(Date.parse(day.from))
  expect(Date.parse(day.clockChange)).toBeLessThan(Date.parse(day.to))
  expect(localDate('Europe/Berlin', Date.parse(day.from))).not.toBe(
    localDate('Europe/Berlin', Date.parse(day.to)),
  )
})

test('the comparison finds an atom too much or too little, wherever it is', async () => {
  const gateway = await startFragileGateway()
  onTestFinished(() => gateway.close())
  for (let n = 0; n < 3; n += 1) expect((await gateway.pay()).status).toBe(200)
  const compare = async (moved: bigint): Promise<readonly string[]> =>
    (await holdBooksTogether(gateway, moved, 'UTC', ['all'])).differences
  expect(await compare(3000n)).toEqual([])
  expect(await compare(3001n)).toHaveLength(5)
  const db = new DatabaseSync(gateway.ledgerPath)
  db.exec(`UPDATE totals SET spent = '3001'`)
  expect(await compare(3000n)).toEqual([
    'ledger says 3001, and the chain says 3000',
    'the windows of all add up to 3001',
  ])
  db.exec(`UPDATE totals SET spent = '3000', uncertain = '1'`)
  expect(await compare(3000n)).toEqual(['all still counts 1 that is not decided'])
  db.close()
})

test('finds when the clocks of a place change', () => {
  const at = (text: string): number => Date.parse(text)
  expect(nextClockChange('Europe/Berlin', at('2026-11-21T10:00:00Z'))).toBe(at('2027-03-28T01:00:00Z'))
  expect(nextClockChange('Europe/Berlin', at('2027-06-01T10:00:00Z'))).toBe(at('2027-10-31T01:00:00Z'))
  expect(nextClockChange('America/New_York', at('2026-11-21T10:00:00Z'))).toBe(at('2027-03-14T07:00:00Z'))
})
