import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe } from 'vitest'
import { memoryStore } from '../../src/io/store/memory/store.ts'
import { openSqliteStore, type SqliteStoreOptions } from '../../src/io/store/sqlite/store.ts'
import type { Store } from '../../src/io/store/store.ts'
import { freshPostgresStore } from '../kit/postgres-stores.ts'

/** Whether the stores under test are Postgres. */
export const IS_POSTGRES = process.env['TOLLWAY_TEST_POSTGRES'] !== undefined

type Open = (directory: string) => Store | Promise<Store>

/**
 * Every store, and how an empty one is opened in a directory of the test's own. Postgres needs a server: `npm run test:postgres`
 * starts one, and runs the same tests over it alone.
 */
const STORES: Readonly<Record<string, Open>> = !IS_POSTGRES
  ? {
      memory: () => memoryStore(),
      sqlite: (directory) => openSqliteStore({ path: join(directory, 'ledger.db') }),
    }
  : { postgres: () => freshPostgresStore() }

/** An empty store that is compared with memory: SQLite, or Postgres in its own run. */
export async function keptStore(path: string, connect?: SqliteStoreOptions['connect']): Promise<Store> {
  return IS_POSTGRES ? await freshPostgresStore() : openSqliteStore({ path, connect })
}

/** Runs tests over every store; `store()` is an empty one in each test. */
export function onEachStore(name: string, tests: (store: () => Store) => void): void {
  describe.each(Object.entries(STORES))(`${name}: %s store`, (_kind, open) => {
    let directory: string
    let store: Store
    beforeEach(async () => {
      directory = mkdtempSync(join(tmpdir(), 'tollway-store-'))
      store = await open(directory)
    })
    afterEach(async () => {
      await store.close()
      rmSync(directory, { recursive: true })
    })
    tests(() => store)
  })
}
