import { startChain } from './chain/chain.ts'
import type { LocalChain } from './chain/chain.ts'
import { startFacilitator } from './facilitator.ts'
import type { LocalFacilitator } from './facilitator.ts'
import type { SellerOptions } from './sellers/official-server.ts'
import type { LocalSeller } from './sellers/seller-app.ts'
import { startSeller } from './sellers/seller.ts'
import type { WorldPorts } from './play-config.ts'
import { startStreamingSeller } from './sellers/streaming-seller.ts'
import { startV1Seller } from './sellers/v1-seller.ts'

/** Options of the test world. Defaults are those of `startChain` and `startSeller`; they apply to all three sellers. */
export interface WorldOptions extends Omit<SellerOptions, 'facilitatorUrl' | 'payTo' | 'network' | 'port'> {
  chainId?: number | undefined
  blockTimeSeconds?: number | undefined
  /** Where each part listens; default free ports. */
  ports?: WorldPorts | undefined
}

/** A complete payment environment on this machine. */
export interface World {
  chain: LocalChain
  facilitator: LocalFacilitator
  /** Official middleware, x402 v2: buffers, then settles. */
  seller: LocalSeller
  /** Official server, x402 v2: settles, then streams. */
  streamingSeller: LocalSeller
  /** x402 v1. */
  v1Seller: LocalSeller
  /** Stops everything, including the chain's process. */
  close(): Promise<void>
}

/**
 * Starts chain, facilitator and the three sellers.
 *
 * If a part fails to start, the parts already started are stopped.
 */
export async function startWorld(options: WorldOptions = {}): Promise<World> {
  const started: { close(): Promise<void> }[] = []
  const keep = async <T extends { close(): Promise<void> }>(starting: Promise<T>): Promise<T> => {
    const part = await starting
    started.push(part)
    return part
  }
  // Close in reverse order, so that no part calls one that has already stopped.
  const close = async () => {
    for (const part of started.splice(0).toReversed()) await part.close()
  }
  try {
    const { chainId, blockTimeSeconds, ports, ...selling } = options
    const chain = await keep(startChain({ chainId, blockTimeSeconds, port: ports?.chain }))
    const facilitator = await keep(startFacilitator(chain))
    const common = { ...selling, facilitatorUrl: facilitator.url, payTo: chain.accounts.seller.address }
    const seller = await keep(startSeller({ ...common, network: chain.network, port: ports?.official }))
    const streamingSeller = await keep(
      startStreamingSeller({ ...common, network: chain.network, port: ports?.streaming }),
    )
    const v1Seller = await keep(
      startV1Seller({ ...common, network: chain.v1Network, token: chain.token, port: ports?.v1 }),
    )
    return { chain, facilitator, seller, streamingSeller, v1Seller, close }
  } catch (error) {
    await close()
    throw error
  }
}
