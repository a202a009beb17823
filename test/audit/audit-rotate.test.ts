import nodeFs, {
  existsSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { composeRecord, EMPTY_HEAD } from '../../src/io/audit/audit-record.ts'
import { archivesOf, chainOf, overChain } from '../../src/io/audit/audit-rotate.ts'
import { checkpointSigner, newCheckpointKey } from '../../src/io/audit/audit-signer.ts'
import { verifyAudit } from '../../src/io/audit/audit-verify.ts'
import { auditPlace, fragileDisk, NOW, systemError } from './kit.ts'

const place = auditPlace()
const { pem, publicKey } = newCheckpointKey()
const signer = checkpointSigner(pem)

/** Writes `count` durable records, so that rotations happen as they come due. */
async function fill(file: Awaited<ReturnType<typeof place.open>>, count: number): Promise<void> {
  for (let n = 0; n < count; n++) await file.append('note', { n }, { durable: true })
}

describe('checkpoints', () => {
  test('sign the head after every so many records, and once more when the file is closed', async () => {
    const file = await place.open(undefined, { signer, checkpointEvery: 3 })
    await fill(file, 7)
    await file.close()
    expect(await verifyAudit(place.path, { publicKey })).toMatchObject({
      ok: true,
      records: 10,
      checkpoints: { count: 3, last: { seq: 9 }, keys: [publicKey] },
    })
  })

  test('detect a chain that was composed without the key, though every hash matches', async () => {
    const file = await place.open(undefined, { signer, checkpointEvery: 2 })
    await fill(file, 2)
    await file.close()
    const [, signed = ''] = readFileSync(place.path, 'utf8').split('\n')
    const {
      prev: _p,
      hash: _h,
      seq: _s,
      ts: _t,
      type,
      ...fields
    } = JSON.parse(signed) as Record<string, unknown>
    const first = composeRecord(EMPTY_HEAD, NOW, 'note', { n: 0 })
    const forged = composeRecord(first.head, NOW, 'note', { n: 99 })
    const own = newCheckpointKey()
    const at = new Date(NOW).toISOString()
    const claims = [
      [fields, /another place/],
      [{ ...fields, at_seq: 2, at_hash: forged.head.hash }, /signature is invalid/],
      [
        {
          at_seq: 2,
          at_hash: forged.head.hash,
          signed_at: at,
          key: own.publicKey,
          ed25519: checkpointSigner(own.pem).sign(forged.head, at),
        },
        /signed with another key/,
      ],
      [{ at_seq: 2, at_hash: forged.head.hash }, /incomplete/],
    ] as const
    for (const [claim, why] of claims) {
      const mark = composeRecord(forged.head, NOW, String(type), claim)
      writeFileSync(place.path, Buffer.concat([first.line, forged.line, mark.line]))
      expect(await verifyAudit(place.path, { publicKey })).toMatchObject({
        ok: false,
        line: 3,
        why: expect.stringMatching(why),
      })
    }
  })

  test('refuse an invalid key without repeating it', () => {
    for (const text of ['', 'secret-secret', pem.replace('PRIVATE', 'PUBLIC')]) {
      expect(() => checkpointSigner(text)).toThrow(/audit.signing_key does not hold an Ed25519/)
      expect(() => checkpointSigner(text)).not.toThrow(/secret-secret/)
    }
  })
})

describe('rotation', () => {
  test('continues the chain, and the files verify as one', async () => {
    const file = await place.open(undefined, { signer, rotateBytes: 2000 })
    await fill(file, 40)
    const head = file.head()
    await file.close()
    const files = chainOf(place.path)
    expect(files.length).toBeGreaterThan(3)
    for (const path of files) expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(await verifyAudit(files, { publicKey, heads: [head] })).toMatchObject({
      ok: true,
      torn: false,
      from: { seq: 0 },
    })
    const records = files.flatMap((path) => readFileSync(path, 'utf8').trim().split('\n'))
    expect(records.filter((line) => line.includes('"type":"note"'))).toHaveLength(40)
  })

  test('happens with the first record of a day', async () => {
    let now = Date.parse('2026-11-21T23:59:59Z')
    const file = await place.open(undefined, { rotateDaily: true, clock: { now: () => now } })
    await fill(file, 3)
    expect(archivesOf(place.path)).toEqual([])
    now = Date.parse('2026-11-22T00:00:01Z')
    await fill(file, 3)
    await file.close()
    expect(archivesOf(place.path)).toHaveLength(1)
    expect(await verifyAudit(chainOf(place.path))).toMatchObject({ ok: true, records: 7 })
  })

  test('detects a missing, swapped or repeated file', async () => {
    const file = await place.open(undefined, { rotateBytes: 1500 })
    await fill(file, 30)
    await file.close()
    const [a = '', b = '', c = '', ...rest] = chainOf(place.path)
    for (const [files, bad] of [
      [[a, c, ...rest], c],
      [[b, a, c, ...rest], a],
      [[a, b, b, c, ...rest], b],
    ] as const) {
      expect(await verifyAudit(files)).toMatchObject({ ok: false, kind: 'tampered', file: bad, line: 1 })
    }
  })

  test('leaves a chain that continues after a crash at any step', async () => {
    const file = await place.open(undefined, { signer })
    await fill(file, 5)
    await file.close()
    const archive = `${place.path}.${String(file.head().seq).padStart(12, '0')}`
    // The draft was written, the full file put away, and nothing put in its place.
    renameSync(place.path, archive)
    writeFileSync(`${place.path}.next`, 'half a li')
    const again = await place.open(undefined, { signer })
    await fill(again, 2)
    await again.close()
    expect(await verifyAudit(chainOf(place.path), { publicKey })).toMatchObject({ ok: true, torn: false })
    expect(readFileSync(place.path, 'utf8')).toContain('"type":"audit.continued"')
  })

  test('loses nothing when the disk refuses: the old file continues, and a later rotation succeeds', async () => {
    const { disk, fs } = fragileDisk()
    const file = await place.open(fs, { rotateBytes: 1000 })
    disk.renameErrors = [systemError('EACCES'), undefined, systemError('EIO')]
    await fill(file, 30)
    await file.close()
    expect(disk.renameErrors).toEqual([])
    expect(archivesOf(place.path).length).toBeGreaterThan(0)
    const files = chainOf(place.path)
    expect(await verifyAudit(files)).toMatchObject({ ok: true })
    const lines = files.flatMap((path) => readFileSync(path, 'utf8').trim().split('\n'))
    expect(lines.filter((line) => line.includes('"type":"note"'))).toHaveLength(30)
  })

  test('keeps all records of a burst in their order', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.boolean(), { minLength: 20, maxLength: 60 }),
        fc.integer({ min: 300, max: 2000 }),
        async (durable, rotateBytes) => {
          for (const name of readdirSync(place.directory)) rmSync(join(place.directory, name))
          const file = await place.open(undefined, { signer, rotateBytes, checkpointEvery: 7 })
          await Promise.all(durable.map((sync, n) => file.append('note', { n }, { durable: sync })))
          await file.append('note', { n: durable.length }, { durable: true })
          await file.close()
          const files = chainOf(place.path)
          expect(await verifyAudit(files, { publicKey })).toMatchObject({ ok: true, torn: false })
          const numbers = files
            .flatMap((path) => readFileSync(path, 'utf8').trim().split('\n'))
            .map((line) => JSON.parse(line) as { type: string; n?: number })
            .flatMap(({ type, n }) => (type === 'note' ? [n] : []))
          expect(numbers).toEqual(Array.from({ length: durable.length + 1 }, (_, n) => n))
        },
      ),
      { numRuns: 30 },
    )
  })
})

