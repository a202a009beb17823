/** logrotate and tidy-minded people: what happens to the audit file's path, and to its locks, while a gateway writes. */
import { spawnSync } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { openAuditFile } from '../../src/io/audit/audit-file.ts'
import type { AuditFile } from '../../src/io/audit/audit-writer.ts'
import { checkpointSigner, newCheckpointKey } from '../../src/io/audit/audit-signer.ts'
import { verifyAudit } from '../../src/io/audit/audit-verify.ts'
import { takeLock, type FileLock } from '../../src/io/files/file-lock.ts'
import { auditPlace, fragileDisk, NOW, systemError } from './kit.ts'

const place = auditPlace()

const records = (path: string): Record<string, unknown>[] =>
  readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)

const OTHER = 'the other process'
const NOBODY = { path: '', clock: { now: () => NOW }, instance: OTHER }

/** Deletes what `rm <directory>/*.lock` does. */
function tidyUp(): void {
  for (const name of readdirSync(place.directory)) {
    if (!name.startsWith('.') && name.endsWith('.lock')) rmSync(join(place.directory, name))
  }
}

async function openSigned(): Promise<{ file: AuditFile; told: string[] }> {
  const told: string[] = []
  const signer = checkpointSigner(newCheckpointKey().pem)
  const file = await place.open(undefined, { signer, onReplaced: (why) => void told.push(why) })
  return { file, told }
}

