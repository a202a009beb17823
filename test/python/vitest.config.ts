import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/python/*.peer.ts'],
    // One world at a time; each client is a process that imports for seconds.
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 180_000,
  },
})
