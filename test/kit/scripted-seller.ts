/** Part of `tollway/testing`. */
export * from '../../src/testing/seller/scripted-seller.ts'
