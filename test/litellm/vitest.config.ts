import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/litellm/*.peer.ts'],
    // LiteLLM needs a core and half a gigabyte: one proxy at a time, and its start is slow.
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 180_000,
  },
})
