/**
 * The shim: a loopback listener that payers which insist on making the call themselves are sent to instead of the seller. Each
 * call has an unguessable token and serves one payment: it first gets the vetted 402, and the payment that comes back is checked
 * and passed on. The payer's request stays open until the charge is closed.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { recoverTypedDataAddress } from 'viem'
import { systemClock, type Clock } from '../../core/clock.ts'
import { ConfigError } from '../../core/errors.ts'
import {
  challengeFor,
  readExternalPayment,
  type ExternalFault,
  type ExternalPayment,
} from '../../core/payer/external-payment.ts'
import type { RandomBytes } from '../../core/ids.ts'
import type { ChargeOutcome } from '../../core/payer/provider.ts'
import type { Quote } from '../../core/policy/gate.ts'
import { toEip712, type TypedMessage } from '../../core/payer/typed-message.ts'
import { encodeBase64Json } from '../../core/x402/wire-json.ts'
import { HEADERS } from '../../core/x402/payment-headers.ts'

/** The header that carries the token of a call when the payer's URL is fixed. */
export const SHIM_CALL_HEADER = 'x-tollway-call'

/** The largest request body. External payers send very little: the client's body never passes through them. */
const MAX_BODY_BYTES = 65_536

/** The limit on all headers together. Payments are sent in headers, and Node's default is 16 kB. */
const MAX_HEADER_BYTES = 65_536

/** The most nonces remembered here. The ledger keeps all of them and refuses every reuse. */
const MAX_NONCES = 100_000

const TOKEN_BYTES = 32

const ASKED_ONCE = 'this payment can be asked for only once'

/** Why a call produced no payment. */
export class ShimFault extends Error {
  override readonly name = 'ShimFault'
  readonly fault: ExternalFault

  constructor(fault: ExternalFault) {
    super(`the payer's payment was refused: ${fault}`)
    this.fault = fault
  }
}

/** A call for one payment. */
export interface ShimCall {
  /** Where the payer is sent; contains the token. */
  readonly url: string
  /** The unguessable token, for {@link SHIM_CALL_HEADER}. */
  readonly token: string
  /** The payment, once it passed every check. Rejects with {@link ShimFault}; never resolves after {@link ShimCall.end}. */
  readonly payment: Promise<ExternalPayment>
  /** The paying address, where the program's request names one (`x-wallet-address`, as AgentCash's do); not proven. */
  readonly wallet: string | undefined
  /**
   * Responds to the open request, and refuses every later one. Only the first call has an effect.
   * @param outcome `undefined` when nothing was sent and nothing will be
   */
  end(outcome: ChargeOutcome | undefined): void
}

/** Options of {@link startShim}. */
export interface ShimOptions {
  /** Loopback address; default 127.0.0.1. */
  readonly host?: string | undefined
  /** Default 0: any free port. Set it when a payer's configuration contains the address. */
  readonly port?: number | undefined
  readonly clock?: Clock | undefined
  readonly random?: RandomBytes | undefined
}

/** A running shim. */
export interface Shim {
  /** `http://127.0.0.1:<port>`, without a trailing slash. */
  readonly url: string
  /**
   * Opens a call.
   * @param maxValiditySeconds how far ahead the payment may be valid; default the quote's own window
   */
  open(quote: Quote, maxValiditySeconds?: number): ShimCall
  /** Ends open calls as `uncertain` (their payments may already have been sent), and stops listening. */
  close(): Promise<void>
}

/**
 * Starts listening.
 * @throws ConfigError when the address cannot be bound
 */
