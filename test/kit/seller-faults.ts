/** Part of `tollway/testing`. */
export * from '../../src/testing/seller/seller-faults.ts'
