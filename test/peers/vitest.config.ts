import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/peers/*.peer.ts'],
    // agentcash in its offline mode asks for balances on one fixed port: one file at a time.
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
})
