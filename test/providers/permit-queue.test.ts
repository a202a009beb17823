/** The line of payments that bring their allowance along: one after the other, and nobody waits past their reservation. */
import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { PermitQueue } from '../../providers/shared/permit-queue.ts'
import { ManualTimers } from '../kit/manual-timers.ts'

const never = new AbortController().signal

test('a payment that waits too long fails in time, and the next still waits for the earlier ones', async () => {
  const timers = new ManualTimers()
  const line = new PermitQueue(timers)
  await line.enter('0xt', 'first', never)
  const second = line.enter('0xt', 'second', never)
  const third = line.enter('0xt', 'third', never)
  third.catch(() => undefined)
  await Promise.all([
    expect(second).rejects.toMatchObject({
      code: 'signer_unavailable',
      status: 503,
      message: expect.stringMatching(/still in flight.*Approve Permit2/),
    }),
    timers.fire(20_000),
  ])
  await timers.fire(20_000)
  await expect(third).rejects.toMatchObject({ code: 'signer_unavailable' })
  const fourth = line.enter('0xt', 'fourth', never)
  let isIn = false
  const entered = fourth.finally(() => {
    isIn = true
  })
  await setImmediate()
  expect(isIn).toBe(false)
  line.leave('first')
  await entered
  // Another token's line is its own, and whoever is in has no clock running.
  await line.enter('0xother', 'fifth', never)
  expect(timers.size).toBe(0)
})

test('a payment that leaves the queue is skipped', async () => {
  const line = new PermitQueue(new ManualTimers())
  await line.enter('0xt', 'first', never)
  const leaving = new AbortController()
  const second = line.enter('0xt', 'second', leaving.signal)
  leaving.abort(new Error('left'))
  await expect(second).rejects.toThrow('left')
  line.leave('first')
  await line.enter('0xt', 'third', never)
})
