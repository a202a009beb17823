/** Empty ledgers on the server of a run, each in a schema of its own. */
import { openPostgresStore } from '../../src/io/store/postgres/store.ts'
import type { Store } from '../../src/io/store/store.ts'

let count = 0

/** The address of a ledger that nothing was written to yet. @throws Error outside `npm run test:postgres` */
export function freshLedger(): string {
  const server = process.env['TOLLWAY_TEST_POSTGRES']
  if (server === undefined) throw new Error('there is no Postgres: run npm run test:postgres')
  count += 1
  return `${server}?schema=t_${process.pid}_${count}`
}

/** Waits that no loaded machine reaches. */
const PATIENCE_MS = 120_000
export const PATIENT = { connectMs: PATIENCE_MS, queueMs: PATIENCE_MS, statementMs: PATIENCE_MS }

/** Opens a ledger. */
export function openPatiently(address: string): Promise<Store> {
  return openPostgresStore({ address, waits: PATIENT })
}

/** Opens an empty ledger. */
export function freshPostgresStore(): Promise<Store> {
  return openPatiently(freshLedger())
}
