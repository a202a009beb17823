/** One seller for every test that is about what a seller answers: a loopback HTTP server that follows a script. */
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import { property } from '../../core/property.ts'
import { serveOnLoopback } from '../../io/transport/loopback.ts'
import { challengeV2, completion, decodeHeader, OFFER, RECEIPT, send, type Answer } from './seller-answers.ts'

/** One request that the seller received. */
export interface SellerRequest {
  readonly method: string
  /** Path and query, as sent. */
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
  /** The payment header (x402 v2 `PAYMENT-SIGNATURE`, v1 `X-PAYMENT`), still encoded; undefined when unpaid. */
  readonly payment: string | undefined
}

/**
 * Answers one request, whose body is complete: returns an answer, or writes to `response` itself.
 * An error that it throws cuts the connection, as a crashed seller would.
 */
export type SellerHandler = (
  request: SellerRequest,
  response: ServerResponse,
) => Answer | void | Promise<Answer | void>

/** One answer for every request, or a list: one step for each request, the last one repeating. */
export type Steps = Answer | SellerHandler | readonly (Answer | SellerHandler)[]

/** What the seller does with each kind of request. */
export interface SellerScript {
  /** Requests without a payment. Default: an x402 v2 402 that asks for {@link OFFER}. */
  readonly unpaid?: Steps
  /** Requests with a payment. Default: a short completion, each with a receipt for a transaction of its own. Nothing is verified. */
  readonly paid?: Steps
}

/** A running scripted seller. */
export interface ScriptedSeller {
  /** `http://127.0.0.1:<port>`. */
  readonly url: string
  /** What a client is pointed at: `url` + `/v1`. */
  readonly apiBase: string
  /** Every request, oldest first. Set its length to 0 to forget them. */
  readonly requests: SellerRequest[]
  /** The requests without a payment. */
  readonly questions: readonly SellerRequest[]
  /** The requests with a payment, repetitions included. */
  readonly payments: readonly SellerRequest[]
  /** Replaces the script, from the next request on. */
  follow(script: SellerScript | SellerHandler): void
  /** Stops listening and cuts open connections. */
  close(): Promise<void>
}

/**
 * Starts a seller.
 *
 * @example Asks for $0.001 and answers every payment:
 *   const seller = await startScriptedSeller()
 *   … expect(seller.payments).toHaveLength(1)
 * @example x402 v1 and a streamed answer:
 *   await startScriptedSeller({ unpaid: challengeV1([OFFER_V1]), paid: events(['{"choices":[]}', '[DONE]'], RECEIPT_V1) })
 * @example Loses the first payment, refuses the second, answers from then on:
 *   await startScriptedSeller({ paid: [cut, challengeV2([OFFER]), completion()] })
 * @example Decides on each request:
 *   await startScriptedSeller(({ url, payment }) => url.endsWith('/models') ? json(LIST) : …)
 */
export async function startScriptedSeller(
  script: SellerScript | SellerHandler = {},
): Promise<ScriptedSeller> {
  const requests: SellerRequest[] = []
  let handler = handlerOf(script)
  const server = await serveOnLoopback((incoming, response) => {
    const respond = async (): Promise<void> => {
      const request = await read(incoming)
      requests.push(request)
      const answer = await handler(request, response)
      if (answer) send(response, answer)
    }
    respond().catch(() => response.destroy())
  })
  return {
    url: server.url,
    apiBase: `${server.url}/v1`,
    requests,
    get questions() {
      return requests.filter(({ payment }) => payment === undefined)
    },
    get payments() {
      return requests.filter(({ payment }) => payment !== undefined)
    },
    follow(next) {
      handler = handlerOf(next)
    },
    close: () => server.close(),
  }
}

/**
 * The nonce of an EIP-3009 payment.
 *
 * @throws {Error} When the request carries no payment.
 */
export function nonceOf({ payment }: SellerRequest): string {
  const authorization = property(property(decodeHeader(payment), 'payload'), 'authorization')
  const nonce = property(authorization, 'nonce')
  if (typeof nonce !== 'string') throw new Error('the payment carries no EIP-3009 nonce')
  return nonce
}

function handlerOf(script: SellerScript | SellerHandler): SellerHandler {
  if (typeof script === 'function') return script
  const unpaid = inTurn(script.unpaid ?? challengeV2([OFFER]))
  const paid = inTurn(script.paid ?? answerEach())
  return (request, response) => (request.payment === undefined ? unpaid : paid)(request, response)
}

function answerEach(): SellerHandler {
  let count = 0
  return () => {
    count += 1
    return completion({}, { ...RECEIPT, transaction: `0x${count.toString(16).padStart(64, '0')}` })
  }
}

function inTurn(steps: Steps): SellerHandler {
  const list: readonly (Answer | SellerHandler)[] = Array.isArray(steps) ? steps : [steps]
  let next = 0
  return (request, response) => {
    const step = list[Math.min(next, list.length - 1)]
    next += 1
    return typeof step === 'function' ? step(request, response) : step
  }
}

async function read(incoming: IncomingMessage): Promise<SellerRequest> {
  const chunks: Buffer[] = []
  for await (const chunk of incoming) chunks.push(Buffer.from(chunk))
  const { method = '', url = '', headers } = incoming
  const payment = headers['payment-signature'] ?? headers['x-payment']
  return {
    method,
    url,
    headers,
    body: Buffer.concat(chunks),
    payment: payment === undefined ? undefined : String(payment),
  }
}
