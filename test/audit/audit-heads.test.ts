/** When the ledger is told of the audit file's last record: on a file and a store that are told what to do. */
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { watchAuditHead } from '../../src/app/wiring/open-audit.ts'
import { silentLog } from '../../src/core/log.ts'
import type { AuditFile } from '../../src/io/audit/audit-writer.ts'
import { memoryStore } from '../../src/io/store/memory/store.ts'
import { temporaryDirectory } from '../config/config-file.ts'

const HASH = 'a'.repeat(64)

/** Everything that waits here waits for promises alone. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve))
}

async function open() {
  const path = join(temporaryDirectory(), 'audit.jsonl')
  const events: string[] = []
  /** The disk's end of a sync. */
  const disk = { seq: 0, isFailing: false, held: undefined as Promise<void> | undefined }
  let written = 0
  const audit = {
    durableHead: () => ({ seq: disk.seq, hash: HASH }),
    check: async () => {
      events.push('sync')
      const reached = written
      await disk.held
      if (disk.isFailing) throw new Error('EIO')
      disk.seq = reached
    },
    checkpoint: () => void events.push('checkpoint'),
    tend: () => undefined,
  } as unknown as AuditFile
  const inner = memoryStore()
  const store: typeof inner = Object.assign(Object.create(inner) as typeof inner, {
    auditHeads: async () => [],
    noteAuditHead: async ({ seq }: { readonly seq: number }) => void events.push(`noted ${seq}`),
  })
  const clock = { at: 0, now: () => clock.at }
  const heads = await watchAuditHead(audit, path, store, { clock, log: silentLog })
  return {
    heads,
    events,
    disk,
    clock,
    write: () => void (written += 1),
    /** What happened since it was asked the last time. */
    took: async () => {
      await settled()
      return events.splice(0)
    },
  }
}

test('a record is noted once it is on the disk', async () => {
  const { heads, write, took } = await open()
  write()
  heads.soon()
  expect(await took()).toEqual(['sync', 'noted 1'])
  write()
  heads.soon()
  expect(await took()).toEqual(['sync', 'noted 2'])
})

test('records that come during an update share the next one, which follows at once', async () => {
  const { heads, disk, write, took } = await open()
  const sync = Promise.withResolvers<void>()
  disk.held = sync.promise
  write()
  heads.soon()
  for (let more = 0; more < 3; more += 1) {
    write()
    heads.soon()
  }
  expect(await took()).toEqual(['sync'])
  sync.resolve()
  expect(await took()).toEqual(['noted 1', 'sync', 'noted 4'])
})

test('nothing is noted that the disk refused, and the next record is tried again', async () => {
  const { heads, disk, write, took } = await open()
  disk.isFailing = true
  write()
  heads.soon()
  expect(await took()).toEqual(['sync'])
  disk.isFailing = false
  heads.soon()
  expect(await took()).toEqual(['sync', 'noted 1'])
})

test('a position is noted once, and the end waits for an update under way', async () => {
  const { heads, disk, write, took } = await open()
  write()
  heads.soon()
  expect(await took()).toEqual(['sync', 'noted 1'])
  await heads.beat()
  expect(await took()).toEqual([])
  const sync = Promise.withResolvers<void>()
  disk.held = sync.promise
  write()
  heads.soon()
  const ended = heads.end()
  expect(await took()).toEqual(['sync'])
  sync.resolve()
  await ended
  expect(await took()).toEqual(['noted 2', 'checkpoint', 'sync'])
})

test('a heartbeat notes what is durable, and signs a checkpoint once a minute', async () => {
  const { heads, disk, clock, took } = await open()
  disk.seq = 5
  clock.at = 59_999
  await heads.beat()
  expect(await took()).toEqual(['noted 5'])
  clock.at = 60_000
  await heads.beat()
  expect(await took()).toEqual(['checkpoint'])
  clock.at = 0
  await heads.beat()
  expect(await took()).toEqual(['checkpoint'])
})
