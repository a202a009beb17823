/** Part of `tollway/testing`. */
export * from '../../src/testing/quotes.ts'