describe('the path of the audit file', () => {
  test.each([
    ['renamed with `create`', (old: string) => (renameSync(place.path, old), writeFileSync(place.path, ''))],
    ['renamed without', (old: string) => renameSync(place.path, old)],
    ['moved away', (old: string) => renameSync(place.path, old)],
  ])('%s: the chain continues in a new file, and both verify as one', async (_how, move) => {
    const { file, told } = await openSigned()
    await file.append('note', { n: 1 }, { durable: true })
    const unsynced = file.append('note', { n: 2 })
    const old = join(place.directory, 'audit.jsonl.1')
    move(old)
    await file.append('note', { n: 3 }, { durable: true })
    await file.append('note', { n: 4 })
    await unsynced
    await file.close()
    expect(told).toEqual(['moved'])
    expect(records(place.path)[0]).toMatchObject({
      type: 'audit.continued',
      why: 'moved',
      ...(existsSync('/proc/self/fd') ? { after: 'audit.jsonl.1' } : {}),
    })
    expect(await verifyAudit([old, place.path])).toMatchObject({ ok: true })
    expect(records(old).map(({ n }) => n)).toEqual([1, undefined, 2])
    expect(records(place.path).map(({ n }) => n)).toEqual([undefined, 3, 4, undefined])
  })

  test('deleted: the chain continues, and the new file says that records are missing', async () => {
    const { file, told } = await openSigned()
    await file.append('note', { n: 1 }, { durable: true })
    rmSync(place.path)
    await file.append('note', { n: 2 }, { durable: true })
    await file.check()
    expect(told).toEqual(['deleted'])
    expect(records(place.path)).toMatchObject([{ type: 'audit.continued', why: 'deleted', seq: 3 }, { n: 2 }])
    expect(await verifyAudit(place.path)).toMatchObject({ ok: true })
  })

  test('copied and truncated (copytruncate): detected, told, and continued; the copy and the file verify as one', async () => {
    const { file, told } = await openSigned()
    await file.append('note', { n: 1 }, { durable: true })
    const copy = join(place.directory, 'audit.jsonl.1')
    copyFileSync(place.path, copy)
    truncateSync(place.path, 0)
    await file.append('note', { n: 2 }, { durable: true })
    expect(told).toEqual(['truncated'])
    expect(records(place.path)).toMatchObject([{ type: 'audit.continued', why: 'truncated' }, { n: 2 }])
    expect(await verifyAudit([copy, place.path])).toMatchObject({ ok: true })
  })

  test('a record that copytruncate lost between the copy and the cut is noticed', async () => {
    const { file } = await openSigned()
    await file.append('note', { n: 1 }, { durable: true })
    const copy = join(place.directory, 'audit.jsonl.1')
    copyFileSync(place.path, copy)
    await file.append('note', { n: 'lost' }, { durable: true })
    truncateSync(place.path, 0)
    await file.append('note', { n: 3 }, { durable: true })
    expect(await verifyAudit([copy, place.path])).toMatchObject({ ok: false })
  })

  test('rule 9: refuses while something else stands at the path, and goes on when it is gone', async () => {
    const { file } = await openSigned()
    await file.append('note', { n: 1 }, { durable: true })
    const old = join(place.directory, 'old')
    renameSync(place.path, old)
    writeFileSync(place.path, 'a note of somebody\n')
    await expect(file.append('note', { n: 2 })).rejects.toMatchObject({ code: 'audit_unavailable' })
    await expect(file.check()).rejects.toThrow(/another file is at its path/)
    expect(readFileSync(place.path, 'utf8')).toBe('a note of somebody\n')
    rmSync(place.path)
    await file.append('note', { n: 3 }, { durable: true })
    expect(await verifyAudit([old, place.path])).toMatchObject({ ok: true })
  })

  test('rule 9: a new file that the disk refuses is tried again with the next record, and forks nothing', async () => {
    const { disk, fs } = fragileDisk()
    const file = await place.open(fs)
    await file.append('note', { n: 1 }, { durable: true })
    const old = join(place.directory, 'old')
    renameSync(place.path, old)
    disk.writes = [
      () => {
        throw systemError('ENOSPC')
      },
    ]
    await expect(file.append('note', { n: 2 })).rejects.toMatchObject({ code: 'audit_unavailable' })
    await file.append('note', { n: 3 }, { durable: true })
    expect(await verifyAudit([old, place.path])).toMatchObject({ ok: true })
  })

  test('moved while a sync is running: nothing is lost, and the old file is synced', async () => {
    const { disk, fs } = fragileDisk()
    const file = await place.open(fs)
    const old = join(place.directory, 'old')
    let moves = 0
    disk.onSync = () => {
      if ((moves += 1) > 1) return
      renameSync(place.path, old)
      void file.append('note', { n: 2 })
    }
    await file.append('note', { n: 1 }, { durable: true })
    await file.append('note', { n: 3 }, { durable: true })
    await file.close()
    expect(await verifyAudit([old, place.path])).toMatchObject({ ok: true })
    expect(records(old)).toMatchObject([{ n: 1 }])
    expect(records(place.path).map(({ n }) => n)).toEqual([undefined, 2, 3])
  })

  test('whatever is moved whenever, with rotation in between, the files verify as one chain', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom('note', 'durable', 'move', 'create', 'copytruncate', 'tick'), {
          minLength: 1,
          maxLength: 25,
        }),
        async (steps) => {
          for (const name of readdirSync(place.directory)) rmSync(join(place.directory, name))
          let day = NOW
          const writer = await openAuditFile({
            path: place.path,
            clock: { now: () => day },
            instance: 'ins_test',
            rotateDaily: true,
            rotateBytes: 3000,
          })
          const files: string[] = []
          for (const [n, step] of steps.entries()) {
            const aside = join(place.directory, `aside-${String(n).padStart(3, '0')}`)
            if (step === 'note') await writer.append('note', { n })
            if (step === 'durable')
              await writer.append('note', { n, text: 'x'.repeat(500) }, { durable: true })
            if (step === 'tick') day += 86_400_000
            if (step === 'move' || step === 'create') renameSync(place.path, aside)
            if (step === 'create') writeFileSync(place.path, '')
            if (step === 'copytruncate') {
              copyFileSync(place.path, aside)
              truncateSync(place.path, 0)
            }
            // Without a record in between there would be nothing to move.
            await writer.append('after', { n }, { durable: true })
          }
          await writer.close()
          for (const name of readdirSync(place.directory)) {
            if (/^aside|^audit\.jsonl/.test(name) && !name.endsWith('.lock'))
              files.push(join(place.directory, name))
          }
          const filled = files.filter((file) => readFileSync(file, 'utf8') !== '')
          const first = (path: string): number => Number(records(path)[0]?.['seq'])
          const chain = filled.toSorted((a, b) => first(a) - first(b))
          expect(await verifyAudit(chain)).toMatchObject({ ok: true })
          const counted = chain.flatMap(records).filter(({ type }) => type === 'after')
          expect(counted).toHaveLength(steps.length)
        },
      ),
      { numRuns: 40 },
    )
  })
})

