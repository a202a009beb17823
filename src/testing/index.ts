/**
 * Parts for tests of your own, under any test runner: a seller that follows a script, a payer that signs nothing, and a
 * clock that stands still. The suites for payers and stores of your own are in `tollway/testing/suites`.
 *
 * @module
 */
export { memoryStore } from '../io/store/memory/store.ts'
export { fakeTime, type FakeTime } from './fake-time.ts'
export { toyPayer, type ToyPayer, type ToyPayerOptions } from './toy-payer.ts'
export {
  nonceOf,
  startScriptedSeller,
  type ScriptedSeller,
  type SellerHandler,
  type SellerRequest,
  type SellerScript,
  type Steps,
} from './seller/scripted-seller.ts'
export * as answers from './seller/seller-answers.ts'
export * as faults from './seller/seller-faults.ts'
