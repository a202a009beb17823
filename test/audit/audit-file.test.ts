import { spawn } from 'node:child_process'
import { once } from 'node:events'
import nodeFs, {
  appendFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openAuditFile } from '../../src/io/audit/audit-file.ts'
import { verifyAudit } from '../../src/io/audit/audit-verify.ts'
import { auditPlace, fragileDisk, NOW, systemError } from './kit.ts'

const UNAVAILABLE = { name: 'TollwayError', code: 'audit_unavailable', status: 503 }
const place = auditPlace()
const lines = (): string[] => readFileSync(place.path, 'utf8').split('\n').slice(0, -1)
const records = (): Record<string, unknown>[] =>
  lines().map((line) => ({ ...(JSON.parse(line) as Record<string, unknown>) }))

/** What a system does with pages it could not write: it forgets them and calls them clean. */
function forgetAfterLine(count: number): void {
  const whole = readFileSync(place.path)
  const from = Buffer.byteLength(`${lines().slice(0, count).join('\n')}\n`)
  whole.fill(0, from)
  const fd = nodeFs.openSync(place.path, 'r+')
  nodeFs.writeSync(fd, whole, from, whole.length - from, from)
  nodeFs.closeSync(fd)
}

describe('appending', () => {
  test('writes one canonical line per record, chained from 64 zeros', async () => {
    const file = await place.open()
    const first = await file.append('charge.held', { charge: 'chg_1', amount: 23_000n, usd: null })
    const second = await file.append('note', { z: [1, { b: true, a: 'ü' }], skipped: undefined })
    expect(first.seq).toBe(1)
    expect(file.head()).toEqual(second)
    expect(lines()).toEqual([
      `{"amount":"23000","charge":"chg_1","hash":"${first.hash}","prev":"${'0'.repeat(64)}","seq":1,"ts":"2026-11-21T10:00:00.123Z","type":"charge.held","usd":null}`,
      `{"hash":"${second.hash}","prev":"${first.hash}","seq":2,"ts":"2026-11-21T10:00:00.123Z","type":"note","z":[1,{"a":"ü","b":true}]}`,
    ])
    expect(await verifyAudit(place.path)).toMatchObject({ ok: true, records: 2, head: second })
  })

  test('has a hash that anyone can compute: SHA-256 of prev and the canonical record without hash', async () => {
    const file = await place.open()
    const { hash } = await file.append('note', { a: '1' })
    const text = `{"a":"1","prev":"${'0'.repeat(64)}","seq":1,"ts":"2026-11-21T10:00:00.123Z","type":"note"}`
    const bytes = new TextEncoder().encode('0'.repeat(64) + text)
    const digest = Buffer.from(await crypto.subtle.digest('SHA-256', bytes)).toString('hex')
    expect(hash).toBe(digest)
  })

  test('keeps the order of the calls, durable or not', async () => {
    const file = await place.open()
    const heads = await Promise.all(
      Array.from({ length: 20 }, (_, n) => file.append('note', { n }, { durable: n % 3 === 0 })),
    )
    expect(heads.map((head) => head.seq)).toEqual(Array.from({ length: 20 }, (_, n) => n + 1))
    expect(records().map((record) => record['n'])).toEqual(Array.from({ length: 20 }, (_, n) => n))
  })

  test('creates the file for its owner only', async () => {
    await place.open()
    expect(statSync(place.path).mode & 0o777).toBe(0o600)
    expect(statSync(`${place.path}.lock`).mode & 0o777).toBe(0o600)
  })

  test('continues the chain when it is opened again', async () => {
    const first = await place.open()
    await first.append('note', { n: 1 })
    await first.close()
    const second = await place.open()
    expect(second.head()).toEqual(first.head())
    expect(await second.append('note', { n: 2 })).toMatchObject({ seq: 2 })
    expect(await verifyAudit(place.path)).toMatchObject({ ok: true, records: 2 })
  })

  test('is refused after closing', async () => {
    const file = await place.open()
    await file.close()
    await file.close()
    await expect(file.append('note', {})).rejects.toMatchObject(UNAVAILABLE)
  })
})

