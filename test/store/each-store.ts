import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe } from 'vitest'
import { memoryStore } from '../../src/io/store/memory/store.ts'
import { openSqliteStore } from '../../src/io/store/sqlite/store.ts'
import type { Store } from '../../src/io/store/store.ts'

/** Runs tests over every store; `store()` is a fresh one in each test. */
export function onEachStore(name: string, tests: (store: () => Store) => void): void {
  describe.each(['memory', 'sqlite'])(`${name}: %s store`, (kind) => {
    let directory: string
    let store: Store
    beforeEach(() => {
      directory = mkdtempSync(join(tmpdir(), 'tollway-store-'))
      store = kind === 'memory' ? memoryStore() : openSqliteStore({ path: join(directory, 'ledger.db') })
    })
    afterEach(async () => {
      await store.close()
      rmSync(directory, { recursive: true })
    })
    tests(() => store)
  })
}
