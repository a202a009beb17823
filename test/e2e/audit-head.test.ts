/** The ledger knows the audit file's last record as soon as a payment is recorded, not only with the next heartbeat. */
import { readFileSync, truncateSync } from 'node:fs'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { missingRecords } from '../../src/io/audit/audit-missing.ts'
import { verifyAudit } from '../../src/io/audit/audit-verify.ts'
import { startFragileGateway, type FragileGateway } from '../kit/fragile-gateway.ts'

let tollway: FragileGateway

beforeEach(async () => {
  tollway = await startFragileGateway()
})
afterEach(async () => {
  await tollway.close().catch(() => undefined)
})

const noted = async () =>
  (await tollway.gateway.parts.ledger.store.auditHeads()).find(({ file }) => file === tollway.auditPath)

test('every record of a paid request is noted at once, and a cut of any of them is seen', async () => {
  for (let n = 0; n < 3; n++) {
    await (await tollway.pay()).text()
    // No heartbeat comes in the time of this test.
    await expect
      .poll(async () => {
        const records = await tollway.audit()
        return [records.at(-1)?.['type'], (await noted())?.seq]
      })
      .toEqual(['request', expect.any(Number)])
    await expect.poll(async () => (await noted())?.seq).toBe(tollway.gateway.parts.audit.head().seq)
  }
  const known = await noted()
  if (!known) throw new Error('nothing was noted')
  expect(await missingRecords(tollway.auditPath, known)).toBeUndefined()
  const text = readFileSync(tollway.auditPath, 'utf8').trimEnd()
  truncateSync(tollway.auditPath, text.lastIndexOf('\n') + 1)
  expect(await missingRecords(tollway.auditPath, known)).toBe(`records ${known.seq} to ${known.seq}`)
  expect(await verifyAudit(tollway.auditPath, { heads: [known] })).toMatchObject({
    ok: false,
    kind: 'truncated',
  })
})

test('what was noted is on the disk: an audit file that cannot be synced is not noted further', async () => {
  await (await tollway.pay()).text()
  await expect.poll(async () => (await noted())?.seq).toBe(tollway.gateway.parts.audit.head().seq)
  const before = await noted()
  const held = tollway.seller.hold()
  const inFlight = tollway.pay()
  await held.arrived
  tollway.failAudit('sync', 'EIO')
  held.answer()
  await (await inFlight).text()
  await expect.poll(async () => (await tollway.audit()).at(-1)?.['type']).toBe('request')
  expect((await noted())?.seq).toBeLessThan(tollway.gateway.parts.audit.head().seq)
  expect((await noted())?.seq).toBeGreaterThanOrEqual(before?.seq ?? 0)
})
