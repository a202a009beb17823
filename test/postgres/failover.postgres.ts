/** A database that is lost, and its standby that takes over: real streaming replication on the loopback address. */
import { afterEach, expect, test } from 'vitest'
import { counted } from '../../src/core/budget/budget.ts'
import { openPostgresStore } from '../../src/io/store/postgres/store.ts'
import { claim, NOW, signed, terms } from '../../src/testing/store/samples.ts'
import { startPostgres, startStandby } from '../kit/postgres.ts'
import { openPatiently, PATIENT } from '../kit/postgres-stores.ts'

const running: { close(): Promise<void> }[] = []
afterEach(async () => {
  for (const one of running.splice(0).toReversed()) await one.close()
})

async function pair() {
  const primary = await startPostgres()
  running.push({ close: () => primary.remove() })
  const standby = await startStandby(primary)
  running.push({ close: () => standby.remove() })
  return { primary, standby }
}

test('rule 3: a promoted standby that was waited for has every signed payment, and its nonces stay used', async () => {
  const { primary, standby } = await pair()
  primary.sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
  primary.sql('SELECT pg_reload_conf()')
  await expect
    .poll(() => primary.sql("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"))
    .toBe('1')
  const warnings: string[] = []
  const store = await openPostgresStore({
    address: primary.address(),
    waits: PATIENT,
    onWarning: (warning) => warnings.push(warning),
  })
  running.push(store)
  expect(warnings).toEqual([])
  const confirmed: number[] = []
  const database = { isLost: false }
  // Twenty at once, for as long as there is a database.
  const clients = Array.from({ length: 20 }, async (_, client) => {
    for (let n = client; !database.isLost; n += 20) {
      try {
        await store.reserve(terms(n), [claim(10n, 10n ** 9n)], false)
        const charge = await store.authorize(terms(n).id, signed(n), NOW)
        if (typeof charge !== 'string') confirmed.push(n)
      } catch {
        return
      }
    }
  })
  await expect.poll(() => confirmed.length).toBeGreaterThan(60)
  await primary.kill()
  database.isLost = true
  await Promise.all(clients)

  standby.sql('SELECT pg_promote()')
  const after = await openPatiently(standby.address())
  running.push(after)
  for (const n of confirmed) {
    expect(await after.charge(terms(n).id)).toMatchObject({ state: 'authorized' })
    const again = terms(100_000 + n)
    await after.reserve(again, [], false)
    expect(await after.authorize(again.id, signed(n), NOW)).toBe('nonce_used')
  }
  const [totals] = await after.totals([claim(0n, 0n)])
  expect(totals && counted(totals)).toBeGreaterThanOrEqual(BigInt(confirmed.length) * 10n)
  expect(totals?.authorized).toBeGreaterThanOrEqual(BigInt(confirmed.length) * 10n)
})

test('a database that does not wait for its standby is used with a warning, and a standby is not used at all', async () => {
  const { primary, standby } = await pair()
  await expect.poll(() => primary.sql('SELECT count(*) FROM pg_stat_replication')).toBe('1')
  const warnings: string[] = []
  const store = await openPostgresStore({
    address: primary.address(),
    waits: PATIENT,
    onWarning: (warning) => warnings.push(warning),
  })
  running.push(store)
  expect(warnings).toEqual([
    expect.stringMatching(/^The database has standbys but does not wait for them: a failover can lose/),
  ])
  await expect(openPatiently(standby.address())).rejects.toMatchObject({
    code: 'store_unavailable',
    message: expect.stringContaining('it only answers reads, as a standby does'),
  })
})
