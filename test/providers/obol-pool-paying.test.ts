/** The pool against the real chain: what every payer keeps, with payments that were signed ahead. */
import { afterAll, beforeAll } from 'vitest'
import { startWorld, type World } from '../../src/app/sandbox/world.ts'
import { buyerFiles, signAuths, upstreamFile, type SignOptions } from '../kit/obol-pool.ts'
import { describePaying, type PayingOptions } from './paying.ts'

let rig: World

beforeAll(async () => {
  rig = await startWorld()
})
afterAll(async () => rig?.close())

const withShape =
  (shape: SignOptions['shape']): PayingOptions['start'] =>
  async ({ world, apiBase, price }) => {
    const files = buyerFiles()
    const payTo = world.chain.accounts.seller.address
    const url = apiBase.replace(/\/v1$/, '')
    files.write('sandbox', upstreamFile({ url, payTo, price }), await signAuths(40, { payTo, price, shape }))
    return { payer: files.payer, close: async () => files.remove() }
  }

const world = (): World => rig

describePaying('an obol pool', { world, start: withShape('payment') })
describePaying('an obol pool of flat vouchers, at a v1 seller', {
  world,
  start: withShape('flat'),
  seller: ({ v1Seller }) => v1Seller,
})
