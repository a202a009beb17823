/** Reports read sums that are kept as charges are booked: they are those of the charges, to the atom. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import * as fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { memoryStore } from '../../src/io/store/memory/store.ts'
import { keptStore } from './each-store.ts'
import { answers, live, lives, questions } from './rollup-lives.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tollway-sums-'))
})
afterEach(() => {
  rmSync(directory, { recursive: true })
})

test('sums and lists that are kept are those of the charges in memory, for every life, filter and span', async () => {
  await fc.assert(
    fc.asyncProperty(lives, questions, async (charges, asked) => {
      const memory = memoryStore()
      const kept = await keptStore(join(mkdtempSync(join(directory, 'run-')), 'l.db'), unsynced)
      for (const [n, one] of charges.entries()) {
        await live(memory, n + 1, one)
        await live(kept, n + 1, one)
      }
      for (const each of asked) expect(await answers(kept, each)).toEqual(await answers(memory, each))
      await kept.close()
    }),
    { numRuns: 25, endOnFailure: true },
  )
})

function unsynced(path: string): DatabaseSync {
  const db = new DatabaseSync(path)
  db.exec('PRAGMA synchronous = OFF')
  return db
}
