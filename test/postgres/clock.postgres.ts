/** Replicas whose clocks differ date charges by the clock of their database. */
import { afterEach, expect, test } from 'vitest'
import { openLedger, type OpenedLedger } from '../../src/io/ledger/open-ledger.ts'
import { openPostgresStore } from '../../src/io/store/postgres/store.ts'
import { freshLedger, PATIENT } from '../kit/postgres-stores.ts'
import { terms } from '../../src/testing/store/samples.ts'

const HOUR_MS = 3_600_000

const opened: OpenedLedger[] = []
afterEach(async () => {
  for (const one of opened.splice(0)) await one.close()
})

/** A replica whose own clock is wrong by this much. */
async function replica(address: string, wrongByMs: number, warnings: string[] = []): Promise<OpenedLedger> {
  const now = (): number => Date.now() + wrongByMs
  const store = await openPostgresStore({
    address,
    waits: PATIENT,
    now,
    onWarning: (warning) => warnings.push(warning),
  })
  const one = await openLedger({ store, clock: { now } })
  opened.push(one)
  return one
}

test('rule 2: replicas whose clocks are an hour apart count in the same windows', async () => {
  const address = freshLedger()
  const warnings: string[] = []
  const replicas = [await replica(address, HOUR_MS, warnings), await replica(address, -HOUR_MS, warnings)]
  const before = Date.now()
  const charges = await Promise.all(replicas.map(({ ledger }, n) => ledger.reserve(terms(n), [], false)))
  const after = Date.now()
  for (const { reservedAt } of charges) {
    // To the accuracy of one round trip, which is far below the hour that the clocks are wrong by.
    expect(reservedAt).toBeGreaterThan(before - HOUR_MS / 4)
    expect(reservedAt).toBeLessThan(after + HOUR_MS / 4)
  }
  expect(warnings.join(' ')).toMatch(/3600 seconds apart.*by the database's clock/)
})

test('rule 10: a replica whose clock is an hour behind is not taken for dead', async () => {
  const address = freshLedger()
  const slow = await replica(address, -HOUR_MS)
  const charge = await slow.ledger.reserve(terms(1), [], false)
  const other = await replica(address, 0)
  await other.ledger.retireDead()
  expect(await other.ledger.store.charge(charge.id)).toMatchObject({ state: 'held' })
  const [first] = await other.ledger.store.instances()
  expect(Math.abs((first?.heartbeatAt ?? 0) - Date.now())).toBeLessThan(HOUR_MS / 4)
})
