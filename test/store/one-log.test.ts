/**
 * Ways in which two processes come to write one ledger by two logs, and a log that stays behind. The worst that may happen is a
 * refusal. Real processes: SQLite's locks are of a process, and two connections of one process share more than two processes do.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, linkSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { copyLedger } from '../../src/io/store/sqlite/backup.ts'
import { readSqliteLedger } from '../../src/io/store/sqlite/read.ts'
import { openSqliteStore } from '../../src/io/store/sqlite/store.ts'
import { claim } from './samples.ts'

let directory: string
let path: string
const children: ChildProcess[] = []
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tollway-one-log-'))
  path = join(directory, 'ledger.db')
})
afterEach(async () => {
  for (const child of children.splice(0)) {
    const ended = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : undefined
    child.kill('SIGKILL')
    await ended
  }
  rmSync(directory, { recursive: true })
})

interface LedgerProcess {
  /** `open`, or why not. */
  readonly began: string
  ask(line: string): Promise<string>
  end(how: 'close' | 'kill'): Promise<void>
}

/** @param patienceMs how long it waits for another process that is about to leave the ledger */
async function start(at: string, patienceMs = 100): Promise<LedgerProcess> {
  const script = new URL('./ledger-process.ts', import.meta.url).pathname
  const child = spawn(process.execPath, [script, at, String(patienceMs)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  children.push(child)
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const next = async (): Promise<string> => String((await lines.next()).value)
  return {
    began: await next(),
    async ask(line) {
      child.stdin.write(`${line}\n`)
      return await next()
    },
    async end(how) {
      const ended = once(child, 'exit')
      if (how === 'kill') child.kill('SIGKILL')
      else child.stdin.write('close\n')
      await ended
    },
  }
}

/** What the ledger at a path holds once nobody uses it. */
async function held(at: string): Promise<bigint | undefined> {
  const store = openSqliteStore({ path: at })
  const [totals] = await store.totals([claim(0n, 0n)])
  await store.close()
  return totals?.held
}

const otherPath =
  /ConfigError: .* is in use with another log.*nothing was paid: other processes use it as .*ledger\.db\. Give all of them one path/
const deletedLog =
  /ConfigError: .* is in use with another log.*-wal or -shm file was deleted or replaced.*Stop all of them/

describe('rule 2: a ledger with a second name is refused while it is in use', () => {
  test.each([
    ['beside the first', 'other.db'],
    ['of the same name in another directory', 'mount/ledger.db'],
  ])('a hard link %s', async (_name, name) => {
    const second = join(directory, name)
    mkdirSync(join(directory, 'mount'))
    const one = await start(path)
    for (const n of [1, 2, 3, 4, 5, 6]) expect(await one.ask(`reserve ${n}`)).toBe('reserved')
    linkSync(path, second)
    const two = await start(second)
    expect(two.began).toMatch(otherPath)
    // The first goes on with what is left of its budget, and all of it is there afterwards.
    for (const n of [7, 8, 9, 10]) expect(await one.ask(`reserve ${n}`)).toBe('reserved')
    expect(await one.ask('reserve 11')).toBe('refused')
    await one.end('close')
    expect(await held(second)).toBe(10_000n)
  })

  test('of two that start at the same time by two names, one is refused', async () => {
    await (await start(path)).end('close')
    const second = join(directory, 'other.db')
    linkSync(path, second)
    const both = await Promise.all([start(path), start(second)])
    expect(both.filter(({ began }) => began === 'open')).toHaveLength(1)
  })

  test('by the second name alone it is used as before, also after an orderly end by the first', async () => {
    const one = await start(path)
    await one.ask('reserve 1')
    const second = join(directory, 'other.db')
    linkSync(path, second)
    await one.end('close')
    const two = await start(second)
    expect([two.began, await two.ask('reserve 2')]).toEqual(['open', 'reserved'])
    await two.end('close')
    expect(await held(path)).toBe(2000n)
  })

  test('a symbolic link is the same path', async () => {
    const second = join(directory, 'symbolic.db')
    const one = await start(path)
    await one.ask('reserve 1')
    symlinkSync(path, second)
    const two = await start(second)
    expect([two.began, await two.ask('reserve 2')]).toEqual(['open', 'reserved'])
  })
})

describe('a log that stayed behind is not forgotten', () => {
  const left = /latest payments are still in .*ledger\.db-wal.*without it the ledger forgets what was spent/

  async function killed(): Promise<void> {
    const one = await start(path)
    await one.ask('reserve 1')
    await one.end('kill')
  }

  test('when the ledger is used by another name after its process was killed', async () => {
    await killed()
    const second = join(directory, 'other.db')
    linkSync(path, second)
    expect(() => openSqliteStore({ path: second })).toThrow(left)
    expect(() => readSqliteLedger(second)).toThrow(left)
    expect(() => copyLedger(second, join(directory, 'copy.db'))).toThrow(left)
    expect(await held(path)).toBe(1000n)
  })

  test('when the ledger was moved without it', async () => {
    await killed()
    const second = join(directory, 'moved.db')
    renameSync(path, second)
    expect(() => openSqliteStore({ path: second })).toThrow(left)
    renameSync(`${path}-wal`, `${second}-wal`)
    expect(await held(second)).toBe(1000n)
  })

  test('a copy is a ledger of its own', async () => {
    const one = await start(path)
    await one.ask('reserve 1')
    const copy = join(directory, 'copy.db')
    copyLedger(path, copy)
    const two = await start(copy)
    expect([two.began, await one.ask('reserve 2'), await two.ask('reserve 3')]).toEqual([
      'open',
      'reserved',
      'reserved',
    ])
  })
})

describe('rule 9: a log whose files were touched while it is open', () => {
  test.each(['-shm', '-wal'])('%s deleted: the user of it stops, and nobody else begins', async (suffix) => {
    const one = await start(path)
    await one.ask('reserve 1')
    rmSync(`${path}${suffix}`)
    const two = await start(path)
    expect(two.began).not.toBe('open')
    if (suffix === '-shm') expect(two.began).toMatch(deletedLog)
    expect(await one.ask('reserve 2')).toMatch(/TollwayError: The ledger cannot be used.*while it was open/)
    await one.end('kill')
    if (suffix === '-shm') expect(await held(path)).toBe(1000n)
  })

  test('-shm replaced by a copy', async () => {
    const one = await start(path)
    await one.ask('reserve 1')
    copyFileSync(`${path}-shm`, `${path}-shm.copy`)
    renameSync(`${path}-shm.copy`, `${path}-shm`)
    expect(await one.ask('reserve 2')).toMatch(/its file was replaced while it was open/)
    expect((await start(path)).began).toMatch(deletedLog)
  })

  test('-shm deleted behind a symbolic link', async () => {
    const second = join(directory, 'symbolic.db')
    await (await start(path)).end('close')
    symlinkSync(path, second)
    const one = await start(second)
    await one.ask('reserve 1')
    rmSync(`${path}-shm`)
    expect(await one.ask('reserve 2')).toMatch(/deleted or moved away while it was open/)
  })

  test('three processes on one path share the log as before', async () => {
    const all = await Promise.all([1, 2, 3].map(() => start(path, 120_000)))
    expect(all.map(({ began }) => began)).toEqual(['open', 'open', 'open'])
    const answers = await Promise.all(
      Array.from({ length: 12 }, async (_, n) => await all[n % 3]?.ask(`reserve ${n}`)),
    )
    expect(answers.filter((answer) => answer === 'reserved')).toHaveLength(10)
    // The last to come joins although the first has gone.
    await all[0]?.end('close')
    expect((await start(path)).began).toBe('open')
  })
})
