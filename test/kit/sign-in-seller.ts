/** A seller on the official packages that lets a wallet which has paid sign in instead (`sign-in-with-x`). */
import { HTTPFacilitatorClient, x402HTTPResourceServer, x402ResourceServer } from '@x402/core/server'
import type { Network, SchemeNetworkServer } from '@x402/core/types'
import { paymentMiddlewareFromHTTPServer } from '@x402/express'
import {
  createSIWxResourceServerExtension,
  declareSIWxExtension,
  InMemorySIWxStorage,
} from '@x402/extensions/sign-in-with-x'
import express from 'express'
import { serveOnLoopback } from '../../src/io/transport/loopback.ts'

/** How to start one. */
export interface SignInSellerOptions {
  readonly facilitatorUrl: string
  readonly network: Network
  readonly scheme: SchemeNetworkServer
  readonly payTo: string
  /** Further chains that it takes signatures of; default the one it is paid on. */
  readonly chains?: readonly string[]
}

/** A running one. */
export interface SignInSeller {
  readonly apiBase: string
  /** What the official extension made of each sign-in and settlement, oldest first. */
  readonly events: readonly string[]
  close(): Promise<void>
}

/** Remembers nonces, so that a sign-in is good for one request. */
class OnceStorage extends InMemorySIWxStorage {
  readonly #used = new Set<string>()
  hasUsedNonce(nonce: string): boolean {
    return this.#used.has(nonce)
  }
  recordNonce(nonce: string): void {
    this.#used.add(nonce)
  }
}

/** Sells chat completions for $0.001 each. */
export async function startSignInSeller(options: SignInSellerOptions): Promise<SignInSeller> {
  const { facilitatorUrl, network, scheme, payTo, chains } = options
  const app = express()
  const server = await serveOnLoopback(app)
  const events: string[] = []
  const resources = new x402ResourceServer(new HTTPFacilitatorClient({ url: facilitatorUrl }))
    .register(network, scheme)
    .registerExtension(
      createSIWxResourceServerExtension({
        storage: new OnceStorage(),
        origin: server.url,
        onEvent: (event) => void events.push('error' in event ? `${event.type}: ${event.error}` : event.type),
      }),
    )
  const official = new x402HTTPResourceServer(resources, {
    'POST /v1/chat/completions': {
      accepts: { scheme: 'exact', network, payTo, price: '$0.001', maxTimeoutSeconds: 60 },
      description: 'An answer',
      mimeType: 'application/json',
      extensions: declareSIWxExtension({
        statement: 'Sign in to ask again',
        expirationSeconds: 300,
        ...(chains === undefined ? {} : { network: [...chains] }),
      }),
    },
  })
  await official.initialize()
  app.use(paymentMiddlewareFromHTTPServer(official, undefined, undefined, false))
  app.post('/v1/chat/completions', (_request, response) => {
    const message = { role: 'assistant', content: 'hello' }
    response.json({
      id: 'chatcmpl-1',
      object: 'chat.completion',
      created: 1,
      model: 'm',
      choices: [{ index: 0, finish_reason: 'stop', message }],
      usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
    })
  })
  return { apiBase: `${server.url}/v1`, events, close: () => server.close() }
}
