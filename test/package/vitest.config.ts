import { join } from 'node:path'
import { defineConfig } from 'vitest/config'

// Installations start many processes: each finds its sources compiled.
process.env['NODE_COMPILE_CACHE'] ??= join(import.meta.dirname, '../../node_modules/.cache/node-compile')

/** A guard against what hangs for ever. Nothing that is said of Tollway depends on how fast this machine is. */
const HANGS_MS = 600_000

export default defineConfig({
  test: {
    include: ['test/package/*.consumer.ts'],
    testTimeout: HANGS_MS,
    hookTimeout: HANGS_MS,
    unstubEnvs: true,
  },
})
