/** Part of `tollway/testing`. */
export * from '../../src/testing/seller/seller-answers.ts'
