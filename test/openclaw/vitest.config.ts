import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/openclaw/**/*.peer.ts'],
    // OpenClaw needs most of a gigabyte and one core for each turn.
    maxWorkers: 1,
    fileParallelism: false,
    testTimeout: 240_000,
    hookTimeout: 120_000,
  },
})
