import { z } from 'zod'
import { serveOnLoopback } from '../../src/io/transport/loopback.ts'

/** One question to a node. */
export interface RpcCall {
  method: string
  params: unknown[]
}

/**
 * Answers a question its own way: with what it returns as the result, by asking the real node (`forward`), or by
 * throwing: an {@link RpcFault} says how, anything else cuts the connection.
 */
export type RpcLie = (call: RpcCall, forward: (call: RpcCall) => Promise<unknown>) => Promise<unknown>

/** An answer that is no result. */
export class RpcFault extends Error {
  readonly status: number
  readonly body: unknown
  readonly headers: Record<string, string>

  constructor(status: number, body: unknown = {}, headers: Record<string, string> = {}) {
    super(`an injected ${status}`)
    this.status = status
    this.body = body
    this.headers = headers
  }

  /** A JSON-RPC error. */
  static refusal(message: string): RpcFault {
    return new RpcFault(200, { jsonrpc: '2.0', error: { code: -32_000, message } })
  }
}

/** A node that lies. */
export interface RpcProxy {
  url: string
  /** How it answers; honest until it is set, and honest again when it is set to `undefined`. */
  lie: RpcLie | undefined
  /** Every question, oldest first. */
  calls: RpcCall[]
  close(): Promise<void>
}

const Question = z.object({ id: z.unknown(), method: z.string(), params: z.array(z.unknown()).default([]) })
const Result = z.object({ result: z.unknown().optional(), error: z.unknown().optional() })

/** Stands in front of a node and answers in its name. */
export async function startRpcProxy(rpcUrl: string): Promise<RpcProxy> {
  const forward = async ({ method, params }: RpcCall): Promise<unknown> => {
    const reply = await fetch(rpcUrl, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
    })
    const { result, error } = Result.parse(await reply.json())
    if (error !== undefined) throw new RpcFault(200, { jsonrpc: '2.0', id: 1, error })
    return result ?? null
  }
  const proxy: Pick<RpcProxy, 'lie' | 'calls'> = { lie: undefined, calls: [] }
  const server = await serveOnLoopback((request, response) => {
    const answer = async (): Promise<void> => {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(Buffer.from(chunk))
      const { id, method, params } = Question.parse(JSON.parse(Buffer.concat(chunks).toString()))
      const call = { method, params }
      proxy.calls.push(call)
      try {
        const result = await (proxy.lie ? proxy.lie(call, forward) : forward(call))
        response
          .setHeader('content-type', 'application/json')
          .end(JSON.stringify({ jsonrpc: '2.0', id, result }))
      } catch (error) {
        if (!(error instanceof RpcFault)) throw error
        const body =
          typeof error.body === 'object' && error.body !== null ? { id, ...error.body } : error.body
        response.writeHead(error.status, { 'content-type': 'application/json', ...error.headers })
        response.end(typeof body === 'string' ? body : JSON.stringify(body))
      }
    }
    answer().catch(() => response.destroy())
  })
  return Object.assign(proxy, { url: server.url, close: () => server.close() })
}
