import { readFileSync, truncateSync, writeFileSync } from 'node:fs'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { composeRecord, EMPTY_HEAD, MAX_RECORD_BYTES } from '../../src/io/audit/audit-record.ts'
import { verifyAudit } from '../../src/io/audit/audit-verify.ts'
import { auditPlace, NOW } from './kit.ts'

const place = auditPlace()

/** Writes a file of these records. */
function write(records: readonly [string, Record<string, unknown>][]): Buffer {
  let head = EMPTY_HEAD
  const lines = records.map(([type, fields]) => {
    const composed = composeRecord(head, NOW, type, fields)
    head = composed.head
    return composed.line
  })
  const bytes = Buffer.concat(lines)
  writeFileSync(place.path, bytes)
  return bytes
}

const many = (count: number): Buffer =>
  write(Array.from({ length: count }, (_, n) => ['note', { n, text: 'ä€𝄞 "\\ \u0000' }]))

/** Number of the line a byte lies in, from 1. */
const lineOf = (bytes: Buffer, at: number): number =>
  bytes.subarray(0, at).filter((byte) => byte === 0x0a).length + 1

describe('a whole file', () => {
  test('reports its head, and the charges that were authorized without a later record', async () => {
    const of = (type: string, charge: string): [string, Record<string, unknown>] => [type, { charge }]
    write([
      ['instance.started', {}],
      of('charge.held', 'chg_held'),
      of('charge.authorized', 'chg_open'),
      of('charge.authorized', 'chg_settled'),
      of('charge.authorized', 'chg_uncertain'),
      of('charge.authorized', 'chg_released'),
      of('charge.settled', 'chg_settled'),
      of('charge.uncertain', 'chg_uncertain'),
      of('charge.released', 'chg_released'),
      of('charge.authorized', 'chg_open_too'),
      of('note', 'chg_open'),
    ])
    expect(await verifyAudit(place.path)).toEqual({
      ok: true,
      records: 11,
      head: { seq: 11, hash: expect.stringMatching(/^[0-9a-f]{64}$/) },
      openIntents: ['chg_open', 'chg_open_too'],
      torn: false,
      from: { ...EMPTY_HEAD, signed: false },
      checkpoints: { count: 0, last: undefined, unsigned: 11, keys: [] },
    })
  })

  test('may be empty, and is whole then', async () => {
    writeFileSync(place.path, '')
    expect(await verifyAudit(place.path)).toEqual({
      ok: true,
      records: 0,
      head: EMPTY_HEAD,
      openIntents: [],
      torn: false,
      from: { ...EMPTY_HEAD, signed: false },
      checkpoints: { count: 0, last: undefined, unsigned: 0, keys: [] },
    })
  })

  test('may be longer than one read, with records of any length', async () => {
    write(Array.from({ length: 40 }, (_, n) => ['note', { text: 'x'.repeat((n * 7919) % 200_000) }]))
    expect(await verifyAudit(place.path)).toMatchObject({ ok: true, records: 40 })
  })

  test('verifies records of any plain data', async () => {
    const fields = fc.dictionary(
      fc.string({ unit: 'binary', maxLength: 8 }).map((name) => `f ${name}`),
      fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.constant('\ud800 lone'),
        fc.maxSafeInteger(),
        fc.bigInt(),
        fc.boolean(),
        fc.constant(null),
        fc.array(fc.string()),
        fc.constantFrom(JSON.parse('{"__proto__": "own"}') as object, { toJSON: 'text' }, -0),
      ),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(fields, { maxLength: 5 }), async (list) => {
        write(list.map((one) => ['note', one]))
        expect(await verifyAudit(place.path)).toMatchObject({ ok: true, records: list.length })
      }),
    )
  })

  test('is distinguished from a missing one', async () => {
    await expect(verifyAudit(place.path)).rejects.toThrow(/There is no audit file/)
  })
})

