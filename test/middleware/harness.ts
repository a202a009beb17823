/** Servers and clients for the middleware tests: loopback only, closed by the test that opened them. */
import {
  createServer,
  request,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type RequestListener,
  type Server,
} from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import express from 'express'
import { afterEach } from 'vitest'
import { errorHandler } from '../../middleware/error-handler.ts'
import { exchangeOf } from '../../middleware/http/exchange-of.ts'
import type { Handler } from '../../middleware/http/handler.ts'
import type { Charge, ChargeState } from '../../src/core/charge/charge.ts'
import { fillExchange, type ExchangeFields } from '../kit/fill-exchange.ts'

const open: Server[] = []

afterEach(async () => {
  await Promise.all(
    open.splice(0).map((server) => {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(resolve))
    }),
  )
})

/** A value taken for another type: wrong options on purpose, and JSON whose shape the test then checks. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters
export function untyped<T>(value: unknown): T {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return value as T
}

/** Listens on a free loopback port until the end of the test. */
export async function serve(listener: RequestListener, prepare?: (server: Server) => void): Promise<number> {
  const server = createServer({ keepAliveTimeout: 600_000 }, listener)
  prepare?.(server)
  open.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return untyped<AddressInfo>(server.address()).port
}

/** The ways a chain of handlers can be run: each ends in our error handler. */
export const HOSTS: readonly [string, (...handlers: Handler[]) => RequestListener][] = [
  ['Express 5', inExpress],
  ['a bare http server', bare],
]

export function inExpress(...handlers: Handler[]): RequestListener {
  const app = express()
  app.disable('x-powered-by')
  for (const handler of handlers) app.use(handler)
  app.use(errorHandler({ hostErrors: 'answer' }))
  return app
}

/** Runs handlers as Express 4 would: no promise is looked at, only `next` counts. */
export function bare(...handlers: Handler[]): RequestListener {
  const onError = errorHandler({ hostErrors: 'answer' })
  return (req, res) => {
    const run = (at: number, error?: unknown): void => {
      if (error !== undefined && error !== null) return onError(error, req, res, () => res.destroy())
      const handler = handlers[at]
      if (handler) handler(req, res, (thrown) => run(at + 1, thrown))
      else res.writeHead(404).end('no handler')
    }
    run(0)
  }
}

/** Answers 200 with what the exchange holds. */
export const tellExchange: Handler = (req, res) => {
  const exchange = exchangeOf(req)
  const asked = { ...exchange.request, body: exchange.request.body?.toString('base64') }
  res.setHeader('content-type', 'application/json')
  res.end(JSON.stringify({ ...exchange, request: asked }))
}

/** Puts something into the exchange. */
export function filled(fields: ExchangeFields): Handler {
  return (req, _res, next) => {
    fillExchange(exchangeOf(req), fields)
    next()
  }
}

export interface Sent {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
  json(): Record<string, unknown>
}

export interface ToSend {
  readonly method?: string
  readonly path?: string
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
  readonly body?: string | Uint8Array
}

/** One request with bare `node:http`; the path is sent as it is written. */
export function send(port: number, toSend: ToSend = {}): Promise<Sent> {
  const { method = 'GET', path = '/', headers = {}, body } = toSend
  return new Promise((resolve, reject) => {
    const req = request(
      {
        port,
        host: '127.0.0.1',
        method,
        path,
        headers: untyped<Record<string, string>>(headers),
        agent: false,
      },
      (res) => {
        collect(res).then((bytes) => resolve(sent(res, bytes)), reject)
      },
    )
    req.on('error', reject)
    req.end(body)
  })
}

function sent(res: IncomingMessage, body: Buffer): Sent {
  return {
    status: res.statusCode ?? 0,
    headers: res.headers,
    body,
    json: () => untyped<Record<string, unknown>>(JSON.parse(body.toString('utf8'))),
  }
}

/** A JSON POST. */
export function post(
  port: number,
  path: string,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<Sent> {
  return send(port, {
    method: 'POST',
    path,
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body),
  })
}

export async function collect(stream: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(untyped<Buffer>(chunk))
  return Buffer.concat(chunks)
}

/** Writes bytes to the port and returns everything that comes back until the other side closes. */
export function raw(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(text))
    let answer = ''
    socket.setEncoding('latin1')
    socket.on('data', (chunk: string) => (answer += chunk))
    socket.on('close', () => resolve(answer))
    socket.on('error', reject)
  })
}

/** The `error.code` of an OpenAI-shaped answer. */
export function codeOf(answer: Sent): unknown {
  return untyped<Record<string, unknown>>(answer.json()['error'])['code']
}

export function messageOf(answer: Sent): string {
  return String(untyped<Record<string, unknown>>(answer.json()['error'])['message'])
}

/** A charge in a state, for what is told about it. */
export function chargeIn(state: ChargeState, more: Partial<Charge> = {}): Charge {
  return {
    id: 'chg_0000000000000000000000AB',
    instance: 'ins_1',
    requestId: 'req_1',
    caller: 'openclaw',
    model: 'paid/qwen',
    route: 'paid/*',
    payer: 'base',
    seller: 'https://seller.example.com',
    apiBase: 'https://seller.example.com/v1',
    network: 'eip155:84532',
    asset: '0x036cbd53842c5426634e7929541ec2318f3dcf7e',
    symbol: 'USDC',
    decimals: 6,
    payTo: `0x${'1'.repeat(40)}`,
    amount: 1000n,
    microUsd: 1000n,
    reservedAt: 0,
    leaseUntil: 60_000,
    state,
    proof: undefined,
    authorization: undefined,
    transaction: undefined,
    reason: undefined,
    updatedAt: 0,
    ...more,
  }
}