describe('what must not be recorded', () => {
  const refused: [string, Record<string, unknown>, RegExp][] = [
    ['a header that authorizes', { headers: { Authorization: 'Bearer x' } }, /headers\.Authorization/],
    ['a payment header', { 'X-PAYMENT': 'x' }, /X-PAYMENT/],
    ['a v2 payment header', { 'payment-signature': 'x' }, /payment-signature/],
    ['a signature', { list: [{ signature: 'x' }] }, /list\[0\]\.signature/],
    ['a signature under another name', { proof: `0x${'ab'.repeat(65)}` }, /proof holds a signature/],
    ['a key', { private_key: 'x' }, /private_key/],
    ['a prompt', { messages: [] }, /messages/],
    ['a fraction', { seconds: 0.5 }, /seconds is not a whole number/],
    ['a number that lost digits', { amount: 2 ** 53 }, /amount is not a whole number/],
    ['what is not plain data', { at: new Date(NOW) }, /at is not plain data/],
    ['a function', { f: () => 1 }, /f is not plain data/],
    ['a field of the record itself', { seq: 7 }, /seq belongs to the record/],
    ['a record of a megabyte', { text: 'x'.repeat(2 ** 20) }, /over 1048576 bytes/],
  ]
  test.each(refused)('%s', async (_, fields, why) => {
    const file = await place.open()
    await expect(file.append('note', fields)).rejects.toThrow(why)
    await expect(file.append('note', fields)).rejects.toThrow(TypeError)
    expect(await file.append('note', { fine: true })).toMatchObject({ seq: 1 })
  })

  test('accepts what the ledger records of a charge', async () => {
    const file = await place.open()
    const nonce = `0x${'ab'.repeat(32)}`
    await file.append('charge.authorized', { from: '0xb', nonce, transaction: nonce, state: 'authorized' })
    expect(records()).toHaveLength(1)
  })
})

describe('durable records', () => {
  test('rule 3: of one turn share one sync, and none resolves before it', async () => {
    const { fs, disk } = fragileDisk()
    const file = await place.open(fs)
    disk.syncs = 0
    const seen: number[] = []
    await Promise.all(
      Array.from({ length: 50 }, async () => {
        await file.append('note', {}, { durable: true })
        seen.push(disk.syncs)
      }),
    )
    expect(new Set(seen)).toEqual(new Set([1]))
  })

  test('written while a sync runs wait for the next one', async () => {
    const { fs, disk } = fragileDisk()
    const file = await place.open(fs)
    disk.syncs = 0
    const late: Promise<unknown>[] = []
    disk.onSync = () => {
      if (disk.syncs === 1) late.push(file.append('late', {}, { durable: true }))
    }
    await file.append('early', {}, { durable: true })
    expect(disk.syncs).toBe(1)
    await Promise.all(late)
    expect([late.length, disk.syncs]).toEqual([1, 2])
  })

  test('are synced at once, others only when enough bytes have gathered', async () => {
    const { fs, disk } = fragileDisk()
    const file = await place.open(fs)
    disk.syncs = 0
    await file.append('note', { text: 'x'.repeat(1000) })
    await new Promise((resolve) => setImmediate(resolve))
    expect(disk.syncs).toBe(0)
    await file.append('note', { text: 'x'.repeat(300_000) })
    await expect.poll(() => disk.syncs).toBe(1)
  })

  test('are on the disk when the file closes', async () => {
    const { fs, disk } = fragileDisk()
    const file = await place.open(fs)
    disk.syncs = 0
    await file.append('note', {})
    await file.close()
    expect(disk.syncs).toBe(1)
  })
})

