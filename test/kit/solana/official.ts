/** The official x402 packages for Solana on the local chain: facilitator, seller and client. */
import { createKeyPairSignerFromBytes, type KeyPairSigner } from '@solana/kit'
import { x402Facilitator } from '@x402/core/facilitator'
import { HTTPFacilitatorClient, x402HTTPResourceServer, x402ResourceServer } from '@x402/core/server'
import type { Network, PaymentPayload, PaymentRequirements } from '@x402/core/types'
import { ExpressAdapter, paymentMiddlewareFromHTTPServer } from '@x402/express'
import { toFacilitatorSvmSigner } from '@x402/svm'
import { ExactSvmScheme as ExactClient } from '@x402/svm/exact/client'
import { ExactSvmScheme as ExactFacilitator } from '@x402/svm/exact/facilitator'
import { ExactSvmScheme as ExactServer } from '@x402/svm/exact/server'
import { ExactSvmSchemeV1 as ExactClientV1 } from '@x402/svm/exact/v1/client'
import { ExactSvmSchemeV1 as ExactFacilitatorV1 } from '@x402/svm/exact/v1/facilitator'
import express, { type RequestHandler } from 'express'
import { serveOnLoopback } from '../../../src/io/transport/loopback.ts'
import { createModel, type ModelOptions } from '../../../src/app/sandbox/model/model.ts'
import type { SeenRequest } from '../../../src/app/sandbox/sellers/request-log.ts'
import {
  createSellerApp,
  mountModel,
  openSeller,
  paidPaths,
  type LocalSeller,
} from '../../../src/app/sandbox/sellers/seller-app.ts'
import type { TestWallet } from './chain.ts'

/** A network of Solana. */
export type SolanaNetwork = `solana:${string}`

/** The wallet as the official packages take it. */
export async function kitSigner(wallet: TestWallet): Promise<KeyPairSigner> {
  return await createKeyPairSignerFromBytes(wallet.secret)
}

/** The official client's schemes, version 2 and 1. */
export async function officialSchemes(
  wallet: TestWallet,
  rpcUrl: string,
): Promise<{ readonly v2: ExactClient; readonly v1: ExactClientV1 }> {
  const signer = await kitSigner(wallet)
  return { v2: new ExactClient(signer, { rpcUrl }), v1: new ExactClientV1(signer, { rpcUrl }) }
}

/** What a facilitator is asked, and what it does instead, once. */
export interface SolanaFacilitator {
  readonly url: string
  /** Answers the next settlement in place of the official code; gets it, to carry it out or not. */
  readonly settlements: ((settle: () => Promise<unknown>) => Promise<{ status: number; body: unknown }>)[]
  /** Payloads of settlements that were asked for, oldest first. */
  readonly settled: PaymentPayload[]
  close(): Promise<void>
}

/** The names x402 version 1 has for the networks. */
const V1_NAMES: Readonly<Record<string, string>> = {
  'solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp': 'solana',
  'solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1': 'solana-devnet',
}

/** Serves the official facilitator over HTTP: `/supported`, `/verify`, `/settle`. */
export async function startSolanaFacilitator(options: {
  readonly feePayer: TestWallet
  readonly network: SolanaNetwork
  readonly rpcUrl: string
}): Promise<SolanaFacilitator> {
  const { network, rpcUrl } = options
  const signer = toFacilitatorSvmSigner(await kitSigner(options.feePayer), { defaultRpcUrl: rpcUrl })
  const official = new x402Facilitator()
    .register(network, new ExactFacilitator(signer))
    .registerV1(V1_NAMES[network] as Network, new ExactFacilitatorV1(signer))
  const settlements: SolanaFacilitator['settlements'] = []
  const settled: PaymentPayload[] = []
  const app = express()
  app.use(express.json({ limit: '1mb' }))
  app.get('/supported', (_request, response) => void response.json(official.getSupported()))
  const read = (body: unknown): [PaymentPayload, PaymentRequirements] => {
    const { paymentPayload, paymentRequirements } = body as {
      paymentPayload: PaymentPayload
      paymentRequirements: PaymentRequirements
    }
    return [paymentPayload, paymentRequirements]
  }
  app.post('/verify', async (request, response) => {
    response.json(await official.verify(...read(request.body)))
  })
  app.post('/settle', async (request, response) => {
    const asked = read(request.body)
    settled.push(asked[0])
    const settle = (): Promise<unknown> => official.settle(...asked)
    const { status, body } = (await settlements.shift()?.(settle)) ?? { status: 200, body: await settle() }
    response.status(status).json(body)
  })
  const server = await serveOnLoopback(app)
  return { url: server.url, settlements, settled, close: () => server.close() }
}

