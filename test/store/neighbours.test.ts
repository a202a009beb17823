/** The file under a ledger that is open: held by another process, deleted, moved away, replaced. */
import { copyFileSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { openSqliteStore } from '../../src/io/store/sqlite/store.ts'
import type { Store } from '../../src/io/store/store.ts'
import { WriteQueue } from '../../src/io/store/sqlite/write-queue.ts'
import { claim, terms } from './samples.ts'

const UNAVAILABLE = { name: 'TollwayError', code: 'store_unavailable', status: 503 }

let directory: string
let path: string
const closers: (() => unknown)[] = []
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tollway-neighbours-'))
  path = join(directory, 'ledger.db')
})
afterEach(async () => {
  for (const close of closers.splice(0)) await close()
  rmSync(directory, { recursive: true })
})

function open(busyTimeoutMs?: number): Store {
  const store = openSqliteStore({ path, busyTimeoutMs })
  closers.push(() => store.close())
  return store
}

function neighbour(): DatabaseSync {
  const db = new DatabaseSync(path)
  closers.push(() => db.isOpen && db.close())
  return db
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('while another process holds the ledger', () => {
  test('writes wait and the event loop goes on; they are done once it lets go, in one commit', async () => {
    const store = open(60_000)
    const other = neighbour()
    other.exec('BEGIN IMMEDIATE')
    let done = 0
    const writes = [1, 2, 3].map((n) =>
      store.reserve(terms(n), [claim(1n, 9n)], false).then(() => (done += 1)),
    )
    // Under SQLite's own waiting the first turn would use up the writes' time, and they would be refused.
    for (let turns = 0; turns < 200; turns += 1) await turn()
    expect(done).toBe(0)
    expect(await store.totals([claim(0n, 0n)])).toMatchObject([{ held: 0n }])
    other.exec('COMMIT')
    await Promise.all(writes)
    expect(await store.totals([claim(0n, 0n)])).toMatchObject([{ held: 3n }])
  })

  test('a write gives up when its time is over, and later ones wait their own time', async () => {
    const store = open(60)
    const other = neighbour()
    other.exec('BEGIN IMMEDIATE')
    await expect(store.ping()).rejects.toMatchObject(UNAVAILABLE)
    const later = store.reserve(terms(1), [], false)
    other.exec('COMMIT')
    expect(await later).toMatchObject({ ok: true })
  })

  test('closing does not wait for it', async () => {
    const store = open(60_000)
    const other = neighbour()
    other.exec('BEGIN IMMEDIATE')
    const write = store.reserve(terms(1), [], false)
    const refused = expect(write).rejects.toMatchObject(UNAVAILABLE)
    await store.close()
    await refused
  })
})

describe('when the files of an open ledger', () => {
  test('are deleted, nothing more is booked into the void', async () => {
    const store = open()
    await store.reserve(terms(1), [], false)
    for (const suffix of ['', '-wal', '-shm']) rmSync(`${path}${suffix}`)
    await expect(store.reserve(terms(2), [], false)).rejects.toThrow(
      'The ledger cannot be used: its file was deleted or moved away while it was open.',
    )
    await expect(store.ping()).rejects.toMatchObject(UNAVAILABLE)
  })

  test('lose the log alone, nothing more is booked either: a crash would forget it', async () => {
    const store = open()
    await store.reserve(terms(1), [], false)
    rmSync(`${path}-wal`)
    await expect(store.ping()).rejects.toMatchObject({ ...UNAVAILABLE, details: { file: 'log' } })
  })

  test('are moved away and back, it works again', async () => {
    const store = open()
    await store.ping()
    renameSync(path, `${path}.away`)
    await expect(store.ping()).rejects.toMatchObject(UNAVAILABLE)
    renameSync(`${path}.away`, path)
    await store.ping()
  })

  test('are replaced by a copy, it refuses and leaves the copy as it is', async () => {
    const store = open()
    await store.reserve(terms(1), [], false)
    copyFileSync(path, `${path}.copy`)
    renameSync(`${path}.copy`, path)
    const copy = readFileSync(path)
    await expect(store.reserve(terms(2), [], false)).rejects.toThrow(
      /its file was replaced while it was open/,
    )
    expect(readFileSync(path)).toEqual(copy)
  })
})

describe('the write queue', () => {
  const busy = Object.assign(new Error('database is locked'), { errcode: 5 })

  test('asks again after a pause and runs nothing twice', async () => {
    let refusals = 3
    const log: string[] = []
    const db = {
      isTransaction: false,
      exec(sql: string) {
        if (sql === 'BEGIN IMMEDIATE' && refusals-- > 0) throw busy
        log.push(sql)
      },
    }
    const queue = new WriteQueue(db, { busyTimeoutMs: 10_000 })
    const results = await Promise.all([queue.run(() => log.push('one')), queue.run(() => log.push('two'))])
    expect(results).toEqual([3, 6])
    expect(log).toEqual([
      'BEGIN IMMEDIATE',
      'SAVEPOINT job',
      'one',
      'RELEASE job',
      'SAVEPOINT job',
      'two',
      'RELEASE job',
      'COMMIT',
    ])
  })

  test('gives up on a write when its time is over, and not before', async () => {
    vi.useFakeTimers()
    try {
      const db = {
        isTransaction: false,
        exec() {
          throw busy
        },
      }
      let isOver = false
      const write = new WriteQueue(db, { busyTimeoutMs: 10_000 })
        .run(() => undefined)
        .catch(() => (isOver = true))
      await vi.advanceTimersByTimeAsync(9_990)
      expect(isOver).toBe(false)
      await vi.advanceTimersByTimeAsync(20)
      await write
      expect(isOver).toBe(true)
    } finally {
      vi.useRealTimers()
    }
  })

  test('a busy answer in the middle of a transaction is a failure, not a pause: part of it may have run', async () => {
    const db = {
      isTransaction: false,
      exec(sql: string) {
        if (sql === 'COMMIT') throw busy
      },
    }
    let runs = 0
    const queue = new WriteQueue(db, { busyTimeoutMs: 10_000 })
    await expect(queue.run(() => (runs += 1))).rejects.toMatchObject(UNAVAILABLE)
    expect(runs).toBe(1)
  })
})