describe('when the disk fails', () => {
  test('removes half a line, and the next record follows without a gap', async () => {
    const { fs, disk } = fragileDisk()
    const file = await place.open(fs)
    await file.append('note', { n: 1 })
    disk.writes = [
      (fd, from, offset, _length, position) => nodeFs.writeSync(fd, from, offset, 10, position),
      () => {
        throw systemError('ENOSPC')
      },
    ]
    const before = readFileSync(place.path, 'utf8')
    await expect(file.append('note', { n: 2 })).rejects.toMatchObject(UNAVAILABLE)
    expect(readFileSync(place.path, 'utf8')).toBe(before)
    expect(await file.append('note', { n: 3 })).toMatchObject({ seq: 2 })
    expect(await verifyAudit(place.path)).toMatchObject({ ok: true, records: 2, torn: false })
  })

  test('continues a short write', async () => {
    const { fs, disk } = fragileDisk()
    const file = await place.open(fs)
    disk.writes = [(fd, from, offset, _length, position) => nodeFs.writeSync(fd, from, offset, 7, position)]
    await file.append('note', { n: 1 })
    expect(await verifyAudit(place.path)).toMatchObject({ ok: true, records: 1 })
  })

  test('rule 9: takes no record while half a line cannot be removed', async () => {
    const { fs, disk } = fragileDisk()
    const file = await place.open(fs)
    disk.truncateError = systemError('EIO')
    disk.writes = [
      (fd, from, offset, _length, position) => nodeFs.writeSync(fd, from, offset, 10, position),
      () => {
        throw systemError('EIO')
      },
    ]
    for (let n = 0; n < 3; n++) await expect(file.append('note', { n })).rejects.toMatchObject(UNAVAILABLE)
    disk.truncateError = undefined
    expect(await file.append('a record shorter than what is left', {})).toMatchObject({ seq: 1 })
    expect(await verifyAudit(place.path)).toMatchObject({ ok: true, records: 1, torn: false })
  })

  test('rule 9: rejects all that wait for a failed sync, and writes what it may have lost again before the next', async () => {
    const { fs, disk } = fragileDisk()
    const file = await place.open(fs)
    await file.append('note', { n: 0 }, { durable: true })
    disk.syncErrors = [systemError('EIO')]
    const results = await Promise.allSettled(
      [1, 2, 3].map((n) => file.append('note', { n }, { durable: n !== 2 })),
    )
    expect(results.map((result) => result.status)).toEqual(['rejected', 'fulfilled', 'rejected'])
    forgetAfterLine(1)
    expect(await file.append('note', { n: 4 }, { durable: true })).toMatchObject({ seq: 5 })
    expect(records().map((record) => record['n'])).toEqual([0, 1, 2, 3, 4])
    expect(await verifyAudit(place.path)).toMatchObject({ ok: true, records: 5 })
  })

  test('also writes again what was written while an earlier sync ran', async () => {
    const { fs, disk } = fragileDisk()
    const file = await place.open(fs)
    disk.syncs = 0
    disk.syncErrors = [undefined, systemError('EIO')]
    const late: Promise<PromiseSettledResult<unknown>[]>[] = []
    disk.onSync = () => {
      if (disk.syncs === 1) late.push(Promise.allSettled([file.append('note', { n: 2 }, { durable: true })]))
    }
    await file.append('note', { n: 1 }, { durable: true })
    expect(await late[0]).toMatchObject([{ status: 'rejected', reason: UNAVAILABLE }])
    forgetAfterLine(1)
    await file.append('note', { n: 3 }, { durable: true })
    expect(records().map((record) => record['n'])).toEqual([1, 2, 3])
  })

  test('syncs with the next record after a failed sync, durable or not', async () => {
    const { fs, disk } = fragileDisk()
    const file = await place.open(fs)
    disk.syncErrors = [systemError('EIO'), systemError('EIO')]
    await expect(file.append('note', {}, { durable: true })).rejects.toMatchObject(UNAVAILABLE)
    disk.syncs = 0
    await file.append('note', {})
    await expect.poll(() => disk.syncs).toBe(1)
    await file.append('note', {}, { durable: true })
    expect(await verifyAudit(place.path)).toMatchObject({ ok: true, records: 3 })
  })

  test('rule 9: takes no record beyond 8 MiB of unsynced bytes, so that memory stays bounded', async () => {
    const { fs, disk } = fragileDisk()
    const file = await place.open(fs)
    disk.syncErrors = Array.from({ length: 1000 }, () => systemError('EIO'))
    await expect(file.append('note', {}, { durable: true })).rejects.toMatchObject(UNAVAILABLE)
    const text = 'x'.repeat(1_000_000)
    for (let n = 0; n < 9; n++) await file.append('note', { text })
    await expect(file.append('note', { text })).rejects.toMatchObject(UNAVAILABLE)
    disk.syncErrors = []
    const attempt = async (): Promise<string> =>
      await file.append('note', {}).then(
        () => 'taken',
        () => 'refused',
      )
    await expect.poll(attempt).toBe('taken')
    expect(await verifyAudit(place.path)).toMatchObject({ ok: true, records: 11 })
  })

  test('takes a burst within one turn completely while the disk works', async () => {
    const file = await place.open()
    const text = 'x'.repeat(1_000_000)
    for (let n = 0; n < 12; n++) await file.append('note', { text })
    expect(file.head().seq).toBe(12)
  })

  test('refuses further records after another program changed the file', async () => {
    const file = await place.open()
    await file.append('note', {})
    appendFileSync(place.path, 'x')
    await expect(file.append('note', {})).rejects.toThrow(/another program changed it/)
    truncateSync(place.path, 5)
    await expect(file.append('note', {})).rejects.toThrow(/another program changed it/)
    expect(statSync(place.path).size).toBe(5)
  })

  test('reports a missing directory with its fix', async () => {
    const path = join(place.directory, 'no', 'audit.jsonl')
    const opening = openAuditFile({ path, clock: { now: () => NOW }, instance: 'ins_test' })
    await expect(opening).rejects.toMatchObject(UNAVAILABLE)
    await expect(opening).rejects.toThrow(/ENOENT.*Create its directory/)
  })

  test('leaves no lock for a file that cannot be opened', async () => {
    const { fs, disk } = fragileDisk()
    disk.openError = systemError('EROFS')
    await expect(place.open(fs)).rejects.toThrow(/EROFS/)
    disk.openError = undefined
    await place.open(fs)
  })
})

