import { join } from 'node:path'
import { defineConfig } from 'vitest/config'

// Hundreds of processes and threads are started from the same sources: each finds them compiled.
process.env['NODE_COMPILE_CACHE'] ??= join(import.meta.dirname, 'node_modules/.cache/node-compile')

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Two cores, and files that mostly wait for processes, chains and browsers.
    maxWorkers: 3,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    unstubEnvs: true,
  },
})