/** How to start a seller. */
export interface SolanaSellerOptions extends ModelOptions {
  readonly facilitatorUrl: string
  readonly network: SolanaNetwork
  readonly payTo: string
  /** e.g. `$0.001`, the default. */
  readonly priceUsd?: string
  /** `authorization` (default) settles after the answer and holds it back until then; `upfront` settles and then answers. */
  readonly flow?: 'authorization' | 'upfront'
  /** A text the payment must carry. */
  readonly memo?: string
  /** Further offers, as the official server takes them. */
  readonly accepts?: readonly object[]
}

/** The first bytes of a PNG, which are not UTF-8. */
export const PICTURE = Buffer.from('89504e470d0a1a0a', 'hex')

/** Starts a seller of the sandbox's model on the official server for Express. */
export async function startSolanaSeller(options: SolanaSellerOptions): Promise<LocalSeller> {
  const { network, payTo, memo, flow = 'authorization' } = options
  const price = { usd: options.priceUsd ?? '$0.001' }
  const facilitator = new HTTPFacilitatorClient({ url: options.facilitatorUrl })
  const resources = new x402ResourceServer(facilitator).register(network, new ExactServer())
  const accepts = {
    scheme: 'exact',
    network,
    payTo,
    price: () => price.usd,
    maxTimeoutSeconds: 60,
    ...(memo === undefined ? {} : { extra: { memo } }),
  }
  const routes = Object.fromEntries(
    [...paidPaths.map((path) => `POST /v1${path}`), 'GET /v1/result', 'GET /v1/picture'].map((route) => [
      route,
      { accepts, description: 'An answer', mimeType: 'application/json' },
    ]),
  )
  const official = new x402HTTPResourceServer(resources, routes)
  await official.initialize()
  const log: SeenRequest[] = []
  const model = createModel(options)
  const app = createSellerApp(model, log)
  if (flow === 'upfront') mountModel(app, '/v1', model, [payFirst(official)])
  else {
    app.use(paymentMiddlewareFromHTTPServer(official, undefined, undefined, false))
    mountModel(app, '/v1', model)
    // What agents buy besides models: a fact, and bytes that are no text.
    app.get(
      '/v1/result',
      (request, response) =>
        void response
          .type('text')
          .send(`42 (${new URLSearchParams(request.url.split('?')[1]).get('i') ?? ''})`),
    )
    app.get('/v1/picture', (_request, response) => void response.type('png').send(PICTURE))
  }
  return await openSeller(app, log, undefined, (usd) => {
    price.usd = usd
  })
}

/** Verifies and settles before the model starts, so that a stream can leave at once. */
function payFirst(official: x402HTTPResourceServer): RequestHandler {
  return async (request, response, next) => {
    const paymentHeader = request.get('payment-signature')
    const context = {
      adapter: new ExpressAdapter(request),
      path: request.path,
      method: request.method,
      ...(paymentHeader === undefined ? {} : { paymentHeader }),
    }
    const result = await official.processHTTPRequest(context)
    if (result.type === 'payment-error') {
      const { status, headers, body } = result.response
      response
        .status(status)
        .set(headers)
        .json(body ?? {})
      return
    }
    if (result.type === 'payment-verified') {
      const { paymentPayload, paymentRequirements, declaredExtensions } = result
      const settled = await official.processSettlement(
        paymentPayload,
        paymentRequirements,
        declaredExtensions,
        {
          request: context,
        },
      )
      if (!settled.success) {
        const { status, headers, body } = settled.response
        response
          .status(status)
          .set(headers)
          .json(body ?? {})
        return
      }
      response.set(settled.headers)
    }
    next()
  }
}
