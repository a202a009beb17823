/** What is missing of an audit file at the start: a cut end, another end in its place, rotated files that were removed. */
import { copyFileSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { missingRecords } from '../../src/io/audit/audit-missing.ts'
import type { AuditHead } from '../../src/io/audit/audit-record.ts'
import { archivesOf, chainOf } from '../../src/io/audit/audit-rotate.ts'
import { verifyAudit } from '../../src/io/audit/audit-verify.ts'
import { auditPlace } from './kit.ts'

const place = auditPlace()

/** Writes `count` records and closes the file. @returns the head after each record */
async function write(
  count: number,
  options: Parameters<typeof place.open>[1] = {},
  text = 'x',
): Promise<AuditHead[]> {
  const file = await place.open(undefined, options)
  const heads: AuditHead[] = []
  for (let n = 0; n < count; n++) heads.push(await file.append('note', { n, text }, { durable: true }))
  await file.close()
  return heads
}

const last = (heads: readonly AuditHead[]): AuditHead => heads.at(-1) ?? { seq: 0, hash: '' }

/** Removes the last records of the file. */
function cut(records: number): void {
  const lines = readFileSync(place.path, 'utf8').trimEnd().split('\n')
  const kept = lines.slice(0, lines.length - records).map((line) => `${line}\n`)
  truncateSync(place.path, Buffer.byteLength(kept.join('')))
}

/** @returns what both the start and `tollway audit verify` say: whether something is missing */
async function judged(known: AuditHead): Promise<[boolean, boolean]> {
  const verdict = await verifyAudit(chainOf(place.path), { heads: [known], complete: true })
  return [(await missingRecords(place.path, known)) !== undefined, !verdict.ok]
}

describe('the end of an audit file', () => {
  test('is missed when it was cut, by any number of records, and never when it was not', async () => {
    const heads = await write(12)
    const whole = readFileSync(place.path)
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 11 }),
        fc.integer({ min: 0, max: 11 }),
        async (gone, noted) => {
          writeFileSync(place.path, whole)
          cut(gone)
          const known = heads[noted] ?? last(heads)
          const isMissing = known.seq > heads.length - gone
          expect(await judged(known)).toEqual([isMissing, isMissing])
        },
      ),
      { numRuns: 40 },
    )
  })

  test('is missed when an older copy was put back, also when it has grown since', async () => {
    await write(5)
    copyFileSync(place.path, `${place.path}.copy`)
    const heads = await write(4, {}, 'what was written')
    renameSync(`${place.path}.copy`, place.path)
    expect(await judged(last(heads))).toEqual([true, true])
    await write(9, {}, 'what stands there now')
    expect(await judged(last(heads))).toEqual([true, true])
    expect(await missingRecords(place.path, last(heads))).toBe('record 9')
  })

  test('is not missed after a crash: what was written behind the noted record is no loss', async () => {
    const heads = await write(6)
    for (const known of heads) expect(await judged(known)).toEqual([false, false])
  })
})

describe('rotated files', () => {
  const rotating = { rotateBytes: 600 }

  test('are missed when one of them was removed, whichever', async () => {
    const heads = await write(20, rotating)
    const archives = archivesOf(place.path)
    expect(archives.length).toBeGreaterThan(3)
    expect(await judged(last(heads))).toEqual([false, false])
    for (const { path } of archives) {
      renameSync(path, `${place.path}.away`)
      expect(await judged(last(heads)), path).toEqual([true, true])
      renameSync(`${place.path}.away`, path)
    }
  })

  test('are missed when all of them were removed, and the one being written', async () => {
    const heads = await write(20, rotating)
    for (const { path } of archivesOf(place.path)) rmSync(path)
    expect(await judged(last(heads))).toEqual([true, true])
    rmSync(place.path)
    expect(await missingRecords(place.path, last(heads))).toBe(`records 1 to ${last(heads).seq}`)
  })

  test('are not missed when they were deleted as configured', async () => {
    const heads = await write(30, { ...rotating, retain: 2 })
    const [oldest] = archivesOf(place.path)
    expect(oldest?.lastSeq).toBeGreaterThan(5)
    expect(await judged(last(heads))).toEqual([false, false])
    // More than that was deleted.
    rmSync(oldest?.path ?? '')
    expect(await judged(last(heads))).toEqual([true, true])
  })

  test('hold the noted record wherever it is', async () => {
    const heads = await write(20, rotating)
    for (const known of heads) expect(await judged(known)).toEqual([false, false])
  })
})
