import type { RequestHandler, Response } from 'express'
import { z } from 'zod'
import { createSellerApp, mountModel, openSeller } from './seller-app.ts'
import type { LocalSeller } from './seller-app.ts'
import { createModel } from '../model/model.ts'
import { FACILITATOR_TIMEOUT_MS, type Price, type SellerOptions } from './official-server.ts'
import type { SeenRequest } from './request-log.ts'
import type { LocalToken } from '../chain/chain.ts'

/** How to start a seller that speaks x402 v1. */
export interface V1SellerOptions extends Omit<SellerOptions, 'network'> {
  /** v1's name of the network, e.g. `base-sepolia`. */
  network: string
  /** The token it accepts: v1 offers state it in full. */
  token: LocalToken
}

const Payment = z.looseObject({ x402Version: z.literal(1), scheme: z.string(), network: z.string() })
const Verified = z.looseObject({ isValid: z.boolean(), invalidReason: z.string().optional() })
const Settled = z.looseObject({
  success: z.boolean(),
  errorReason: z.string().optional(),
  transaction: z.string(),
  network: z.string(),
  payer: z.string().optional(),
})

/**
 * Starts a seller that speaks x402 v1: the offer in the 402's JSON body, the payment in X-PAYMENT, the receipt in
 * X-PAYMENT-RESPONSE. Written here, on our facilitator's v1 support: the legacy official package (`x402-express`)
 * brings 538 packages with it, too heavy for a sandbox. Unlike that package it settles before it answers.
 *
 * @throws {Error} When the port is taken, or a price is not like `$0.001`.
 */
export async function startV1Seller(options: V1SellerOptions): Promise<LocalSeller> {
  const price: Price = { usd: options.priceUsd ?? '$0.001' }
  atomicAmount(price.usd, options.token.decimals)
  const log: SeenRequest[] = []
  const model = createModel(options)
  const app = createSellerApp(model, log)
  mountModel(app, '/v1', model, [requirePayment(options, price)])
  return openSeller(app, log, options.port, (usd) => {
    atomicAmount(usd, options.token.decimals)
    price.usd = usd
  })
}

function requirePayment(options: V1SellerOptions, price: Price): RequestHandler {
  return async (request, response, next) => {
    const offer = {
      scheme: 'exact',
      network: options.network,
      maxAmountRequired: atomicAmount(price.usd, options.token.decimals),
      resource: `${request.protocol}://${request.get('host') ?? '127.0.0.1'}${request.originalUrl}`,
      description: 'An answer from the sandbox model',
      mimeType: 'application/json',
      payTo: options.payTo,
      maxTimeoutSeconds: options.maxTimeoutSeconds ?? 60,
      asset: options.token.address,
      extra: { name: options.token.name, version: options.token.version },
    }
    const header = request.get('x-payment')
    if (header === undefined) {
      demand(response, offer, 'X-PAYMENT header is required')
      return
    }
    const payment = Payment.safeParse(decode(header))
    if (!payment.success) {
      demand(response, offer, 'invalid_payload')
      return
    }
    const question = { x402Version: 1, paymentPayload: payment.data, paymentRequirements: offer }
    const verified = Verified.parse(await ask(options, 'verify', question))
    if (!verified.isValid) {
      demand(response, offer, verified.invalidReason ?? 'invalid_payment')
      return
    }
    const settled = Settled.parse(await ask(options, 'settle', question))
    if (!settled.success) {
      demand(response, offer, settled.errorReason ?? 'settle_failed')
      return
    }
    response.setHeader('X-PAYMENT-RESPONSE', Buffer.from(JSON.stringify(settled)).toString('base64'))
    next()
  }
}

function demand(response: Response, offer: object, error: string): void {
  response.status(402).json({ x402Version: 1, error, accepts: [offer] })
}

function decode(header: string): unknown {
  try {
    return JSON.parse(Buffer.from(header, 'base64').toString('utf8'))
  } catch {
    return undefined
  }
}

async function ask(options: V1SellerOptions, operation: string, question: object): Promise<unknown> {
  const reply = await fetch(`${options.facilitatorUrl}/${operation}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(question),
    signal: AbortSignal.timeout(options.facilitatorTimeoutMs ?? FACILITATOR_TIMEOUT_MS),
  })
  if (!reply.ok) throw new Error(`the facilitator answered ${operation} with ${reply.status}`)
  return reply.json()
}

/**
 * A price in atomic units, as the decimal string that goes on the wire.
 *
 * @throws {Error} When the price is not written like `$0.001` or is finer than the token.
 */
function atomicAmount(usd: string, decimals: number): string {
  const match = /^\$?(\d+)(?:\.(\d+))?$/.exec(usd)
  const fraction = match?.[2] ?? ''
  if (match === null || fraction.length > decimals) {
    throw new Error(`${usd} is not a price. Write it like $0.001, with at most ${decimals} decimals.`)
  }
  return BigInt(`${match[1] ?? '0'}${fraction.padEnd(decimals, '0')}`).toString()
}