describe('retention', () => {
  test('deletes the oldest files and leaves a chain that begins with a signed checkpoint', async () => {
    const file = await place.open(undefined, { signer, rotateBytes: 1500, retain: 2 })
    await fill(file, 40)
    await file.close()
    expect(archivesOf(place.path)).toHaveLength(2)
    const verdict = await verifyAudit(chainOf(place.path), { publicKey })
    expect(verdict).toMatchObject({ ok: true, from: { signed: true } })
    expect(verdict.ok && verdict.from.seq).toBeGreaterThan(10)
    expect(
      readFileSync(place.path, 'utf8') + readFileSync(archivesOf(place.path)[1]?.path ?? '', 'utf8'),
    ).toContain('"type":"audit.dropped"')
  })

  test('does not let anyone without the key remove older files unnoticed', async () => {
    const file = await place.open(undefined, { signer })
    await fill(file, 6)
    await file.close()
    const lines = readFileSync(place.path, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { hash: string })
    const head = { seq: 3, hash: lines[2]?.hash ?? '' }
    // A cut that pretends to be a file that follows another: unsigned it is told, signed it would need the key.
    const start = composeRecord(head, NOW, 'audit.continued', {
      after: 'audit.jsonl.000000000003',
      at_seq: 3,
      at_hash: head.hash,
    })
    writeFileSync(place.path, start.line)
    expect(await verifyAudit(place.path, { publicKey })).toMatchObject({
      ok: false,
      line: 1,
      why: 'it continues files that are missing, and is not signed',
    })
    // Whoever has no key to hold it against is told that nothing vouches for what is missing.
    expect(await verifyAudit(place.path)).toMatchObject({ ok: true, from: { seq: 3, signed: false } })
  })

  test('proves nothing to the holder of the key for a chain without signatures', async () => {
    const file = await place.open()
    await fill(file, 3)
    await file.close()
    expect(await verifyAudit(place.path, { publicKey })).toMatchObject({ ok: false, kind: 'unsigned' })
  })

  test('signs the first record, and reports how many are not signed yet', async () => {
    const file = await place.open(undefined, { signer })
    await fill(file, 1)
    await fill(file, 3)
    expect(await verifyAudit(place.path, { publicKey })).toMatchObject({
      ok: true,
      checkpoints: { count: 1, last: { seq: 1 }, unsigned: 3 },
    })
    await file.close()
    expect(await verifyAudit(place.path, { publicKey })).toMatchObject({
      checkpoints: { count: 2, unsigned: 0 },
    })
  })
})

