import { join } from 'node:path'
import { defineConfig } from 'vitest/config'
import { keepTemporaryFilesInMemory } from '../tools/memory-directory.ts'

process.env['NODE_COMPILE_CACHE'] ??= join(import.meta.dirname, '../../node_modules/.cache/node-compile')
keepTemporaryFilesInMemory()

/** A guard against what hangs for ever. Nothing that is said of Tollway depends on how fast this machine is. */
const HANGS_MS = 300_000

/** What memory and SQLite are tested with too: these files open Postgres when a server is named (test/store/each-store.ts). */
const SHARED = [
  'test/notify/inherited.test.ts',
  'test/store/budget-config.property.test.ts',
  'test/store/budget.property.test.ts',
  'test/store/charged.test.ts',
  'test/store/charges.test.ts',
  'test/store/hand-overs.test.ts',
  'test/store/history.test.ts',
  'test/store/rolling.test.ts',
  'test/store/solana.test.ts',
  'test/store/sums.property.test.ts',
  'test/vouchers/voucher-book.test.ts',
]

export default defineConfig({
  test: {
    include: ['test/postgres/*.postgres.ts', ...SHARED],
    globalSetup: ['test/postgres/one-server.ts'],
    maxWorkers: 2,
    isolate: false,
    testTimeout: HANGS_MS,
    hookTimeout: HANGS_MS,
    teardownTimeout: HANGS_MS,
    expect: { poll: { timeout: HANGS_MS / 2 } },
    unstubEnvs: true,
  },
})
