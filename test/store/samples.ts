/** Part of `tollway/testing`. */
export * from '../../src/testing/store/samples.ts'