describe('the locks of the audit file', () => {
  test('a second writer is refused after `rm *.lock`, and the first one goes on', async () => {
    const file = await place.open()
    await file.append('note', { n: 1 }, { durable: true })
    tidyUp()
    await expect(openAuditFile({ ...NOBODY, path: place.path })).rejects.toThrow(
      /is being written by process/,
    )
    await file.append('note', { n: 2 }, { durable: true })
    // The lock file that the second one created is taken again.
    file.tend()
    await file.check()
    await expect(openAuditFile({ ...NOBODY, path: place.path })).rejects.toThrow(
      /is being written by process/,
    )
    expect(await verifyAudit(place.path)).toMatchObject({ ok: true, records: 2 })
  })

  test('from another process too, and when every file of the lock was deleted and taken again', async () => {
    const file = await place.open()
    for (let round = 0; round < 2; round += 1) {
      for (const name of readdirSync(place.directory)) {
        if (name !== 'audit.jsonl') rmSync(join(place.directory, name))
      }
      file.tend()
      tidyUp()
      expect(otherProcess()).toMatch(/is being written by process/)
      await file.append('note', { round }, { durable: true })
    }
    expect(await verifyAudit(place.path)).toMatchObject({ ok: true, records: 2 })
  })

  test('rule 9: who lost its lock to another process refuses, and does not fork the chain', async () => {
    const file = await place.open()
    await file.append('note', { n: 1 }, { durable: true })
    for (const name of readdirSync(place.directory)) {
      if (name !== 'audit.jsonl') rmSync(join(place.directory, name))
    }
    const second = await openAuditFile({ ...NOBODY, path: place.path })
    expect(() => file.tend()).toThrow(/was deleted, and process \d+ on .* has taken it/)
    await expect(file.check()).rejects.toMatchObject({ code: 'audit_unavailable' })
    await second.append('note', { n: 2 }, { durable: true })
    await expect(file.append('note', { n: 3 })).rejects.toMatchObject({ code: 'audit_unavailable' })
    await second.close()
    expect(await verifyAudit(place.path)).toMatchObject({ ok: true, records: 2 })
  })
})

test('every lock holds after `rm *.lock`: keys files, purchases and state files use the same one', () => {
  const path = join(place.directory, 'keys.json.lock')
  const mine = held(takeLock(path, 'one'))
  tidyUp()
  expect(takeLock(path, 'two')).toMatchObject({ heldBy: { instance: 'one', pid: process.pid } })
  mine.tend()
  expect(takeLock(path, 'two')).toMatchObject({ heldBy: { instance: 'one' } })
  mine.release()
  held(takeLock(path, 'two')).release()
})

function held(lock: ReturnType<typeof takeLock>): FileLock {
  if ('heldBy' in lock) throw new Error('the lock is taken')
  return lock
}

/** What a process of its own says when it opens the file. */
function otherProcess(): string {
  const script = `
    import { openAuditFile } from ${JSON.stringify(join(import.meta.dirname, '../../src/io/audit/audit-file.ts'))}
    openAuditFile({ path: ${JSON.stringify(place.path)}, clock: Date, instance: 'other' })
      .then(() => console.log('opened'), (error) => console.log(error.message))`
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
  })
  return `${stdout}${stderr}`
}
