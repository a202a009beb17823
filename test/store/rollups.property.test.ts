/** Reports read sums that are kept as charges are booked: they are those of the charges, to the atom, whatever became of these. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import * as fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { spendingIn } from '../../src/app/report/read-sums.ts'
import { addUp, type Dimension } from '../../src/app/report/spending.ts'
import { readWithUsage } from '../../src/app/report/read-charges.ts'
import type { ChargeState } from '../../src/core/charge/charge.ts'
import { memoryStore } from '../../src/io/store/memory/store.ts'
import type { Connection } from '../../src/io/store/sqlite/file/file.ts'
import { readSqliteLedger } from '../../src/io/store/sqlite/read.ts'
import { openSqliteStore } from '../../src/io/store/sqlite/store.ts'
import type { Store } from '../../src/io/store/store.ts'
import type { ChargeFilter } from '../../src/io/store/contracts/charges.ts'
import { signed, terms } from './samples.ts'

const MINUTE = 60_000
const DAY = 86_400_000
const START = Date.parse('2026-10-24T22:00:00Z')

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tollway-rollups-'))
})
afterEach(() => {
  rmSync(directory, { recursive: true })
})

/** The life of a charge: what it is for, when, and what becomes of it. */
const life = fc.record({
  at: fc.oneof(fc.integer({ min: 0, max: 3 * DAY }), fc.constantFrom(0, 15 * MINUTE, DAY - 1, DAY, DAY + 1)),
  amount: fc.oneof(fc.bigInt({ min: 1n, max: 5000n }), fc.bigInt({ min: 10n ** 17n, max: 10n ** 30n })),
  priced: fc.boolean(),
  route: fc.constantFrom('paid/*', 'other'),
  payer: fc.constantFrom('base', 'obol'),
  caller: fc.constantFrom('openclaw', 'ci', ''),
  model: fc.constantFrom(undefined, '', 'llama'),
  tags: fc.constantFrom(
    undefined,
    ['agent:a'],
    ['agent:b', 'agent:a', 'team:x'],
    ['agents:c', 'plain'],
    ['agent:'],
  ),
  moves: fc.constantFrom<readonly string[]>(
    [],
    ['released'],
    ['authorized'],
    ['authorized', 'settled'],
    ['authorized', 'settled', 'proven'],
    ['authorized', 'assumed'],
    ['authorized', 'assumed', 'released'],
    ['authorized', 'assumed', 'part'],
    ['authorized', 'uncertain'],
    ['authorized', 'uncertain', 'settled'],
    ['authorized', 'uncertain', 'part'],
    ['authorized', 'uncertain', 'released'],
    ['authorized', 'retired'],
    ['retired'],
  ),
  /** Before which of the moves its tokens are noted. */
  usage: fc.record({ at: fc.integer({ min: 0, max: 4 }), tokens: fc.integer({ min: 0, max: 2 ** 40 }) }),
})

type Life = typeof life extends fc.Arbitrary<infer T> ? T : never

async function live(
  store: Store,
  n: number,
  { at, amount, moves, usage, priced, model, ...names }: Life,
): Promise<void> {
  const reservedAt = START + at
  const charge = terms(n, {
    ...names,
    amount,
    microUsd: priced ? amount : undefined,
    remoteModel: model,
    reservedAt,
    leaseUntil: reservedAt + 30_000,
    instance: moves.includes('retired') ? `ins_${n}` : 'ins_one',
  })
  await store.reserve(charge, [], false)
  for (const [index, move] of [...moves, 'end'].entries()) {
    if (index === usage.at) await store.noteUsage(charge.id, { inputTokens: usage.tokens, outputTokens: 3 })
    const told = { at: reservedAt + index, reason: 'x' }
    if (move === 'authorized')
      await store.authorize(charge.id, { ...signed(n), scheme: 'upto' }, reservedAt + 1)
    if (move === 'settled') await store.move(charge.id, { to: 'settled', proof: 'receipt', ...told })
    if (move === 'assumed') await store.move(charge.id, { to: 'settled', proof: 'assumed', ...told })
    if (move === 'proven') await store.move(charge.id, { to: 'settled', proof: 'chain', ...told })
    if (move === 'part')
      await store.move(charge.id, { to: 'settled', proof: 'chain', charged: amount / 3n, ...told })
    if (move === 'uncertain' || move === 'released') await store.move(charge.id, { to: move, ...told })
    if (move === 'retired') await store.retire(charge.instance, told.at, 'instance_dead')
  }
}

const instant = fc.oneof(
  fc.integer({ min: -DAY, max: 4 * DAY }).map((at) => START + at),
  fc.integer({ min: -4, max: 16 }).map((quarters) => START + quarters * 6 * 60 * MINUTE),
)
/** Mostly left out, so that most filters match something. */
const seldom = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(value, { nil: undefined, freq: 2 })
const filter: fc.Arbitrary<ChargeFilter> = fc.record({
  states: seldom(fc.subarray<ChargeState>(['held', 'authorized', 'settled', 'uncertain', 'released'])),
  route: seldom(fc.constantFrom('paid/*', 'paid/*', 'none')),
  payer: seldom(fc.constantFrom('base', 'base', 'none')),
  caller: seldom(fc.constantFrom('ci', '', 'none')),
  from: seldom(instant),
  to: seldom(instant),
  instance: fc.constantFrom(undefined, undefined, undefined, undefined, undefined, 'ins_one'),
})
const question = fc.record({
  filter,
  by: fc.constantFrom(undefined, 'route', 'model', 'payer', 'caller', 'tag.agent', 'tag.none'),
  limit: fc.integer({ min: 0, max: 6 }),
})

