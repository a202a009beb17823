/** A crash between a move and its audit record leaves no gap in the file: the next process tells it. */
import { expect, test } from 'vitest'
import type { Charge } from '../../src/core/charge/charge.ts'
import { instance, NOW, signed } from '../store/samples.ts'
import { noSpace, openFragile, RULES, wanted } from './kit.ts'

type Opened = Awaited<ReturnType<typeof openFragile>>

async function authorized({ ledger }: Opened): Promise<Charge> {
  return await ledger.authorize(await ledger.reserve(wanted(), RULES, true), signed(1))
}

/** A process that stopped long ago, on another machine. */
const dead = instance('ins_dead', {
  host: 'far away',
  heartbeatAt: NOW - 3_600_000,
  startedAt: NOW - 7_200_000,
})

test('records the unpublished moves of a dead process once, and names that process', async () => {
  const opened = await openFragile()
  const { ledger, audit, real } = opened
  const charge = await authorized(opened)
  await real.register(dead)
  // Booked by the process that died before it wrote the record.
  await real.move(charge.id, { to: 'settled', at: NOW, reason: 'receipt', proof: 'receipt', by: dead.id })
  await ledger.retireDead()
  await ledger.retireDead()
  expect(audit.types(charge.id)).toEqual(['charge.held', 'charge.authorized', 'charge.settled'])
  expect(audit.written.at(-1)?.fields).toMatchObject({
    charge: charge.id,
    proof: 'receipt',
    told_for: dead.id,
  })
})

test('marks moves published for a dead process at once, so that a crash loop does not record them again', async () => {
  const opened = await openFragile()
  const { ledger, real } = opened
  const charge = await authorized(opened)
  await real.register(dead)
  await real.move(charge.id, { to: 'uncertain', at: NOW, reason: 'timeout', by: dead.id })
  await ledger.retireDead()
  expect(await real.outbox.adopt('ins_one', 'ins_two')).toEqual([])
})

test('marks published moves with the next heartbeat and does not record them again', async () => {
  const opened = await openFragile()
  const { ledger, real } = opened
  await ledger.settle(await authorized(opened), 'receipt', undefined)
  await ledger.beat()
  expect(await real.outbox.adopt('ins_one', 'ins_two')).toEqual([])
})

test('does not mark a move as published while its record waits for the disk', async () => {
  const opened = await openFragile()
  const { ledger, audit, real } = opened
  const charge = await authorized(opened)
  audit.outage = noSpace()
  await ledger.uncertain(charge, 'timeout')
  await ledger.beat().catch(() => undefined)
  expect(await real.outbox.adopt('ins_one', 'ins_one')).toMatchObject([{ id: charge.id, state: 'uncertain' }])

  audit.outage = undefined
  await ledger.beat()
  expect(await real.outbox.adopt('ins_one', 'ins_one')).toEqual([])
  expect(audit.types(charge.id)).toEqual(['charge.held', 'charge.authorized', 'charge.uncertain'])
})

test('does not mark a move as published when the disk may have lost its record', async () => {
  const opened = await openFragile()
  const { ledger, audit, real } = opened
  const charge = await ledger.settle(await authorized(opened), 'receipt', undefined)
  let lost = true
  audit.check = async () => {
    if (lost) throw noSpace()
  }
  await expect(ledger.beat()).rejects.toMatchObject({ code: 'audit_unavailable' })
  expect(await real.outbox.adopt('ins_one', 'ins_one')).toMatchObject([{ id: charge.id }])
  lost = false
  await ledger.beat()
  expect(await real.outbox.adopt('ins_one', 'ins_one')).toEqual([])
})

test('leaves nothing in the outbox after a normal close', async () => {
  const opened = await openFragile()
  const { ledger, real, replaced } = opened
  await authorized(opened)
  replaced.close = async () => undefined
  await ledger.close()
  expect(await real.outbox.adopt('ins_one', 'ins_two')).toEqual([])
  expect(await real.instances()).toEqual([])
})

test.each([`0x${'cd'.repeat(32)}`, undefined])(
  'records a pending settlement with the transaction that the seller named: %s',
  async (transaction) => {
    const opened = await openFragile()
    const { ledger, audit } = opened
    const charge = await authorized(opened)
    await ledger.uncertain(charge, 'settlement_pending', transaction)
    expect(audit.written.at(-1)).toMatchObject({
      type: 'charge.uncertain',
      fields: { charge: charge.id, reason: 'settlement_pending', transaction: transaction ?? null },
    })
  },
)
