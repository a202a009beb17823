import { fillExchange, type ExchangeFields } from './fill-exchange.ts'
import { once } from 'node:events'
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http'
import { Agent, request } from 'undici'
import { exchangeOf } from '../../middleware/http/exchange-of.ts'
import { sseRestreamer, type SseRestreamerOptions } from '../../middleware/sse-restreamer.ts'
import type { Charge } from '../../src/core/charge/charge.ts'
import { TollwayError } from '../../src/core/errors.ts'
import type { Exchange } from '../../src/core/request/exchange.ts'

/** A charge of $0.001 that was settled. */
export const settledCharge: Charge = {
  id: 'chg_0000000000000000000000aa',
  instance: 'i',
  requestId: 'req_1',
  caller: 'anonymous',
  model: 'paid/m',
  route: 'paid/*',
  payer: 'cash',
  seller: 'https://seller.test',
  apiBase: 'https://seller.test/v1',
  network: 'eip155:84532',
  asset: '0x036cbd53842c5426634e7929541ec2318f3dcf7e',
  symbol: 'USDC',
  decimals: 6,
  payTo: '0x90f79bf6eb2c4f870365e785982e1f101e93b906',
  amount: 1000n,
  microUsd: 1000n,
  reservedAt: 0,
  leaseUntil: 0,
  state: 'settled',
  proof: 'receipt',
  authorization: undefined,
  transaction: `0x${'ab'.repeat(32)}`,
  reason: 'receipt',
  updatedAt: 0,
}

/** How the world is set up. */
export interface WorldOptions {
  kind: 'paid' | 'unpaid' | 'none'
  seller: (request: IncomingMessage, response: ServerResponse) => void
  endpoint?: string | undefined
  restreamer?: SseRestreamerOptions | undefined
  exchange?: ExchangeFields | undefined
  /** Sees the gateway's response before anything is relayed. */
  onResponse?: ((response: ServerResponse) => void) | undefined
}

/** A seller and a gateway that only re-streams, over real sockets. */
export interface World {
  url: string
  /** The exchange of the newest request. */
  exchange: () => Exchange
  /** The error that reached the error handler. */
  error: () => unknown
  close(): Promise<void>
}

/** Starts both servers on loopback. */
export async function startWorld(options: WorldOptions): Promise<World> {
  const seller = createServer({ keepAliveTimeout: 600_000 }, options.seller)
  const sellerUrl = await listen(seller)
  const transport = new Agent()
  const handler = sseRestreamer(options.restreamer)
  let exchange: Exchange | undefined
  let failure: unknown
  const gateway = createServer({ keepAliveTimeout: 600_000 }, (req, res) => {
    exchange = exchangeOf(req)
    fillExchange(exchange, {
      endpoint: options.endpoint ?? '/chat/completions',
      request: { model: 'paid/m' },
    })
    fillExchange(exchange, options.exchange ?? {})
    const opened = exchange
    const next = (error?: unknown): void => {
      failure = error
      res.statusCode = error instanceof TollwayError ? error.status : error === undefined ? 204 : 500
      res.end(error instanceof TollwayError ? JSON.stringify(error.toBody()) : '')
    }
    const relay = async (): Promise<void> => {
      if (options.kind !== 'none') {
        const answer = await request(sellerUrl, { method: 'POST', dispatcher: transport })
        const headers = Object.fromEntries(
          Object.entries(answer.headers).flatMap(([name, value]) =>
            value === undefined ? [] : [[name, value]],
          ),
        )
        if (options.kind === 'paid') opened.payment.charge = settledCharge
        opened.relay.reply = { status: answer.statusCode, headers, body: answer.body, kind: options.kind }
      }
      options.onResponse?.(res)
      handler(req, res, next)
    }
    relay().catch((error: unknown) => res.destroy(error instanceof Error ? error : undefined))
  })
  const url = await listen(gateway)
  return {
    url,
    exchange() {
      if (!exchange) throw new Error('no request came')
      return exchange
    },
    error: () => failure,
    async close() {
      await transport.destroy()
      for (const server of [gateway, seller]) {
        server.closeAllConnections()
        server.close()
        await once(server, 'close')
      }
    },
  }
}

async function listen(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('not listening on a port')
  return `http://127.0.0.1:${address.port}`
}

/** An answer that is being received. */
export class ClientAnswer {
  readonly message: IncomingMessage
  #chunks: Buffer[] = []
  #ended: 'open' | 'whole' | 'cut' = 'open'
  #changed = Promise.withResolvers<void>()

  constructor(message: IncomingMessage) {
    this.message = message
    message.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk)
      this.#change()
    })
    message.on('error', () => {})
    message.on('close', () => {
      this.#ended = message.complete ? 'whole' : 'cut'
      this.#change()
    })
  }

  /** What has come so far. */
  get bytes(): Buffer {
    const bytes = Buffer.concat(this.#chunks)
    this.#chunks = [bytes]
    return bytes
  }

  /** Waits until this text has come. */
  async until(text: string): Promise<void> {
    while (!this.bytes.includes(text)) {
      if (this.#ended !== 'open')
        throw new Error(`the answer ended without ${text}: ${this.bytes.toString()}`)
      await this.#changed.promise
    }
  }

  /** Waits for the end. `cut`: the connection broke before the answer was whole. */
  async end(): Promise<'whole' | 'cut'> {
    while (this.#ended === 'open') await this.#changed.promise
    return this.#ended
  }

  /** The whole answer as text. */
  async text(): Promise<string> {
    await this.end()
    return this.bytes.toString('utf8')
  }

  /** Leaves in the middle. */
  leave(): void {
    this.message.destroy()
  }

  #change(): void {
    this.#changed.resolve()
    this.#changed = Promise.withResolvers()
  }
}

/** Asks the gateway and returns as soon as the answer's headers are there. */
export async function ask(
  url: string,
  headers: Readonly<Record<string, string>> = { te: 'trailers' },
): Promise<ClientAnswer> {
  const outgoing = httpRequest(url, { method: 'POST', agent: false, headers })
  outgoing.end()
  const message = await new Promise<IncomingMessage>((resolve, reject) => {
    outgoing.once('response', resolve)
    outgoing.once('error', reject)
  })
  return new ClientAnswer(message)
}

/** A promise and the function that keeps it: a handshake between the two ends of a test. */
export function signalled<T = void>(): { promise: Promise<T>; resolve: (value: T) => void } {
  const { promise, resolve } = Promise.withResolvers<T>()
  return { promise, resolve }
}
