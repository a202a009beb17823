import type { x402HTTPResourceServer } from '@x402/core/server'
import type { RequestHandler, Response } from 'express'
import { createSellerApp, mountModel, openSeller } from './seller-app.ts'
import type { LocalSeller } from './seller-app.ts'
import { createModel } from '../model/model.ts'
import { createOfficialServer } from './official-server.ts'
import type { Price, SellerOptions } from './official-server.ts'
import { loadOptionalPackages } from '../shared/optional-packages.ts'
import type { OptionalPackages } from '../shared/optional-packages.ts'
import type { SeenRequest } from './request-log.ts'

/**
 * Starts a seller that streams token by token: the official server verifies and settles *before* the model starts,
 * so the first token can be sent at once, after 200 and PAYMENT-RESPONSE. The drawback of that order: an answer
 * that fails afterwards has already been paid for.
 *
 * @throws {SandboxPackagesMissingError} When the official packages are not installed.
 * @throws {Error} When the facilitator cannot be reached, or the port is taken.
 */
export async function startStreamingSeller(options: SellerOptions): Promise<LocalSeller> {
  const packages = await loadOptionalPackages()
  const price: Price = { usd: options.priceUsd ?? '$0.001' }
  const official = await createOfficialServer(packages, options, price)
  const log: SeenRequest[] = []
  const model = createModel(options)
  const app = createSellerApp(model, log)
  mountModel(app, '/v1', model, [payFirst(packages, official)])
  return openSeller(app, log, options.port, (usd) => {
    price.usd = usd
  })
}

function payFirst(packages: OptionalPackages, official: x402HTTPResourceServer): RequestHandler {
  return async (request, response, next) => {
    const context = {
      adapter: new packages.express.ExpressAdapter(request),
      path: request.path,
      method: request.method,
      ...paymentHeader(request.get('payment-signature')),
    }
    const result = await official.processHTTPRequest(context)
    if (result.type === 'payment-error') {
      send(response, result.response)
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
        send(response, settled.response)
        return
      }
      response.set(settled.headers)
    }
    next()
  }
}

function paymentHeader(value: string | undefined): { paymentHeader?: string } {
  return value === undefined ? {} : { paymentHeader: value }
}

function send(
  response: Response,
  answer: { status: number; headers: Record<string, string>; body?: unknown },
): void {
  response
    .status(answer.status)
    .set(answer.headers)
    .json(answer.body ?? {})
}
