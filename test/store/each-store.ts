import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe } from 'vitest'
import { memoryStore } from '../../src/io/store/memory/store.ts'
import { openSqliteStore } from '../../src/io/store/sqlite/store.ts'
import type { Store } from '../../src/io/store/store.ts'

/** Every store, and how an empty one is opened in a directory of the test's own. A new adapter adds one line. */
const STORES: Readonly<Record<string, (directory: string) => Store | Promise<Store>>> = {
  memory: () => memoryStore(),
  sqlite: (directory) => openSqliteStore({ path: join(directory, 'ledger.db') }),
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
