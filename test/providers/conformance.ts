/** Part of `tollway/testing`. */
export * from '../../src/testing/payer-suite.ts'