describe('opening after a crash', () => {
  async function written(count: number): Promise<void> {
    const file = await place.open()
    for (let n = 1; n <= count; n++) await file.append('note', { n, text: 'x'.repeat(n * 50) })
    await file.close()
  }

  test('moves an incomplete line to a file of its own, and continues the chain with a record of it', async () => {
    await written(3)
    const whole = readFileSync(place.path)
    truncateSync(place.path, whole.length - 20)
    expect(await verifyAudit(place.path)).toMatchObject({ ok: true, records: 2, torn: true })
    const file = await place.open()
    const side = readdirSync(place.directory).find((name) => name.includes('.torn-')) ?? ''
    expect(readFileSync(join(place.directory, side)).length).toBeGreaterThan(100)
    expect(statSync(join(place.directory, side)).mode & 0o777).toBe(0o600)
    expect(records()[2]).toMatchObject({ seq: 3, type: 'audit.repaired', moved_to: side })
    await file.append('note', { n: 4 })
    expect(await verifyAudit(place.path)).toMatchObject({ ok: true, records: 4, torn: false })
  })

  test('does so for every length of the incomplete line, from the first record on', async () => {
    await written(2)
    const whole = readFileSync(place.path)
    for (const keep of [1, 100, whole.indexOf('\n'), whole.indexOf('\n') + 1, whole.length - 1]) {
      writeFileSync(place.path, whole.subarray(0, keep))
      const file = await place.open()
      await file.append('note', {})
      await file.close()
      expect(await verifyAudit(place.path), `${keep} bytes`).toMatchObject({ ok: true, torn: false })
    }
  })

  test('treats blocks that were never filled as an incomplete line, of any length', async () => {
    await written(2)
    appendFileSync(place.path, Buffer.alloc(3_000_000))
    const file = await place.open()
    expect(records()[2]).toMatchObject({ type: 'audit.repaired', bytes: 3_000_000 })
    await file.close()
  })

  test('repeats an interrupted repair', async () => {
    await written(2)
    appendFileSync(place.path, '{"half')
    const { fs, disk } = fragileDisk()
    disk.truncateError = systemError('EIO')
    await expect(place.open(fs)).rejects.toMatchObject(UNAVAILABLE)
    disk.truncateError = undefined
    await place.open(fs)
    expect(await verifyAudit(place.path)).toMatchObject({ ok: true, records: 3, torn: false })
  })

  test('refuses a complete last line that is wrong, and does not change it', async () => {
    await written(3)
    const text = readFileSync(place.path, 'utf8')
    for (const changed of [
      text.replace('"n":3', '"n":4'),
      `${text}{}\n`,
      `${text}not json\n`,
      `${text}\n`,
      `${text}${'x'.repeat(2_000_000)}\n`,
    ]) {
      writeFileSync(place.path, changed)
      await expect(place.open()).rejects.toThrow(/Another program changed the file\. Move it away/)
      expect(readFileSync(place.path, 'utf8')).toBe(changed)
    }
  })

  test('refuses a chain whose first records are missing', async () => {
    await written(2)
    writeFileSync(place.path, `${lines()[1]}\n`)
    await expect(place.open()).rejects.toThrow(/Another program changed the file/)
  })
})

