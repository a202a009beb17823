import type { x402HTTPResourceServer } from '@x402/core/server'
import { paidPaths } from './seller-app.ts'
import type { ModelOptions } from '../model/model.ts'
import type { OptionalPackages } from '../shared/optional-packages.ts'

/** A minute: a busy machine takes its time to mine a settlement, and a seller that gives up loses the payment. */
export const FACILITATOR_TIMEOUT_MS = 60_000

/** How to start a seller. */
export interface SellerOptions extends ModelOptions {
  facilitatorUrl: string
  /** Address that receives the payments. */
  payTo: string
  /** CAIP-2, e.g. `eip155:84532`. */
  network: `eip155:${number}`
  /** Price of a call, e.g. `$0.001` (the default). */
  priceUsd?: string | undefined
  /** Required validity of a signature, in seconds, as stated in the offer. Default 60. */
  maxTimeoutSeconds?: number | undefined
  /** How long the seller waits for the facilitator, in ms. Default {@link FACILITATOR_TIMEOUT_MS}. */
  facilitatorTimeoutMs?: number | undefined
  /** TCP port; 0 (the default) takes a free one. */
  port?: number | undefined
}

/** A price that can be changed while the seller runs. */
export interface Price {
  usd: string
}

/**
 * The official x402 v2 resource server, selling the model's three paths under `/v1` by `exact` on EVM. It is
 * ready: it has already queried what the facilitator supports.
 *
 * @throws {Error} When the facilitator cannot be reached or does not support the network.
 */
export async function createOfficialServer(
  packages: OptionalPackages,
  options: SellerOptions,
  price: Price,
): Promise<x402HTTPResourceServer> {
  const { network, payTo, maxTimeoutSeconds = 60 } = options
  const facilitator = new packages.server.HTTPFacilitatorClient({
    url: options.facilitatorUrl,
    timeoutMs: options.facilitatorTimeoutMs ?? FACILITATOR_TIMEOUT_MS,
  })
  const resources = new packages.server.x402ResourceServer(facilitator).register(
    network,
    new packages.exactServer.ExactEvmScheme(),
  )
  const routes = Object.fromEntries(
    paidPaths.map((path) => [
      `POST /v1${path}`,
      {
        accepts: { scheme: 'exact', network, payTo, price: () => price.usd, maxTimeoutSeconds },
        description: 'An answer from the sandbox model',
        mimeType: 'application/json',
        serviceName: 'Tollway sandbox',
      },
    ]),
  )
  const server = new packages.server.x402HTTPResourceServer(resources, routes)
  await server.initialize()
  return server
}
