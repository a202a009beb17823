import { privateKeyToAccount } from 'viem/accounts'
import { afterAll, beforeAll } from 'vitest'
import { startWorld, type World } from '../../src/app/sandbox/world.ts'
import { AGENTCASH_STUB, agentcashHome } from '../kit/agentcash-home.ts'
import { freePort } from '../kit/free-port.ts'
import { signVoucher, startBuyerEmulator } from '../kit/x402-buyer.ts'
import { describePaying } from '../providers/paying.ts'

let rig: World

beforeAll(async () => {
  rig = await startWorld()
})
afterAll(() => rig.close())

const world = (): World => rig

describePaying('a running x402-buyer (emulated)', {
  world,
  async start({ world: { chain }, price }) {
    const port = await freePort()
    const upstream = {
      url: `http://127.0.0.1:${port}`,
      remoteModel: 'sandbox-small',
      network: chain.network,
      payTo: chain.accounts.seller.address,
      asset: chain.token.address,
      price: price.toString(),
    }
    const { name, version } = chain.token
    const account = privateKeyToAccount(chain.accounts.buyer.privateKey)
    const sign = (): ReturnType<typeof signVoucher> =>
      signVoucher(account, upstream, { name, version, chainId: chain.chainId })
    const buyer = await startBuyerEmulator(upstream, await Promise.all(Array.from({ length: 40 }, sign)))
    return {
      payer: {
        kind: 'obol',
        mode: 'sidecar',
        url: buyer.url,
        remote_model: 'sandbox-small',
        shim: `127.0.0.1:${port}`,
        networks: [chain.v1Network],
        // One payment after another: the last of a burst waits for all others.
        timeout_seconds: 28,
      },
      close: () => buyer.close(),
    }
  },
})

describePaying('the AgentCash wallet', {
  world,
  async start({ world: { chain } }) {
    const home = await agentcashHome(chain.accounts.buyer)
    const payer = { kind: 'agentcash', wallet: home.wallet, networks: [chain.v1Network] }
    return { payer, close: () => home.close() }
  },
})

describePaying('AgentCash as a server (a stand-in)', {
  world,
  async start({ world: { chain } }) {
    const home = await agentcashHome(chain.accounts.buyer)
    const where = { binary: AGENTCASH_STUB, home: home.path, networks: [chain.v1Network] }
    return { payer: { kind: 'agentcash', mode: 'mcp', ...where }, close: () => home.close() }
  },
})
