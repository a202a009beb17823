import { GAS_SPONSORING } from '../../../core/x402/extensions.ts'
import { createModel } from '../model/model.ts'
import { FACILITATOR_TIMEOUT_MS, type SellerOptions } from './official-server.ts'
import { loadOptionalPackages } from '../shared/optional-packages.ts'
import type { SeenRequest } from './request-log.ts'
import { createSellerApp, mountModel, openSeller, paidPaths, type LocalSeller } from './seller-app.ts'

/** Options of {@link startPermit2Seller}. */
export interface Permit2SellerOptions extends SellerOptions {
  /** The token used for payment. */
  readonly token: { readonly address: string; readonly name: string; readonly version: string }
}

/** A seller on the official middleware that is paid by Permit2, with a separate path for each payment method. */
export interface Permit2Seller extends LocalSeller {
  /** API bases by payment method. */
  readonly apiBases: {
    /** `exact`; the buyer must have approved Permit2. 1000 units. */
    readonly plain: string
    /** `exact`; the allowance may be sent with the payment (EIP-2612). 1000 units. */
    readonly sponsored: string
    /** `upto` 10,000 units; the allowance may be sent with the payment. */
    readonly upto: string
    /** `upto` 900, `exact` by Permit2 1500, `exact` by EIP-3009 1200 units, in this order. */
    readonly several: string
  }
  /** Sets what `upto` charges from now on: `"120"`, `"50%"`, `"0"`. */
  setCharge(amount: string): void
}

/** What the official middleware advertises for EIP-2612 gas sponsoring. */
const sponsoring = {
  [GAS_SPONSORING]: {
    info: {
      description: 'The facilitator accepts EIP-2612 gasless Permit to the Permit2 contract.',
      version: '1',
    },
    schema: { type: 'object' },
  },
}

/**
 * Starts a seller that is paid by Permit2.
 *
 * @throws {SandboxPackagesMissingError} When the official packages are not installed.
 */
export async function startPermit2Seller(options: Permit2SellerOptions): Promise<Permit2Seller> {
  const packages = await loadOptionalPackages()
  const { network, payTo, token, maxTimeoutSeconds = 60 } = options
  const facilitator = new packages.server.HTTPFacilitatorClient({
    url: options.facilitatorUrl,
    timeoutMs: options.facilitatorTimeoutMs ?? FACILITATOR_TIMEOUT_MS,
  })
  const resources = new packages.server.x402ResourceServer(facilitator)
    .register(network, new packages.exactServer.ExactEvmScheme())
    .register(network, new packages.uptoServer.UptoEvmScheme())
  const accept = (scheme: 'exact' | 'upto', amount: string, extra: object = {}) => ({
    scheme,
    network,
    payTo,
    price: {
      amount,
      asset: token.address,
      extra: { name: token.name, version: token.version, ...extra },
    },
    maxTimeoutSeconds,
  })
  const byPermit2 = { assetTransferMethod: 'permit2' }
  const ways = {
    plain: { accepts: accept('exact', '1000', byPermit2) },
    sponsored: { accepts: accept('exact', '1000', byPermit2), extensions: sponsoring },
    upto: { accepts: accept('upto', '10000'), extensions: sponsoring },
    several: {
      accepts: [accept('upto', '900'), accept('exact', '1500', byPermit2), accept('exact', '1200')],
    },
  }
  const names = ['plain', 'sponsored', 'upto', 'several'] as const
  const routes = Object.fromEntries(
    names.flatMap((name) =>
      paidPaths.map((path) => [
        `POST /${name}/v1${path}`,
        { ...ways[name], description: 'An answer from the sandbox model', mimeType: 'application/json' },
      ]),
    ),
  )
  const official = new packages.server.x402HTTPResourceServer(resources, routes)
  await official.initialize()
  const log: SeenRequest[] = []
  const model = createModel(options)
  const app = createSellerApp(model, log)
  app.use(packages.express.paymentMiddlewareFromHTTPServer(official, undefined, undefined, false))
  let charge = '100%'
  for (const name of names) {
    mountModel(app, `/${name}/v1`, model, [
      (_request, response, next) => {
        if (name === 'upto') packages.express.setSettlementOverrides(response, { amount: charge })
        next()
      },
    ])
  }
  const seller = await openSeller(app, log, options.port, () => {
    throw new Error('the prices of this seller are fixed')
  })
  const base = (name: (typeof names)[number]): string => `${seller.url}/${name}/v1`
  return {
    ...seller,
    apiBases: {
      plain: base('plain'),
      sponsored: base('sponsored'),
      upto: base('upto'),
      several: base('several'),
    },
    setCharge(amount) {
      charge = amount
    },
  }
}
