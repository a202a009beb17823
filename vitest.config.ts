import { join } from 'node:path'
import { defineConfig } from 'vitest/config'

// Hundreds of processes and threads are started from the same sources: each finds them compiled.
process.env['NODE_COMPILE_CACHE'] ??= join(import.meta.dirname, 'node_modules/.cache/node-compile')

/**
 * Rooms whose tests leave nothing behind in their process: no environment variable, no spy, no measured heap. Their files
 * share a worker and load the sources once, which halves their CPU time. Every other file gets a worker of its own.
 */
const SHARED_ROOMS = [
  'budget',
  'charge',
  'config',
  'external-payers',
  'idempotency',
  'json',
  'ledger',
  'logging',
  'middleware',
  'money',
  'payment',
  'policy',
  'report',
  'request',
  'routing',
  'sse-restreamer',
  'stream',
  'transport',
  'vouchers',
  'x402',
]
const shared = SHARED_ROOMS.map((room) => `test/${room}/**/*.test.ts`)

export default defineConfig({
  test: {
    // Two cores, and files that mostly wait for processes, chains and browsers.
    maxWorkers: 3,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    unstubEnvs: true,
    projects: [
      { extends: true, test: { name: 'shared', include: shared, isolate: false } },
      {
        extends: true,
        test: { name: 'own', include: ['test/**/*.test.ts'], exclude: ['**/node_modules/**', ...shared] },
      },
    ],
  },
})
