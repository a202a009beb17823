import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { defineConfig } from 'vitest/config'
import { bundleProgram } from './test/tools/bundle-program.ts'
import { keepTemporaryFilesInMemory } from './test/tools/memory-directory.ts'

// Hundreds of processes and threads are started: each finds its sources bundled and compiled.
process.env['NODE_COMPILE_CACHE'] ??= join(import.meta.dirname, 'node_modules/.cache/node-compile')
process.env['TOLLWAY_TEST_BUNDLES'] = await bundleProgram()
keepTemporaryFilesInMemory()

/**
 * Files that get a process of their own, because they measure its memory. All others leave nothing behind in theirs that another
 * file could notice (no spy, no global, no variable that others read): they share a process and load the sources once.
 */
const ALONE = [
  'test/audit/audit-large.test.ts',
  'test/e2e/hostile-transport.test.ts',
  'test/idempotency/memory.test.ts',
]

/** A guard against what hangs for ever. Nothing that is said of Tollway depends on how fast this machine is. */
const HANGS_MS = 300_000

export default defineConfig({
  test: {
    // Two cores, and files that mostly wait for processes, chains and browsers.
    maxWorkers: 3,
    // Node runs the sources as a user's process does. Vite's own runner makes each imported name a property with a getter, which
    // doubles the cost of code that reads bytes.
    experimental: { viteModuleRunner: false, nodeLoader: false },
    execArgv: ['--import', pathToFileURL(join(import.meta.dirname, 'test/tools/bundled-threads.ts')).href],
    testTimeout: HANGS_MS,
    hookTimeout: HANGS_MS,
    teardownTimeout: HANGS_MS,
    expect: { poll: { timeout: HANGS_MS / 2 } },
    unstubEnvs: true,
    projects: [
      {
        extends: true,
        test: {
          name: 'shared',
          include: ['test/**/*.test.ts'],
          exclude: ['**/node_modules/**', ...ALONE],
          isolate: false,
        },
      },
      { extends: true, test: { name: 'alone', include: ALONE } },
    ],
  },
})
