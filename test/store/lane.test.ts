/** Group commit of the Postgres ledger, without a database. */
import { afterEach, expect, test, vi } from 'vitest'
import { TollwayError } from '../../src/core/errors.ts'
import { Lane, type Outcome } from '../../src/io/store/postgres/database/lane.ts'

afterEach(() => {
  vi.useRealTimers()
})

type Job = { readonly name: string; readonly value: number }

function lane(transact: (work: readonly Job[]) => Promise<readonly Outcome<number>[]>): Lane<Job, number> {
  return new Lane({ transact, namesOf: ({ name }) => [name], queueMs: 1000 })
}

const done = (work: readonly Job[]): Outcome<number>[] => work.map(({ value }) => ({ value }))
const job = (value: number, name = `n${value}`): Job => ({ name, value })

test('what is asked for at once shares a transaction, and what comes while it runs shares the next', async () => {
  const batches: number[][] = []
  const release: (() => void)[] = []
  const own = lane(async (work) => {
    batches.push(work.map(({ value }) => value))
    await new Promise<void>((resolve) => release.push(resolve))
    return done(work)
  })
  const first = [1, 2, 3].map((n) => own.run(job(n)))
  await expect.poll(() => release.length).toBe(1)
  const second = [4, 5].map((n) => own.run(job(n)))
  release[0]?.()
  expect(await Promise.all(first)).toEqual([1, 2, 3])
  await expect.poll(() => release.length).toBe(2)
  release[1]?.()
  expect(await Promise.all(second)).toEqual([4, 5])
  expect(batches).toEqual([
    [1, 2, 3],
    [4, 5],
  ])
})

test('work with one name never shares a transaction, and keeps its order', async () => {
  const batches: number[][] = []
  const own = lane(async (work) => {
    batches.push(work.map(({ value }) => value))
    return done(work)
  })
  await Promise.all([job(1, 'a'), job(2, 'a'), job(3, 'b'), job(4, 'a')].map((one) => own.run(one)))
  expect(batches).toEqual([[1, 3], [2], [4]])
})

test('an outcome that is an error is that of one piece of work alone', async () => {
  const own = lane(async (work) =>
    work.map(({ value }) => (value === 2 ? { thrown: new Error('refused') } : { value })),
  )
  const results = await Promise.allSettled([1, 2, 3].map((n) => own.run(job(n))))
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
})

test('after a transaction that the database refused, each piece of work is tried alone', async () => {
  const sizes: number[] = []
  const own = lane(async (work) => {
    sizes.push(work.length)
    if (work.some(({ value }) => value === 2)) throw new Error('numeric field overflow')
    return done(work)
  })
  const results = await Promise.allSettled([1, 2, 3].map((n) => own.run(job(n))))
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  expect(sizes).toEqual([3, 1, 1, 1])
})

test('rule 9: after a lost connection nothing is tried again: whether it was written is not known', async () => {
  const sizes: number[] = []
  const own = lane(async (work) => {
    sizes.push(work.length)
    throw new TollwayError({ code: 'store_unavailable', message: 'gone', cause: new Error('ECONNRESET') })
  })
  const results = await Promise.allSettled([1, 2, 3].map((n) => own.run(job(n))))
  expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected'])
  expect(sizes).toEqual([3])
})

test('work whose turn does not come in time is refused, and never done', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
  let release = (): void => undefined
  const seen: number[] = []
  const own = lane(async (work) => {
    seen.push(...work.map(({ value }) => value))
    await new Promise<void>((resolve) => (release = resolve))
    return done(work)
  })
  const first = own.run(job(1))
  await new Promise((resolve) => setImmediate(resolve))
  const second = own.run(job(2))
  const refused = expect(second).rejects.toMatchObject({ code: 'store_unavailable' })
  await vi.advanceTimersByTimeAsync(1000)
  await refused
  release()
  expect(await first).toBe(1)
  expect(seen).toEqual([1])
})
