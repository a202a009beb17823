import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { traceOrder } from './order-on-disk/campaign.ts'
import { checkOrder } from './order-on-disk/order.ts'
import { parseTrace } from './order-on-disk/trace.ts'

const FILES = { ledger: '/d/tollway.db', audit: '/d/audit.jsonl' }
const NONCE = `0x${'a1'.repeat(32)}`
const hex = (text: string): string =>
  [...Buffer.from(text)].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')
const header = (nonce: string): string =>
  Buffer.from(JSON.stringify({ payload: { authorization: { nonce } } })).toString('base64')
const socket = 'TCP:[127.0.0.1:1->127.0.0.1:2]'
const request = (nonce: string): string =>
  `POST /v1 HTTP/1.1\r\nhost: s\r\nPAYMENT-SIGNATURE: ${header(nonce)}\r\n\r\n`

const log = (nonce: string): string =>
  `7 pwrite64(20</d/tollway.db-wal>, "${hex(`..${nonce}..`)}", 70, 32) = 70`
const logSync = '7 fdatasync(20</d/tollway.db-wal>) = 0'
const record = (nonce: string): string =>
  `7 pwrite64(21</d/audit.jsonl>, "${hex(`{"n":"${nonce}"}`)}", 74, 0) = 74`
const recordSync = ['9 fdatasync(21</d/audit.jsonl> <unfinished ...>', '9 <... fdatasync resumed>) = 0']
const sent = (nonce: string): string =>
  `7 write(23<${socket}>, "${hex(request(nonce))}", 1) = ${request(nonce).length}`

const check = (lines: string[]) => checkOrder(parseTrace(lines), FILES)
const good = [log(NONCE), logSync, record(NONCE), ...recordSync, sent(NONCE)]

describe('reading a trace', () => {
  test('finds that both files were synced before the request left', () => {
    const figures = { syncs: 1, charges: 1, most: 1 }
    expect(check(good)).toEqual({ payments: 1, violations: [], ledger: figures, audit: figures })
  })

  test.each([
    ['the log is synced after the request', [log(NONCE), record(NONCE), ...recordSync, sent(NONCE), logSync]],
    [
      'the log is synced before it is written',
      [logSync, log(NONCE), record(NONCE), ...recordSync, sent(NONCE)],
    ],
    [
      'the sync of the log fails',
      good.map((line) => line.replace('-wal>) = 0', '-wal>) = -1 EIO (Input/output error)')),
    ],
    ['the record is never written', good.filter((line) => line !== record(NONCE))],
    [
      "the record's sync has begun and not ended",
      [log(NONCE), logSync, record(NONCE), recordSync[0] ?? '', sent(NONCE), recordSync[1] ?? ''],
    ],
    [
      'the sync had begun when the record was written',
      [log(NONCE), logSync, recordSync[0] ?? '', record(NONCE), recordSync[1] ?? '', sent(NONCE)],
    ],
    ['another charge is recorded', good.map((line) => line.replace(log(NONCE), log(`0x${'b2'.repeat(32)}`)))],
  ])('finds it when %s', (_, lines) => {
    expect(check(lines)).toMatchObject({ payments: 1, violations: [expect.stringContaining(NONCE)] })
  })

  test('puts a request together that left in pieces, and takes its first byte', () => {
    const text = request(NONCE)
    const pieces = [text.slice(0, 9), text.slice(9, 60), text.slice(60)]
    const [first = '', ...rest] = pieces.map(
      (piece) => `7 writev(23<${socket}>, [{iov_base="${hex(piece)}", iov_len=9}], 1) = ${piece.length}`,
    )
    expect(check([...good.slice(0, -1), first, ...rest]).violations).toEqual([])
    expect(check([first, ...good.slice(0, -1), ...rest]).violations).toHaveLength(2)
  })

  test('counts how many charges a sync covered', () => {
    const other = `0x${'b2'.repeat(32)}`
    const lines = [
      log(NONCE),
      log(other),
      logSync,
      record(NONCE),
      record(other),
      ...recordSync,
      sent(NONCE),
      sent(other),
    ]
    expect(check(lines).ledger).toEqual({ syncs: 1, charges: 2, most: 2 })
  })

  test('refuses a trace whose bytes were cut off, or whose lines end in the middle', () => {
    expect(() => parseTrace([log(NONCE).replace('", 70', '"..., 70')])).toThrow(/larger -s/)
    expect(() => parseTrace(['7 fdatasync(20</d/x>'])).toThrow(/has no result|has no name/)
  })
})

test('rule 3: a real gateway syncs every charge before its signed request leaves, under concurrency; a control run without syncs is caught', async () => {
  const preload = join(import.meta.dirname, 'order-on-disk/no-sync.ts')
  const [report, control] = await Promise.all([
    traceOrder({ payments: 60, parallel: 20 }),
    traceOrder({ payments: 4, parallel: 2, preload }),
  ])
  expect(report).toMatchObject({
    payments: 60,
    violations: [],
    ledger: { charges: 60 },
    audit: { charges: 60 },
  })
  expect(report.ledger.most).toBeGreaterThan(1)
  expect(report.audit.most).toBeGreaterThan(1)
  expect(control.payments).toBe(4)
  expect(control.violations).toHaveLength(4)
})