type Question = typeof question extends fc.Arbitrary<infer T> ? T : never

async function answers(store: Store, { filter: where, by, limit }: Question): Promise<unknown[]> {
  const first = await store.charges({ ...where, limit })
  const before = first.at(-1)
  return [
    await store.spend({ ...where, ...(by === undefined ? {} : { by }) }),
    await store.spentBy(where.from ?? START, where.to),
    await store.consumption({ caller: where.caller, since: where.from ?? START }),
    await store.sum('uncertain'),
    await store.sum(where.states?.[0] ?? 'settled'),
    first,
    before ? await store.charges({ ...where, before }) : [],
  ]
}

const lives = fc.array(life, { minLength: 4, maxLength: 25, size: 'max' })
const questions = fc.array(question, { minLength: 6, maxLength: 6 })

test('the sums and lists of SQLite are those of the charges in memory, for every life, filter and span', async () => {
  await fc.assert(
    fc.asyncProperty(lives, questions, async (charges, asked) => {
      const memory = memoryStore()
      const sqlite = openSqliteStore({
        path: join(mkdtempSync(join(directory, 'run-')), 'l.db'),
        connect: unsynced,
      })
      for (const [n, one] of charges.entries()) {
        await live(memory, n + 1, one)
        await live(sqlite, n + 1, one)
      }
      for (const each of asked) expect(await answers(sqlite, each)).toEqual(await answers(memory, each))
      await sqlite.close()
    }),
    { numRuns: 25, endOnFailure: true },
  )
})

test('a ledger of an older version gives the same answers before its sums are built, half-way and after', async () => {
  await fc.assert(
    fc.asyncProperty(
      lives,
      lives,
      questions,
      fc.integer({ min: 0, max: 4 }),
      async (old, later, asked, half) => {
        const path = join(mkdtempSync(join(directory, 'run-')), 'l.db')
        const memory = memoryStore()
        const first = openSqliteStore({ path, connect: unsynced })
        for (const [n, one] of old.entries()) {
          await live(memory, n + 1, one)
          await live(first, n + 1, one)
        }
        await first.close()
        const sqlite = openSqliteStore({ path, connect: (file) => forgetful(unsynced(file), half) })
        for (const [n, one] of later.entries()) {
          await live(memory, n + 101, one)
          await live(sqlite, n + 101, one)
        }
        for (const each of asked) expect(await answers(sqlite, each)).toEqual(await answers(memory, each))
        await sqlite.close()
        const built = openSqliteStore({ path, connect: unsynced })
        for (const each of asked) expect(await answers(built, each)).toEqual(await answers(memory, each))
        await built.close()
      },
    ),
    { numRuns: 25, endOnFailure: true },
  )
})

test('a report of the sums is the report of the charges, in every time zone, by time, names and tags', async () => {
  const dimension = fc.constantFrom<Dimension>(
    'day',
    'week',
    'month',
    'route',
    'payer',
    'caller',
    'model',
    'remote_model',
    'network',
    'tag.agent',
    'tag.team',
  )
  const wanted = fc.record({
    by: fc.uniqueArray(dimension, { maxLength: 4 }),
    timezone: fc.constantFrom('UTC', 'Europe/Berlin', 'Asia/Kathmandu', 'America/New_York'),
    since: fc.integer({ min: -DAY, max: 3 * DAY }),
    ms: fc.integer({ min: 1, max: 4 * DAY }),
  })
  await fc.assert(
    fc.asyncProperty(lives, fc.array(wanted, { minLength: 4, maxLength: 4 }), async (charges, reports) => {
      const path = join(mkdtempSync(join(directory, 'run-')), 'l.db')
      const store = openSqliteStore({ path, connect: unsynced })
      for (const [n, one] of charges.entries()) await live(store, n + 1, one)
      await store.close()
      const ledger = readSqliteLedger(path)
      for (const { by, timezone, since, ms } of reports) {
        const period = { since: START + since, until: START + since + ms }
        const expected = await addUp(readWithUsage(ledger, period), by, timezone)
        expect(await spendingIn(ledger, period, by, timezone)).toEqual(expected)
      }
      const compared = await ledger.compareSums(Number.POSITIVE_INFINITY)
      expect(compared).toEqual({ charges: charges.length, isWhole: true, unbuilt: 0, differing: 0 })
      ledger.close()
    }),
    { numRuns: 20, endOnFailure: true },
  )
})

/** The disk is not the subject. */
function unsynced(path: string): DatabaseSync {
  const db = new DatabaseSync(path)
  db.exec('PRAGMA synchronous = OFF')
  return db
}

/** A ledger whose charges came from an older version, and of which only so many are built before it is opened again. */
function forgetful(db: DatabaseSync, built: number): Connection {
  db.exec(`DELETE FROM rollups; DELETE FROM spend_keys; UPDATE charges SET key = NULL`)
  const prepare = db.prepare.bind(db)
  db.prepare = (sql) => {
    const statement = prepare(sql)
    if (!sql.includes('WHERE key IS NULL LIMIT ?')) return statement
    let left = built
    const all = statement.all.bind(statement)
    statement.all = ((limit: number) => {
      const take = Math.min(limit, left)
      left -= take
      return all(take)
    }) as typeof statement.all
    return statement
  }
  return db
}