export async function startShim(options: ShimOptions = {}): Promise<Shim> {
  const { host = '127.0.0.1', port = 0, clock = systemClock, random = randomBytes } = options
  const calls = new Map<string, Call>()
  const nonces = new Nonces()
  const server = createServer({ maxHeaderSize: MAX_HEADER_BYTES }, (request, response) => {
    serve(request, response).catch(() => response.destroy())
  })
  const bound = await listen(server, host, port)
  const base = `http://${host.includes(':') ? `[${host}]` : host}:${bound}`
  const hosts = new Set([new URL(base).host, `localhost:${bound}`])

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // Web pages can reach loopback too, but send an Origin, or their own name in Host (DNS rebinding).
    if (request.headers.origin !== undefined || !hosts.has(request.headers.host ?? '')) {
      return refuse(response, 403, 'this Host or Origin is not allowed')
    }
    const call = callOf(calls, request)
    if (!call) return refuse(response, 404, 'no such payment')
    if (!(await drained(request))) return refuse(response, 413, 'the body is too large')
    await call.serve(request, response)
  }

  return {
    url: base,
    open(quote, maxValiditySeconds = quote.validitySeconds) {
      const token = Buffer.from(random(TOKEN_BYTES)).toString('hex')
      const terms = { quote, maxValiditySeconds, url: `${base}/pay/${token}`, token }
      const call = new Call(terms, clock, nonces, () => calls.delete(token))
      calls.set(token, call)
      return call
    },
    async close() {
      for (const call of calls.values()) call.end({ state: 'uncertain', transaction: undefined })
      if (!server.listening) return
      const closed = once(server, 'close')
      server.close()
      server.closeIdleConnections()
      // Responses in progress may finish; a payer that does not read its response is disconnected.
      const cut = setTimeout(() => server.closeAllConnections(), 1000)
      await closed
      clearTimeout(cut)
    },
  }
}

interface Terms {
  readonly quote: Quote
  readonly maxValiditySeconds: number
  readonly url: string
  readonly token: string
}

class Call implements ShimCall {
  readonly url: string
  readonly token: string
  readonly payment: Promise<ExternalPayment>
  wallet: string | undefined
  readonly #terms: Terms
  readonly #clock: Clock
  readonly #nonces: Nonces
  readonly #forget: () => void
  readonly #settle: PromiseWithResolvers<ExternalPayment>
  #wasAsked = false
  #wasPaid = false
  #isOver = false
  #held: { response: ServerResponse; payment: ExternalPayment } | undefined

  constructor(terms: Terms, clock: Clock, nonces: Nonces, forget: () => void) {
    this.url = terms.url
    this.token = terms.token
    this.#terms = terms
    this.#clock = clock
    this.#nonces = nonces
    this.#forget = forget
    this.#settle = Promise.withResolvers()
    this.payment = this.#settle.promise
    // A rejection that is no longer awaited must not end the process.
    this.payment.catch(() => {})
  }

  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const header = paymentOf(request)
    if (this.#isOver || this.#wasPaid || (header === undefined && this.#wasAsked)) {
      return refuse(response, 409, ASKED_ONCE)
    }
    if (header === undefined) {
      this.#wasAsked = true
      this.wallet = /^0x[0-9a-f]{40}$/i.exec(String(request.headers['x-wallet-address']))?.[0]
      const challenge = challengeFor(this.#terms.quote, this.url)
      return sendJson(response, 402, challenge, { [HEADERS.required]: encodeBase64Json(challenge) })
    }
    this.#wasPaid = true
    const { quote, maxValiditySeconds } = this.#terms
    const found = readExternalPayment(header, quote, this.#clock.now(), maxValiditySeconds)
    if (typeof found === 'string') return this.#refuse(response, found)
    const { permit, record } = found
    if (!(await isSignedBy(record.from, found))) return this.#refuse(response, 'signature')
    // Without its allowance the payment is still valid: Permit2 may already be approved, and the seller reports if it is not.
    const keepsPermit = permit === undefined || (await isSignedBy(record.from, permit))
    const read = keepsPermit ? found : { ...found, permit: undefined }
    // The call may have ended while the signature was checked.
    if (this.#isOver) return refuse(response, 409, ASKED_ONCE)
    if (!this.#nonces.add(nonceId(read, quote))) {
      // The payment was sent before. 200 makes the payer mark it as used.
      this.#settle.reject(new ShimFault('nonce'))
      return sendJson(response, 200, { tollway: 'this payment was already used' })
    }
    this.#held = { response, payment: read }
    this.#settle.resolve(read)
  }

  end(outcome: ChargeOutcome | undefined): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#forget()
    const held = this.#held
    this.#held = undefined
    if (!held) return
    if (outcome === undefined || outcome.state === 'released') {
      // A pool will offer the payment again, and then it may be used; the ledger knows if it ever was.
      this.#nonces.delete(nonceId(held.payment, this.#terms.quote))
      return refuse(held.response, 503, 'the payment was not sent and is unused')
    }
    sendJson(
      held.response,
      200,
      { tollway: outcome.state },
      receiptOf(outcome, held.payment, this.#terms.quote),
    )
  }

  #refuse(response: ServerResponse, fault: ExternalFault): void {
    this.#settle.reject(new ShimFault(fault))
    refuse(response, 400, `this payment was not used: ${fault}`)
  }
}

/** The nonces of payments that this process accepted, newest last. */
class Nonces {
  readonly #seen = new Set<string>()