describe('one writer', () => {
  test('refuses a second opener and names the first, which continues', async () => {
    const first = await place.open()
    for (let n = 0; n < 2; n++) {
      await expect(place.open()).rejects.toThrow(
        new RegExp(`being written by process ${process.pid} on .*\\(ins_test\\)\\. Stop that gateway`),
      )
    }
    await first.append('note', {})
    await first.close()
    await (await place.open()).append('note', {})
    expect(await verifyAudit(place.path)).toMatchObject({ ok: true, records: 2 })
  })

  test('does not let a refused opener in this process release the lock of the first', async () => {
    await place.open()
    await expect(place.open()).rejects.toThrow(/being written/)
    const script = new URL('./append-for-ever.ts', import.meta.url).pathname
    const child = spawn(process.execPath, [script, place.path], { stdio: ['ignore', 'ignore', 'pipe'] })
    let said = ''
    for await (const chunk of child.stderr) said += String(chunk)
    expect(said).toContain(`is being written by process ${process.pid} on`)
  })

  test('refuses while the writing process lives but not after kill -9, and keeps its durable records', async () => {
    const script = new URL('./append-for-ever.ts', import.meta.url).pathname
    const child = spawn(process.execPath, [script, place.path], { stdio: ['ignore', 'pipe', 'inherit'] })
    let told = ''
    for await (const chunk of child.stdout) {
      told += String(chunk)
      if (told.split('\n').length < 50 || child.killed) continue
      await expect(place.open()).rejects.toThrow(`written by process ${child.pid} on`)
      child.kill('SIGKILL')
    }
    if (child.signalCode === null) await once(child, 'exit')
    expect(child.signalCode).toBe('SIGKILL')
    const acknowledged = told.split('\n').slice(0, -1)
    const file = await place.open()
    expect(file.head().seq).toBeGreaterThanOrEqual(acknowledged.length)
    const hashes = new Set(records().map((record) => record['hash']))
    for (const hash of acknowledged) expect(hashes.has(hash), hash).toBe(true)
    expect(await verifyAudit(place.path)).toMatchObject({ ok: true, torn: false })
  })

  test('does not overwrite something else in place of the lock', async () => {
    writeFileSync(`${place.path}.lock`, 'x'.repeat(5000))
    await expect(place.open()).rejects.toMatchObject(UNAVAILABLE)
    expect(existsSync(place.path)).toBe(false)
  })
})
