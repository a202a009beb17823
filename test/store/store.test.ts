import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { memoryStore } from '../../src/io/store/memory/store.ts'
import { openSqliteStore } from '../../src/io/store/sqlite/store.ts'
import { storeConformance } from './conformance.ts'

storeConformance('memory', async () => {
  const store = memoryStore()
  return { store, dispose: async () => await store.close() }
})

storeConformance('sqlite', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'tollway-store-'))
  const store = openSqliteStore({ path: join(directory, 'ledger.db') })
  return {
    store,
    dispose: async () => {
      await store.close()
      rmSync(directory, { recursive: true })
    },
  }
})
