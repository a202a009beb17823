/** A network that stops between a gateway and its database, without an error: bounded, no storm of connections, and recovery. */
import { afterEach, expect, test } from 'vitest'
import { counted } from '../../src/core/budget/budget.ts'
import { openPostgresStore } from '../../src/io/store/postgres/store.ts'
import type { Store } from '../../src/io/store/store.ts'
import { claim, NOW, signed, terms } from '../../src/testing/store/samples.ts'
import { freshLedger, openPatiently } from '../kit/postgres-stores.ts'
import { startTcpProxy, type TcpProxy } from '../kit/tcp-proxy.ts'

/** Shorter than a gateway's, so that the tests do not wait for as long as a client would. */
const SHORT = { connectMs: 300, queueMs: 300, statementMs: 300 }
const POOL = 3

const running: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of running.splice(0).toReversed()) await close()
})

/** A replica behind a proxy, and one with a line of its own to the same ledger. */
async function two(): Promise<{ proxy: TcpProxy; cut: Store; other: Store }> {
  const direct = freshLedger()
  const other = await openPatiently(direct)
  const proxy = await startTcpProxy(Number(new URL(direct).port))
  const behind = new URL(direct)
  behind.port = String(proxy.port)
  behind.searchParams.set('pool_max', String(POOL))
  const cut = await openPostgresStore({ address: behind.href, waits: SHORT })
  running.push(
    () => other.close(),
    () => proxy.close(),
    () => cut.close(),
  )
  return { proxy, cut, other }
}

test('rule 9: while nothing passes, every call is refused and none is lost; after it, calls are served again', async () => {
  const { proxy, cut, other } = await two()
  await cut.reserve(terms(0), [claim(10n, 10_000n)], false)
  proxy.cut()
  const before = proxy.opened
  const calls = Array.from({ length: 100 }, (_, n) => cut.reserve(terms(n + 1), [claim(10n, 10_000n)], false))
  const results = await Promise.allSettled(calls)
  for (const result of results) {
    expect(result).toMatchObject({ status: 'rejected', reason: { code: 'store_unavailable' } })
  }
  // A few places, and those that were tried again: not one per call.
  expect(proxy.opened - before).toBeLessThanOrEqual(2 * POOL)
  proxy.heal()
  let n = 1000
  await expect
    .poll(async () => {
      n += 1
      return await cut.reserve(terms(n), [claim(10n, 10_000n)], false).then(
        ({ ok }) => ok,
        () => false,
      )
    })
    .toBe(true)
  // What was refused may have been written, and then it is counted; what was confirmed is there.
  const charges = await other.charges({ limit: 1000 })
  const [totals] = await other.totals([claim(0n, 10_000n)])
  expect(totals && counted(totals)).toBe(BigInt(charges.length) * 10n)
  expect(charges.map(({ id }) => id)).toEqual(expect.arrayContaining([terms(0).id, terms(n).id]))
})

test('rule 3: a signature whose record is not confirmed is refused to its sender, and is counted if it was written', async () => {
  const { proxy, cut, other } = await two()
  await cut.reserve(terms(1), [claim(10n, 100n)], false)
  proxy.cut()
  await expect(cut.authorize(terms(1).id, signed(1), NOW)).rejects.toMatchObject({
    code: 'store_unavailable',
  })
  proxy.heal()
  const [totals] = await other.totals([claim(0n, 100n)])
  expect(totals && counted(totals)).toBe(10n)
})

test('rule 2: what a cut replica holds of a budget does not stop the others: its session ends, and they reserve', async () => {
  const { proxy, cut, other } = await two()
  await cut.reserve(terms(0), [claim(10n, 1000n)], false)
  const calls = Array.from({ length: 20 }, (_, n) => cut.reserve(terms(n + 1), [claim(10n, 1000n)], false))
  // Somewhere in the middle of its transaction, or before, or after it: whatever the machine makes of it.
  setImmediate(() => proxy.cut())
  const results = await Promise.allSettled(calls)
  const reserved = await Promise.all(
    Array.from({ length: 100 }, (_, n) => other.reserve(terms(n + 500), [claim(10n, 1000n)], false)),
  )
  const confirmed = results.filter(({ status }) => status === 'fulfilled').length
  const passed = reserved.filter(({ ok }) => ok).length
  const [totals] = await other.totals([claim(0n, 1000n)])
  expect(totals && counted(totals)).toBe(1000n)
  expect(passed).toBeLessThanOrEqual(100 - 1 - confirmed)
})
