import { expect, test } from 'vitest'
import { AuditQueue } from '../../src/io/audit/audit-queue.ts'
import { FragileAudit, noSpace } from './kit.ts'

const UNAVAILABLE = { name: 'TollwayError', code: 'audit_unavailable', status: 503 }

function openQueue() {
  const audit = new FragileAudit()
  let failures = 0
  const queue = new AuditQueue(audit, () => (failures += 1))
  return { audit, queue, failures: () => failures }
}

test('writes records that failed together later, in the order of the calls', async () => {
  const { audit, queue } = openQueue()
  audit.outage = noSpace()
  await Promise.all([1, 2, 3, 4].map((n) => queue.keep('charge.settled', { n })))
  expect(audit.written).toEqual([])
  audit.outage = undefined
  await queue.flush()
  expect(audit.written.map(({ fields }) => fields['n'])).toEqual([1, 2, 3, 4])
})

test('writes a new record after older ones that are being retried', async () => {
  const { audit, queue } = openQueue()
  audit.next.push(noSpace())
  await queue.keep('charge.uncertain', { n: 1 })
  expect(audit.written).toEqual([])
  await Promise.all([
    queue.flush(),
    queue.keep('charge.settled', { n: 2 }),
    queue.write('charge.held', { n: 3 }, false),
  ])
  expect(audit.written.map(({ fields }) => fields['n'])).toEqual([1, 2, 3])
})

test('rule 9: refuses new records while an older one waits, and writes none twice', async () => {
  const { audit, queue, failures } = openQueue()
  audit.outage = noSpace()
  await queue.keep('charge.settled', { n: 1 })
  await expect(queue.write('charge.held', { n: 2 }, false)).rejects.toMatchObject(UNAVAILABLE)
  await expect(queue.check()).rejects.toMatchObject(UNAVAILABLE)
  expect(failures()).toBe(3)
  audit.outage = undefined
  await Promise.all([queue.flush(), queue.flush(), queue.check()])
  expect(audit.written.map(({ fields }) => fields['n'])).toEqual([1])
})

test('rule 9: detects that the file would refuse a record without writing one', async () => {
  const { audit, queue } = openQueue()
  audit.outage = new Error('it was deleted')
  await expect(queue.check()).rejects.toMatchObject(UNAVAILABLE)
  expect(audit.written).toEqual([])
})

test('writes a record without its forbidden field and does not block other records', async () => {
  const { audit, queue, failures } = openQueue()
  const model = 'ab'.repeat(65)
  await queue.keep('charge.settled', { charge: 'chg_1', model, amount: 1000n, signature: 'x' })
  await queue.write('charge.held', { charge: 'chg_2', model, text: 'x'.repeat(2 ** 21) }, true)
  expect(audit.written).toEqual([
    { type: 'charge.settled', fields: { charge: 'chg_1', model: '(not recorded)', amount: 1000n } },
    { type: 'charge.held', fields: { charge: 'chg_2', model: '(not recorded)', text: 'x'.repeat(1000) } },
  ])
  expect(failures()).toBe(0)
})
