import { expect, test } from 'vitest'
import { fakeTime, toyPayer } from '../../src/testing/index.ts'
import { describeProvider } from '../../src/testing/suites.ts'

describeProvider('the toy payer', async () => toyPayer())

test('fake time fires what is due in its order, at its instant, and nothing that was cancelled', () => {
  const { clock, timers, advance } = fakeTime(1000)
  const seen: [string, number][] = []
  const note = (name: string) => (): void => void seen.push([name, clock.now()])
  timers.after(30, note('late'))
  timers.after(10, () => {
    note('first')()
    timers.after(5, note('nested'))
  })
  timers.after(20, note('never'))()
  advance(29)
  expect(seen).toEqual([
    ['first', 1010],
    ['nested', 1015],
  ])
  expect(clock.now()).toBe(1029)
  advance(1)
  expect(seen.at(-1)).toEqual(['late', 1030])
})

test('the toy payer remembers how its charges ended', async () => {
  const payer = toyPayer()
  await payer.closed('chg_1', { state: 'settled', transaction: '0x1' })
  expect([...payer.outcomes]).toEqual([['chg_1', { state: 'settled', transaction: '0x1' }]])
})
