/** Part of `tollway/testing`. */
export * from '../../src/testing/manual-timers.ts'
