/** Runs the conformance suite over every store. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { memoryStore } from '../../src/io/store/memory/store.ts'
import { openSqliteStore } from '../../src/io/store/sqlite/store.ts'
import { describeStore } from '../../src/testing/suites.ts'

const directory = mkdtempSync(join(tmpdir(), 'tollway-store-'))
let count = 0
afterAll(() => rmSync(directory, { recursive: true }))

describeStore('memory', () => memoryStore())
describeStore('sqlite', () => {
  count += 1
  return openSqliteStore({ path: join(directory, `ledger-${count}.db`) })
})
