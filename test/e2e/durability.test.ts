/** Rule 9 through the whole gateway: what fails beneath it closes paid routes and nothing else, and they open again by themselves. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, readFileSync, renameSync, truncateSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { verifyAudit } from '../../src/io/audit/audit-verify.ts'
import { startFragileGateway, type FragileGateway } from '../kit/fragile-gateway.ts'
import { ask, errorOf } from '../kit/gateway.ts'

let tollway: FragileGateway

beforeEach(async () => {
  tollway = await startFragileGateway()
})

afterEach(async () => {
  await tollway.close().catch(() => undefined)
})

async function readiness(): Promise<unknown> {
  const answer = await fetch(`${tollway.url}/health/ready`)
  const { status, reason } = (await answer.json()) as { status: string; reason?: string }
  return [answer.status, reason ?? status]
}

/** A paid request is refused with 503: to be tried again soon, nothing spent. */
async function expectRefused(code: string): Promise<void> {
  const answer = await tollway.pay()
  expect([answer.status, (await errorOf(answer)).code]).toEqual([503, code])
  expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
  expect(Number(answer.headers.get('retry-after'))).toBeLessThanOrEqual(60)
  expect(answer.headers.get('x-tollway-spent')).toBe('no')
}

async function expectClosedForPaidOnly(code: string): Promise<void> {
  const before = tollway.seller.counts()
  const signed = tollway.payer.payments.length
  // The first finds out, the ones behind it are refused before the seller is asked at all.
  await expectRefused(code)
  const found = tollway.seller.counts()
  expect(found.paid).toBe(before.paid)
  const signedByFirst = tollway.payer.payments.length - signed
  expect(signedByFirst).toBeLessThanOrEqual(1)
  await expectRefused(code)
  await Promise.all([expectRefused(code), expectRefused(code), expectRefused(code)])
  expect(tollway.seller.counts()).toEqual(found)
  expect(tollway.payer.payments.length - signed).toBe(signedByFirst)

  const free = await ask(tollway.url, { model: 'free' })
  expect([free.status, await free.json()]).toEqual([200, { free: true }])
  const unclaimed = await ask(tollway.url, { model: 'anything' })
  expect([unclaimed.status, await unclaimed.json()]).toEqual([200, { free: true }])
  for (const path of ['/v1/models', '/v1/files', '/health/live', '/metrics']) {
    expect((await fetch(`${tollway.url}${path}`)).status, path).toBe(200)
  }
  // What paid calls answer, readiness answers.
  expect(await readiness()).toEqual([503, code])
}

async function expectOpenAgain(): Promise<void> {
  const { paid } = tollway.seller.counts()
  const answers = await Promise.all([tollway.pay(), tollway.pay(), tollway.pay()])
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200])
  expect(tollway.seller.counts().paid).toBe(paid + 3)
  expect(await readiness()).toEqual([200, 'ok'])
}

/** Ledger, metrics, audit file and seller agree on what was spent, and each charge's records are in the order of its moves. */
async function expectBooksToAgree(): Promise<void> {
  const { ledger, config } = tollway.gateway.parts
  const amount = BigInt(tollway.seller.counts().paid) * 1000n
  const [status] = await ledger.budgets(config.budgets)
  expect(status?.totals).toEqual({ spent: amount, held: 0n, authorized: 0n, uncertain: 0n })
  expect(await ledger.store.sum('settled')).toMatchObject({ microUsd: amount })
  expect(await tollway.metric('tollway_spend_atomic_total')).toBe(Number(amount))
  const records = await tollway.audit()
  const settled = records.filter(({ type }) => type === 'charge.settled')
  expect(settled).toHaveLength(tollway.seller.counts().paid)
  expect(new Set(settled.map(({ charge }) => charge)).size).toBe(settled.length)
  for (const { charge } of settled) {
    expect(
      records.filter((record) => record['charge'] === charge && record['type'] !== 'request'),
    ).toMatchObject([
      { type: 'charge.held', state: 'held' },
      { type: 'charge.authorized', state: 'authorized' },
      { type: 'charge.settled', state: 'settled', transaction: expect.stringMatching(/^0x[0-9a-f]{64}$/) },
    ])
  }
  expect(await verifyAudit(tollway.auditPath)).toMatchObject({ ok: true, openIntents: [], torn: false })
}

