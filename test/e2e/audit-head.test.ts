/** The ledger knows the audit file's last record as soon as a payment is recorded, not only with the next heartbeat. */
import { readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { movesMoney } from '../../src/app/wiring/open-audit.ts'
import { missingRecords } from '../../src/io/audit/audit-missing.ts'
import { verifyAudit } from '../../src/io/audit/audit-verify.ts'
import { cash } from '../../providers/cash.ts'
import { configFor, startFragileGateway, type FragileGateway } from '../kit/fragile-gateway.ts'
import { startGateway } from '../kit/gateway.ts'

let tollway: FragileGateway

beforeEach(async () => {
  // No heartbeat comes in the time of a test: it would note the position as well.
  const real = globalThis.setInterval
  vi.spyOn(globalThis, 'setInterval').mockImplementation(() => real(() => undefined, 2 ** 31 - 1))
  tollway = await startFragileGateway()
})
afterEach(async () => {
  await tollway.close().catch(() => undefined)
  vi.restoreAllMocks()
})

const noted = async () =>
  (await tollway.gateway.parts.ledger.store.auditHeads()).find(({ file }) => file === tollway.auditPath)

test('every record of a paid request is noted at once, and a cut of any of them is seen', async () => {
  for (let n = 0; n < 3; n++) {
    await (await tollway.pay()).text()
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

test('a charge whose payment is decided is noted before its request ends', async () => {
  await (await tollway.pay()).text()
  const [charge] = await tollway.gateway.parts.ledger.store.charges()
  if (!charge) throw new Error('nothing was paid')
  const noting = (['held', 'authorized', 'settled', 'uncertain', 'released'] as const).filter((state) =>
    movesMoney({ type: 'charge', from: 'authorized', charge: { ...charge, state } }),
  )
  expect(noting).toEqual(['settled', 'uncertain', 'released'])
})

test('a cut tail is told by the next start, in the log and in the chain itself', async () => {
  await (await tollway.pay()).text()
  await expect.poll(async () => (await noted())?.seq).toBe(tollway.gateway.parts.audit.head().seq)
  await tollway.gateway.close()
  const lines = readFileSync(tollway.auditPath, 'utf8').trimEnd().split('\n')
  writeFileSync(tollway.auditPath, `${lines.slice(0, -2).join('\n')}\n`)
  const log: string[] = []
  const next = await startGateway(
    {
      ...configFor(tollway.seller),
      store: `sqlite:${tollway.ledgerPath}`,
      audit: { path: tollway.auditPath },
      log: { level: 'error' },
    },
    { payers: new Map([['base', cash()]]), writeLog: (line) => log.push(line) },
  )
  try {
    const missing = `records ${lines.length - 1} to ${lines.length}`
    expect(
      log.filter((line) =>
        line.includes(`the audit file lacks records that the ledger knows of (${missing})`),
      ),
    ).toHaveLength(1)
    expect(await next.audit()).toContainEqual(
      expect.objectContaining({ type: 'audit.records_missing', missing, noted_seq: lines.length }),
    )
  } finally {
    await next.close()
  }
})
