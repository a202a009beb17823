/** What only the SQLite store promises: it outlives its process, groups commits, and refuses what is not its own. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openStore } from '../../src/io/ledger/open-store.ts'
import type { Connection } from '../../src/io/store/sqlite/file/file.ts'
import { APPLICATION_ID, MIGRATIONS, SCHEMA_VERSION } from '../../src/io/store/sqlite/file/schema.ts'
import { openSqliteStore } from '../../src/io/store/sqlite/store.ts'
import type { Store } from '../../src/io/store/store.ts'
import { claim, instance, NOW, signed, terms } from './samples.ts'

const UNAVAILABLE = { name: 'TollwayError', code: 'store_unavailable', status: 503 }

let directory: string
let path: string
const closers: (() => unknown)[] = []
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tollway-sqlite-'))
  path = join(directory, 'ledger.db')
})
afterEach(async () => {
  for (const close of closers.splice(0)) await close()
  rmSync(directory, { recursive: true })
})

function open(connect?: (path: string) => Connection): Store {
  const store = openSqliteStore({ path, busyTimeoutMs: 20, connect })
  closers.push(() => store.close())
  return store
}

function neighbour(): DatabaseSync {
  const db = new DatabaseSync(path)
  closers.push(() => db.isOpen && db.close())
  return db
}

/** A connection that tells every statement run by `exec`, and can be broken. */
function watched() {
  const log: string[] = []
  const opened: Connection[] = []
  return {
    log,
    connect: (file: string): Connection => {
      const db = new DatabaseSync(file)
      const exec = db.exec.bind(db)
      db.exec = (sql) => {
        log.push(sql)
        exec(sql)
      }
      opened.push(db)
      return db
    },
    get db(): Connection {
      const [db] = opened
      if (!db) throw new Error('nothing was opened')
      return db
    },
  }
}

const three = async (store: Store): Promise<PromiseSettledResult<unknown>[]> =>
  await Promise.allSettled([1, 2, 3].map((n) => store.reserve(terms(n), [], false)))

describe('the file', () => {
  test('keeps everything over close and reopen', async () => {
    const first = open()
    await first.register(instance('ins_one'))
    await first.reserve(terms(1), [claim(10n, 100n)], true)
    await first.authorize(terms(1).id, signed(1), NOW)
    const before = [
      await first.charges(),
      await first.windows(0),
      await first.pins(),
      await first.instances(),
    ]
    await first.close()
    const second = open()
    expect([
      await second.charges(),
      await second.windows(0),
      await second.pins(),
      await second.instances(),
    ]).toEqual(before)
    expect(await second.reserve(terms(2), [claim(91n, 100n)], false)).toMatchObject({ ok: false })
  })

  test('is readable by its owner only, with its log', async () => {
    await open().ping()
    const modes = readdirSync(directory).map((name) => [name, statSync(join(directory, name)).mode & 0o777])
    expect(Object.fromEntries(modes)).toEqual({
      'ledger.db': 0o600,
      'ledger.db-wal': 0o600,
      'ledger.db-shm': 0o600,
    })
  })

  test('rule 3: waits for the disk when an authorization is recorded, in WAL mode', async () => {
    const watch = watched()
    const store = open(watch.connect)
    const isSynced = async (work: () => Promise<unknown>): Promise<boolean> => {
      await work()
      // What the last commit was made with: 2 is FULL, 1 leaves the log to the next commit that is FULL.
      return watch.db.prepare('PRAGMA synchronous').get()?.['synchronous'] === 2
    }
    expect(watch.db.prepare('PRAGMA journal_mode').get()).toEqual({ journal_mode: 'wal' })
    expect(await isSynced(async () => await store.ping())).toBe(true)
    expect(await isSynced(async () => await store.reserve(terms(1), [], false))).toBe(false)
    expect(await isSynced(async () => await store.authorize(terms(1).id, signed(1), NOW))).toBe(true)
    const settled = { to: 'settled', at: NOW, reason: 'receipt', proof: 'receipt' } as const
    expect(await isSynced(async () => await store.move(terms(1).id, settled))).toBe(false)
    await store.reserve(terms(2), [], false)
    const together = [store.authorize(terms(2).id, signed(2), NOW), store.reserve(terms(3), [], false)]
    expect(await isSynced(async () => await Promise.all(together))).toBe(true)
  })

  test('rule 4: a power cut that takes the last commits leaves every authorization counted', async () => {
    const watch = watched()
    const store = open(watch.connect)
    const claims = [claim(10n, 100n)]
    await store.reserve(terms(1), claims, true)
    await store.authorize(terms(1).id, signed(1), NOW)
    // All that the disk has to keep is what was there when the last commit that waited for it returned.
    const kept = ['', '-wal'].map((suffix) => readFileSync(`${path}${suffix}`))
    const settled = { to: 'settled', at: NOW, reason: 'receipt', proof: 'receipt', pin: true } as const
    await store.move(terms(1).id, settled)
    await store.reserve(terms(2), claims, true)
    const after = join(directory, 'after.db')
    for (const [at, suffix] of ['', '-wal'].entries()) {
      writeFileSync(`${after}${suffix}`, kept[at] ?? '', { mode: 0o600 })
    }
    const restarted = openSqliteStore({ path: after })
    expect((await restarted.charges()).map(({ id, state }) => [id, state])).toEqual([
      [terms(1).id, 'authorized'],
    ])
    expect(await restarted.totals(claims)).toMatchObject([{ authorized: 10n, held: 0n, spent: 0n }])
    await restarted.close()
  })

  test('rule 2: is one ledger for two connections: a limit is taken once', async () => {
    const stores = [open(), open()]
    const results = await Promise.all(
      Array.from({ length: 40 }, async (_, n) => stores[n % 2]?.reserve(terms(n), [claim(3n, 50n)], true)),
    )
    expect(results.filter((result) => result?.ok)).toHaveLength(16)
    expect(await stores[0]?.charges()).toEqual(await stores[1]?.charges())
  })

  test('shows what a process had committed before kill -9', async () => {
    const child = spawn(
      process.execPath,
      [new URL('./reserve-for-ever.ts', import.meta.url).pathname, path],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    )
    let told = ''
    for await (const chunk of child.stdout) {
      told += String(chunk)
      if (told.split('\n').length > 200) child.kill('SIGKILL')
    }
    const acknowledged = told.split('\n').slice(0, -1)
    expect(child.signalCode ?? (await once(child, 'exit'))[1]).toBe('SIGKILL')
    const store = open()
    for (const id of acknowledged) expect(await store.charge(id), id).toMatchObject({ state: 'held' })
    const [totals] = await store.totals([claim(0n, 0n)])
    expect(totals?.held).toBe(BigInt((await store.charges({ limit: 1000 })).length))
  })
})

