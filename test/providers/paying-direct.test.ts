import { afterAll, beforeAll } from 'vitest'
import { startWorld, type World } from '../../src/app/sandbox/world.ts'
import { walletPayer } from '../kit/gateway.ts'
import { describePaying } from './paying.ts'

let rig: World

beforeAll(async () => {
  rig = await startWorld()
}, 120_000)
afterAll(() => rig.close())

const world = (): World => rig

describePaying('direct, its key from the environment', {
  world,
  start: ({ world: { chain } }) => Promise.resolve({ payer: walletPayer(chain) }),
})
