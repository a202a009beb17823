/** Part of `tollway/testing`. */
export * from '../../src/testing/store/voucher-samples.ts'