test('a ledger of any older schema is migrated without losing anything', async () => {
  for (let version = 1; version <= SCHEMA_VERSION; version++) {
    path = join(directory, `from-${version}.db`)
    const db = neighbour()
    db.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${version}`)
    for (const step of MIGRATIONS.slice(0, version)) db.exec(step)
    db.exec(`INSERT INTO pins VALUES ('https://a.example', 'n', 'a', '0xaa', 7)`)
    const store = open()
    expect(db.prepare('PRAGMA user_version').get()).toEqual({ user_version: SCHEMA_VERSION })
    expect(await store.pins()).toMatchObject([{ payTo: '0xaa', pinnedAt: 7 }])
    expect((await store.reserve(terms(1), [claim(1n, 1n)], true)).ok).toBe(true)
  }
})

describe('opening refuses', () => {
  test('a file that is not a database', () => {
    writeFileSync(path, 'not a database '.repeat(1000))
    expect(() => open()).toThrow(/ledger\.db is damaged or not a ledger\. Restore it from a backup/)
    expect(readFileSync(path, 'utf8')).toBe('not a database '.repeat(1000))
  })

  test('a ledger with damaged pages', async () => {
    const store = open()
    await Promise.all(Array.from({ length: 200 }, (_, n) => store.reserve(terms(n), [], false)))
    await store.close()
    const bytes = readFileSync(path)
    bytes.fill(0x5a, bytes.length - 40_000, bytes.length - 4096)
    writeFileSync(path, bytes)
    expect(() => open()).toThrow(/is damaged .* it would not know what was spent/)
  })

  test('a ledger that lost a table', async () => {
    await open().close()
    const db = neighbour()
    db.exec('DROP TABLE totals')
    db.close()
    expect(() => open()).toThrow(/is damaged/)
  })

  test('a ledger cut short, or empty', async () => {
    const store = open()
    await Promise.all(Array.from({ length: 200 }, (_, n) => store.reserve(terms(n), [], false)))
    await store.close()
    truncateSync(path, 20_480)
    expect(() => open()).toThrow(/is damaged/)
    truncateSync(path, 0)
    expect(() => open()).toThrow(/is empty: what it recorded is lost/)
    expect(statSync(path).size).toBe(0)
  })

  test('a log without its ledger', async () => {
    const store = open()
    await store.ping()
    expect(existsSync(`${path}-wal`)).toBe(true)
    rmSync(path)
    expect(() => openSqliteStore({ path })).toThrow(/is missing, but .*ledger\.db-wal exists/)
    expect(existsSync(path)).toBe(false)
  })

  test('a database of another program, and leaves it as it was', () => {
    const db = neighbour()
    db.exec('CREATE TABLE notes (a); PRAGMA user_version = 1')
    db.close()
    const before = readFileSync(path)
    expect(() => open()).toThrow(
      /ledger\.db is the database of another program\. Set store to a file that only/,
    )
    expect(readFileSync(path)).toEqual(before)
  })

  test('a ledger of a newer Tollway', async () => {
    await open().close()
    const db = neighbour()
    db.exec('PRAGMA user_version = 99')
    db.close()
    expect(() => open()).toThrow(/ledger\.db was written by a newer Tollway \(schema 99; .*Run the newer/)
  })

  test('a missing directory, a directory, and a file it cannot make', () => {
    expect(() => openSqliteStore({ path: join(directory, 'no/ledger.db') })).toThrow(
      /directory .*no does not exist\. Create it, or change store/,
    )
    mkdirSync(path)
    expect(() => open()).toThrow(/is not a file/)
    // A name longer than the file system takes stands for every failure to create.
    expect(() => openSqliteStore({ path: join(directory, 'x'.repeat(300)) })).toThrow(/ENAMETOOLONG/)
    expect(readdirSync(directory)).toEqual(['ledger.db'])
  })

  test('a ledger that another process holds, as unavailable', async () => {
    await open().close()
    const db = neighbour()
    db.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; UPDATE pings SET count = 9; COMMIT')
    expect(() => open()).toThrow(expect.objectContaining(UNAVAILABLE))
    db.close()
    await open().ping()
  })
})

describe('group commit', () => {
  test('everything asked for in one turn shares one commit', async () => {
    const { log, connect } = watched()
    const store = open(connect)
    log.length = 0
    await Promise.all(Array.from({ length: 100 }, (_, n) => store.reserve(terms(n), [claim(1n, 99n)], false)))
    expect(log.filter((sql) => sql === 'COMMIT')).toHaveLength(1)
    expect(log.filter((sql) => sql === 'SAVEPOINT job')).toHaveLength(100)
    await store.ping()
    expect(log.filter((sql) => sql === 'COMMIT')).toHaveLength(2)
  })

  test('what busy turns ask for one after the other shares one commit too, within a few turns', async () => {
    const { log, connect } = watched()
    const store = open(connect)
    log.length = 0
    const asked: Promise<unknown>[] = []
    for (let n = 0; n < 60; n += 2) {
      asked.push(store.reserve(terms(n), [], false), store.reserve(terms(n + 1), [], false))
      await new Promise(setImmediate)
    }
    await Promise.all(asked)
    // Thirty turns: one commit for five of them, or a few.
    const commits = log.filter((sql) => sql === 'COMMIT').length
    expect(commits).toBeGreaterThanOrEqual(5)
    expect(commits).toBeLessThanOrEqual(12)
  })

  test('one that comes alone is committed in the next turn', async () => {
    const { log, connect } = watched()
    const store = open(connect)
    log.length = 0
    const asked = store.reserve(terms(1), [], false)
    await new Promise(setImmediate)
    expect(log.at(-1)).toBe('COMMIT')
    await asked
  })

  test('rule 3: no promise resolves before the commit has returned', async () => {
    const { log, connect } = watched()
    const store = open(connect)
    log.length = 0
    await Promise.all([
      store.reserve(terms(1), [], false).then(() => log.push('first resolved')),
      store.reserve(terms(2), [], false).then(() => log.push('second resolved')),
    ])
    expect(log.slice(-3)).toEqual(['COMMIT', 'first resolved', 'second resolved'])
  })

  test('one that fails takes only itself back', async () => {
    const store = open()
    const results = await Promise.allSettled([
      store.reserve(terms(1), [claim(1n, 9n)], false),
      store.reserve(terms(1), [claim(1n, 9n)], false),
      store.move('chg_unknown', { to: 'released', at: NOW, reason: 'x' }),
      // A fraction of a millisecond does not fit the table: fails when the charge is written already.
      store.reserve(terms(2), [claim(1n, 9n), claim(1n, 9n, { windowStart: 0.5 })], true),
      store.reserve(terms(3), [claim(1n, 9n)], false),
    ])
    expect(results.map((result) => result.status)).toEqual([
      'fulfilled',
      'rejected',
      'rejected',
      'rejected',
      'fulfilled',
    ])
    expect((await store.charges()).map((charge) => charge.id)).toEqual([terms(3).id, terms(1).id])
    expect(await store.windows(0)).toMatchObject([{ totals: { held: 2n } }])
    expect(await store.pins()).toEqual([])
  })

  test('a large burst is split so that other work gets its turn', async () => {
    const { log, connect } = watched()
    const store = open(connect)
    log.length = 0
    await Promise.all(Array.from({ length: 600 }, (_, n) => store.reserve(terms(n), [], false)))
    expect(log.filter((sql) => sql === 'COMMIT')).toHaveLength(3)
  })
})

async function expectOutage(store: Store, end: () => void): Promise<void> {
  expect(await three(store)).toMatchObject(
    Array.from({ length: 3 }, () => ({ status: 'rejected', reason: UNAVAILABLE })),
  )
  await expect(store.ping()).rejects.toMatchObject(UNAVAILABLE)
  end()
  expect(await store.charges()).toEqual([])
  await store.ping()
  expect((await three(store)).map((result) => result.status)).toEqual(Array(3).fill('fulfilled'))
}

describe('when the disk or a neighbour refuses', () => {
  test('a locked ledger rejects the batch and works again when it is free; reads go on', async () => {
    const store = open()
    const db = neighbour()
    db.exec('BEGIN IMMEDIATE')
    expect(await store.totals([claim(0n, 0n)])).toHaveLength(1)
    await expectOutage(store, () => db.exec('ROLLBACK'))
  })

  test('a read-only ledger does too', async () => {
    const watch = watched()
    const store = open(watch.connect)
    watch.db.exec('PRAGMA query_only = ON')
    await expectOutage(store, () => watch.db.exec('PRAGMA query_only = OFF'))
  })

  test('a full disk does too, in the middle of a batch', async () => {
    const watch = watched()
    const store = open(watch.connect)
    const pages = Number(watch.db.prepare('PRAGMA page_count').get()?.['page_count'])
    watch.db.exec(`PRAGMA max_page_count = ${pages}`)
    const many = Array.from({ length: 200 }, (_, n) => store.reserve(terms(n), [claim(1n, 999n)], false))
    const results = await Promise.allSettled(many)
    const refused = results.filter((result) => result.status === 'rejected')
    expect(refused.length).toBeGreaterThan(0)
    for (const result of refused) expect(result.reason).toMatchObject(UNAVAILABLE)
    const kept = results.length - refused.length
    watch.db.exec('PRAGMA max_page_count = 1000000')
    expect(await store.charges({ limit: 1000 })).toHaveLength(kept)
    expect((await store.totals([claim(0n, 0n)]))[0]?.held).toBe(BigInt(kept))
    expect((await store.reserve(terms(900), [claim(1n, 999n)], false)).ok).toBe(true)
  })

  test('a commit that fails takes the whole batch back', async () => {
    const watch = watched()
    const store = open(watch.connect)
    const exec = watch.db.exec
    watch.db.exec = (sql) => {
      if (sql === 'COMMIT') throw Object.assign(new Error('disk I/O error'), { errcode: 1034 })
      exec(sql)
    }
    await expectOutage(store, () => {
      watch.db.exec = exec
    })
  })

  test('tells why, without the path', async () => {
    const store = open()
    const db = neighbour()
    db.exec('BEGIN IMMEDIATE')
    await expect(store.ping()).rejects.toThrow('The ledger cannot be used: another process has locked it.')
  })
})

describe('openStore', () => {
  test('opens what the configuration names', async () => {
    const sqlite = await openStore(`sqlite:${path}`)
    closers.push(() => sqlite.close())
    expect([sqlite.kind, (await openStore('memory')).kind]).toEqual(['sqlite', 'memory'])
  })

  test('refuses anything else and says what to write, without repeating passwords', async () => {
    const strange = await openStore('postgres://me:hunter2@db/x?ssl=1').catch((error: unknown) => error)
    expect(String(strange)).toMatch(/has a parameter that does not exist here; there are sslmode,/)
    expect(String(strange)).not.toContain('hunter2')
    await expect(openStore('redis://:hunter2@x')).rejects.toThrow(/^store: "redis" is not a store/)
    await expect(openStore('sqlite:')).rejects.toThrow(/sqlite:\.\/tollway\.db/)
    await expect(openStore('sqlite::memory:')).rejects.toThrow(/Write `memory`/)
  })
})
