/** A file of 100,000 records: any changed byte is found and named, in memory that does not grow with the file. */
import { closeSync, openSync, readSync, statSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import * as fc from 'fast-check'
import { composeRecord, EMPTY_HEAD, type AuditHead } from '../../src/io/audit/audit-record.ts'
import { verifyAudit } from '../../src/io/audit/audit-verify.ts'
import { auditPlace, NOW } from './kit.ts'

const place = auditPlace()
const RECORDS = 100_000

/** Writes the file, and where each record begins. */
function writeLarge(path: string): {
  readonly starts: Float64Array
  readonly head: AuditHead
  readonly size: number
} {
  const starts = new Float64Array(RECORDS + 1)
  const lines: Buffer[] = []
  let head = EMPTY_HEAD
  let size = 0
  for (let n = 0; n < RECORDS; n++) {
    const composed = composeRecord(head, NOW + n, 'charge.settled', { charge: `chg_${n}`, amount: '23000' })
    starts[n] = size
    size += composed.line.length
    lines.push(composed.line)
    head = composed.head
  }
  starts[RECORDS] = size
  writeFileSync(path, Buffer.concat(lines))
  return { starts, head, size }
}

describe('a file of 100,000 records', () => {
  test('is proven, and any changed byte is found at its record', async () => {
    const path = join(place.directory, 'large.jsonl')
    const { starts, head, size } = writeLarge(path)
    const before = process.memoryUsage()
    expect(await verifyAudit(path, { heads: [head] })).toMatchObject({ ok: true, records: RECORDS })
    const after = process.memoryUsage()
    // External memory is where the chunks of the file are: the file has some 25 MB.
    expect(statSync(path).size).toBe(size)
    expect(after.external - before.external).toBeLessThan(16_000_000)
    const file = openSync(path, 'r+')
    try {
      // Those near the end cost a whole run each: most are drawn from the first part, some from anywhere.
      const anywhere = fc.nat({ max: size - 1 })
      const early = fc.nat({ max: Math.floor(size / 20) })
      await fc.assert(
        fc.asyncProperty(
          fc.oneof({ weight: 12, arbitrary: early }, { weight: 1, arbitrary: anywhere }),
          fc.integer({ min: 1, max: 255 }),
          async (at, flip) => {
            const line = starts.findLastIndex((start) => start <= at) + 1
            const byte = byteOf(path, at)
            writeSync(file, Uint8Array.of(byte ^ flip), 0, 1, at)
            const verdict = await verifyAudit(path)
            writeSync(file, Uint8Array.of(byte), 0, 1, at)
            expect(verdict).toMatchObject({ ok: false, line, seq: line, kind: 'tampered' })
          },
        ),
        { numRuns: 25, endOnFailure: true },
      )
    } finally {
      closeSync(file)
    }
    expect(await verifyAudit(path, { heads: [head] })).toMatchObject({ ok: true })
  })
})

function byteOf(path: string, at: number): number {
  const file = openSync(path, 'r')
  try {
    const byte = new Uint8Array(1)
    readSync(file, byte, 0, 1, at)
    return byte[0] ?? 0
  } finally {
    closeSync(file)
  }
}