  /** @returns whether it is new */
  add(nonce: string): boolean {
    if (this.#seen.has(nonce)) return false
    this.#seen.add(nonce)
    const oldest = this.#seen.values().next()
    if (this.#seen.size > MAX_NONCES && oldest.done !== true) this.#seen.delete(oldest.value)
    return true
  }

  delete(nonce: string): void {
    this.#seen.delete(nonce)
  }
}

function nonceId({ record }: ExternalPayment, { asset }: Quote): string {
  return [record.from, asset.network, asset.address, record.nonce].join(' ')
}

async function listen(server: Server, host: string, port: number): Promise<number> {
  try {
    const listening = once(server, 'listening')
    server.listen(port, host)
    await listening
  } catch (cause) {
    const why = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown error'
    throw new ConfigError(
      `The shim cannot listen on ${host}:${port} (${why}). Free the port, or set another one under shim and in the configuration of the payer that calls it.`,
      { cause },
    )
  }
  const address = server.address()
  if (address === null || typeof address === 'string') throw new TypeError('the shim has no TCP address')
  return address.port
}

/** Finds a call by path, or by header if the payer's URL is fixed. Compared in constant time, because the token is the permission. */
function callOf(calls: ReadonlyMap<string, Call>, request: IncomingMessage): Call | undefined {
  const header = request.headers[SHIM_CALL_HEADER]
  const path = /^\/pay\/([0-9a-f]{64})$/.exec(request.url ?? '')?.[1]
  const given = Buffer.from(typeof header === 'string' ? header : (path ?? ''))
  for (const call of calls.values()) {
    const token = Buffer.from(call.token)
    if (token.length === given.length && timingSafeEqual(token, given)) return call
  }
  return undefined
}

function paymentOf(request: IncomingMessage): string | undefined {
  const value = request.headers[HEADERS.signature] ?? request.headers[HEADERS.paymentV1]
  return typeof value === 'string' ? value : undefined
}

/** Reads and discards the body; `false` when it exceeds the limit. */
async function drained(request: IncomingMessage): Promise<boolean> {
  let size = 0
  for await (const chunk of request) {
    size += Buffer.from(chunk).length
    if (size > MAX_BODY_BYTES) return false
  }
  return true
}

async function isSignedBy(
  payer: string,
  { typed, signature }: Pick<ExternalPayment, 'signature'> & { readonly typed: TypedMessage },
): Promise<boolean> {
  try {
    const signer = await recoverTypedDataAddress({ ...toEip712(typed), signature })
    return signer.toLowerCase() === payer
  } catch {
    return false
  }
}

/** Our own receipt, under both header names: v1 and v2 payers read different ones. */
function receiptOf(
  outcome: ChargeOutcome,
  { record }: ExternalPayment,
  quote: Quote,
): Record<string, string> {
  if (outcome.state !== 'settled' || outcome.transaction === undefined) return {}
  const receipt = encodeBase64Json({
    success: true,
    transaction: outcome.transaction,
    network: quote.asset.network,
    payer: record.from,
  })
  return { [HEADERS.response]: receipt, [HEADERS.responseV1]: receipt }
}

function refuse(response: ServerResponse, status: number, error: string): void {
  sendJson(response, status, { error })
}

function sendJson(
  response: ServerResponse,
  status: number,
  body: object,
  headers: Readonly<Record<string, string>> = {},
): void {
  const text = JSON.stringify(body)
  response
    .writeHead(status, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(text),
      'cache-control': 'no-store',
      // Each call is one exchange, so the connection is not kept open.
      connection: 'close',
      ...headers,
    })
    .end(text)
}