describe('a changed file', () => {
  test('is detected at the line of any changed byte', async () => {
    const whole = many(8)
    const last = whole.length - 1
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: last - 1 }), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
        const bytes = Buffer.from(whole)
        bytes.writeUInt8(bytes.readUInt8(at) ^ flip, at)
        writeFileSync(place.path, bytes)
        const line = lineOf(whole, at)
        expect(await verifyAudit(place.path)).toMatchObject({ ok: false, line, seq: line })
      }),
      { numRuns: 400 },
    )
  })

  test('is detected for any single bit of a short file', async () => {
    const whole = write([['note', { charge: 'chg_1', amount: 1n }]])
    for (let bit = 0; bit < (whole.length - 1) * 8; bit++) {
      const bytes = Buffer.from(whole)
      bytes.writeUInt8(bytes.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
      writeFileSync(place.path, bytes)
      expect(await verifyAudit(place.path), `bit ${bit}`).toMatchObject({ ok: false, line: 1 })
    }
  })

  test('is distinguished from a line that was being written when its last line end changed', async () => {
    const whole = many(3)
    whole.writeUInt8(0x20, whole.length - 1)
    writeFileSync(place.path, whole)
    expect(await verifyAudit(place.path)).toMatchObject({
      ok: false,
      line: 3,
      why: expect.stringMatching(/line end/),
    })
    writeFileSync(place.path, whole.subarray(0, -1))
    expect(await verifyAudit(place.path)).toMatchObject({ ok: true, records: 2, torn: true })
  })

  test('is detected where a record was removed, repeated, swapped or inserted', async () => {
    many(5)
    const lines = readFileSync(place.path, 'utf8').split('\n').slice(0, -1)
    const [a = '', b = '', c = '', d = '', e = ''] = lines
    const foreign = composeRecord(EMPTY_HEAD, NOW, 'note', {}).line.toString().trim()
    const cases: [string[], number, RegExp][] = [
      [[b, c, d, e], 1, /sequence number is 2 instead of 1/],
      [[a, b, d, e], 3, /sequence number is 4 instead of 3/],
      [[a, b, b, c, d, e], 3, /sequence number is 2/],
      [[a, c, b, d, e], 2, /sequence number is 3/],
      [[a, foreign, b, c, d, e], 2, /sequence number is 1/],
      [[foreign, b, c, d, e], 2, /prev is not the hash/],
      [[a, b, '', c, d, e], 3, /not valid JSON/],
      [[a, `${b} `, c, d, e], 2, /not canonical JSON/],
      [[a, b.replace('"n":1', '"n":9'), c, d, e], 2, /hash does not match its content/],
      [[a, '[]', c, d, e], 2, /not a JSON object/],
      [[a, '{}', c, d, e], 2, /no sequence number/],
      [[a, '{"seq":2}', c, d, e], 2, /no type, prev or hash/],
      [[a, 'x'.repeat(MAX_RECORD_BYTES), c, d, e], 2, /over 1048576 bytes/],
    ]
    for (const [changed, line, why] of cases) {
      writeFileSync(place.path, `${changed.join('\n')}\n`)
      expect(await verifyAudit(place.path)).toEqual({
        ok: false,
        file: place.path,
        kind: 'tampered',
        line,
        seq: line,
        why: expect.stringMatching(why),
      })
    }
  })

  test('is detected for bytes that are not UTF-8, even if they read like the original', async () => {
    const whole = write([['note', { text: '\ufffd' }]])
    const at = whole.indexOf(Buffer.from('\ufffd'))
    writeFileSync(place.path, Buffer.concat([whole.subarray(0, at), Buffer.of(0xff), whole.subarray(at + 3)]))
    expect(await verifyAudit(place.path)).toMatchObject({ ok: false, line: 1 })
  })

  test('is detected by the record after a forged one with a valid hash', async () => {
    many(3)
    const lines = readFileSync(place.path, 'utf8').split('\n')
    lines[0] = composeRecord(EMPTY_HEAD, NOW, 'note', { n: 99 }).line.toString().trim()
    writeFileSync(place.path, lines.join('\n'))
    expect(await verifyAudit(place.path)).toMatchObject({
      ok: false,
      line: 2,
      why: expect.stringMatching(/prev/),
    })
  })

  test('is valid up to a cut at any byte, or incomplete; a copy of the head shows what is missing', async () => {
    const whole = many(4)
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: whole.length }), async (keep) => {
        writeFileSync(place.path, whole)
        truncateSync(place.path, keep)
        expect(await verifyAudit(place.path)).toMatchObject({
          ok: true,
          records: lineOf(whole, keep) - 1,
          torn: keep > 0 && whole[keep - 1] !== 0x0a,
        })
      }),
    )
  })
})