/** Holds the ledger in another process until the returned function is called. */
async function lockElsewhere(path: string): Promise<() => Promise<void>> {
  const script = `
    const { DatabaseSync } = require('node:sqlite')
    const db = new DatabaseSync(process.argv[1])
    db.exec('BEGIN EXCLUSIVE')
    console.log('locked')
    process.stdin.once('data', () => { db.exec('ROLLBACK'); db.close(); process.exit(0) })`
  const child = spawn(process.execPath, ['-e', script, path], { stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = once(child, 'exit')
  await once(createInterface({ input: child.stdout }), 'line')
  return async () => {
    child.stdin.end('go')
    await ended
  }
}

interface Fault {
  readonly name: string
  readonly code: 'store_unavailable' | 'audit_unavailable'
  /** Begins the fault; what it returns ends it. */
  readonly begin: () => (() => unknown) | Promise<() => unknown>
}

const faults: Fault[] = [
  {
    name: 'a full disk at the commit',
    code: 'store_unavailable',
    begin: () => (tollway.failStatement('COMMIT', 13), () => tollway.mend()),
  },
  {
    name: "a disk that fails the log's sync",
    code: 'store_unavailable',
    begin: () => (tollway.failStatement('COMMIT', 1034), () => tollway.mend()),
  },
  {
    name: 'a ledger that became read-only (SQLite answers so itself)',
    code: 'store_unavailable',
    begin: () => {
      tollway.db.exec('PRAGMA query_only = ON')
      return () => tollway.db.exec('PRAGMA query_only = OFF')
    },
  },
  {
    name: 'a ledger that another process holds locked for longer than we wait',
    code: 'store_unavailable',
    begin: () => lockElsewhere(tollway.ledgerPath),
  },
  {
    name: 'a ledger that was moved away',
    code: 'store_unavailable',
    begin: () => {
      renameSync(tollway.ledgerPath, `${tollway.ledgerPath}.away`)
      return () => renameSync(`${tollway.ledgerPath}.away`, tollway.ledgerPath)
    },
  },
  {
    name: 'an audit file without space',
    code: 'audit_unavailable',
    begin: () => (tollway.failAudit('write', 'ENOSPC'), () => tollway.mend()),
  },
  {
    name: 'an audit file that takes bytes and cannot sync them',
    code: 'audit_unavailable',
    begin: () => (tollway.failAudit('sync', 'EIO'), () => tollway.mend()),
  },
  {
    name: 'an audit file that somebody else appended to',
    code: 'audit_unavailable',
    begin: () => {
      const size = readFileSync(tollway.auditPath).length
      appendFileSync(tollway.auditPath, 'x')
      return () => truncateSync(tollway.auditPath, size)
    },
  },
]

describe.each(faults)('$name', ({ code, begin }) => {
  test('rule 9: closes paid routes and no others, and they open again without a restart', async () => {
    expect((await tollway.pay()).status).toBe(200)
    const end = await begin()
    await expectClosedForPaidOnly(code)
    await end()
    await expectOpenAgain()
    await expectBooksToAgree()
  })

  test('what was in flight is answered, and booked afterwards exactly once', async () => {
    const held = tollway.seller.hold()
    const inFlight = [tollway.pay(), tollway.pay(), tollway.pay()]
    await held.arrived
    await expect.poll(() => tollway.seller.counts().paid).toBe(3)
    const end = await begin()
    held.answer()
    const answers = await Promise.all(inFlight)
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200])
    expect(answers.map(({ headers }) => headers.get('x-tollway-spent'))).toEqual(['yes', 'yes', 'yes'])
    expect(await readiness()).toEqual([503, code])
    await end()
    await expectOpenAgain()
    await expectBooksToAgree()
  })
})
