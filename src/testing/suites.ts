/**
 * What every payer and every store keeps, as test suites for Vitest (a peer of this entry). They are the ones that
 * Tollway's own payers and stores pass.
 *
 * @module
 */
export { describeProvider, type ProviderChain, type ProviderTraits } from './payer-suite.ts'
export { describeStore } from './store-suite.ts'
export { quoteOf } from './quotes.ts'