describe('rotation beside what can go wrong', () => {
  test('continues in the new file when the directory cannot be synced after the renames', async () => {
    let refuse = false
    const fs = {
      ...nodeFs,
      fsyncSync(fd: number) {
        if (refuse && nodeFs.fstatSync(fd).isDirectory())
          throw Object.assign(new Error('EIO'), { code: 'EIO' })
        nodeFs.fsyncSync(fd)
      },
    }
    const file = await place.open(fs, { rotateBytes: 700 })
    refuse = true
    await expect(fill(file, 6)).rejects.toMatchObject({ code: 'audit_unavailable' })
    // Nothing counts as durable while the names may not be on the disk.
    await expect(file.check()).rejects.toMatchObject({ code: 'audit_unavailable' })
    refuse = false
    await file.check()
    await fill(file, 6)
    await file.close()
    expect(archivesOf(place.path).length).toBeGreaterThan(0)
    expect(await verifyAudit(chainOf(place.path))).toMatchObject({ ok: true })
  })

  test('whoever reads while a file is put away reads it as well', async () => {
    const file = await place.open()
    await fill(file, 3)
    let reads = 0
    const lists = await overChain(place.path, async (files) => {
      reads += 1
      if (reads === 1) writeFileSync(`${place.path}.000000000003`, '')
      return files.length
    })
    expect([reads, lists]).toEqual([2, 2])
    await file.close()
  })

  test('what a gateway found missing at its start is not forgotten by the next verification', async () => {
    const file = await place.open()
    await fill(file, 2)
    await file.append('audit.records_missing', { noted_seq: 9 }, { durable: true })
    await fill(file, 2)
    await file.close()
    expect(await verifyAudit(place.path)).toMatchObject({ ok: false, kind: 'truncated', line: 3 })
  })
})

describe('heads that the ledger noted', () => {
  test('tell a tail that was cut off from one that was torn', async () => {
    const file = await place.open()
    await fill(file, 5)
    const head = file.durableHead()
    await file.close()
    const lines = readFileSync(place.path, 'utf8').split('\n')
    truncateSync(place.path, lines.slice(0, 3).join('\n').length + 1)
    expect(await verifyAudit(place.path)).toMatchObject({ ok: true, records: 3 })
    expect(await verifyAudit(place.path, { heads: [head] })).toMatchObject({
      ok: false,
      kind: 'truncated',
      seq: 4,
      why: 'record 5 existed, but the file ends with record 3',
    })
  })

  test('tell a chain that was composed anew', async () => {
    const file = await place.open()
    await fill(file, 3)
    const head = file.durableHead()
    await file.close()
    rmSync(place.path)
    const other = await place.open()
    for (const n of [7, 8, 9]) await other.append('note', { n }, { durable: true })
    await other.close()
    expect(existsSync(place.path)).toBe(true)
    expect(await verifyAudit(place.path, { heads: [head] })).toMatchObject({
      ok: false,
      kind: 'tampered',
      line: 3,
      seq: 3,
    })
  })
})
