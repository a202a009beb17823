/** A tool of an MCP server as a seller: its calls and results as the requests and responses that the payment engine knows. */
import { Readable } from 'node:stream'
import type { CallToolResult } from '@modelcontextprotocol/sdk/types.js'
import { property } from '../../core/property.ts'
import type { Reply } from '../../core/request/exchange.ts'
import { HEADERS } from '../../core/x402/payment-headers.ts'
import type { IncomingReply, OutgoingRequest, Upstream } from '../../io/transport/upstream.ts'
import { UpstreamError } from '../../io/transport/upstream-error.ts'

/** Calls the tool, with this `_meta` beside the agent's own. */
export type CallTool = (meta: Readonly<Record<string, unknown>>) => Promise<CallToolResult>

/** Where the payment of a call is, in its `_meta`. */
export const PAYMENT = 'x402/payment'
const RESPONSE = 'x402/payment-response'

/** The transport of one tool call: unpaid, and once more with the payment. */
export function toolUpstream(call: CallTool): Upstream {
  return {
    send: async (request) => {
      const payment = paymentOf(request)
      try {
        return replyOf(await call(payment === undefined ? {} : { [PAYMENT]: payment }), payment !== undefined)
      } catch (cause) {
        // What reached the other server is not known: a payment counts as sent, and no call is repeated.
        throw new UpstreamError('malformed', cause, false)
      }
    },
    close: () => Promise.resolve(),
  }
}

/** The tool's result, of an answer that {@link toolUpstream} gave. */
export async function resultOf(reply: Pick<Reply, 'body'>): Promise<CallToolResult> {
  const { CallToolResultSchema } = await import('@modelcontextprotocol/sdk/types.js')
  const chunks: Uint8Array[] = []
  for await (const chunk of reply.body) chunks.push(chunk)
  return CallToolResultSchema.parse(JSON.parse(Buffer.concat(chunks).toString('utf8')))
}

/** The payment that a request carries in a header, as the object that MCP carries. */
function paymentOf({ headers, carriesPayment }: OutgoingRequest): unknown {
  if (carriesPayment !== true) return undefined
  const value = Object.entries(headers).find(([name]) => CARRIERS.has(name.toLowerCase()))?.[1]
  if (typeof value !== 'string') throw new TypeError('a paid request carries no payment header')
  const payment: unknown = JSON.parse(Buffer.from(value, 'base64').toString('utf8'))
  return payment
}

const CARRIERS: ReadonlySet<string> = new Set(['payment-signature', 'x-payment'])

function replyOf(result: CallToolResult, isPaid: boolean): IncomingReply {
  const required = requirementsOf(result)
  if (required !== undefined) {
    const text = JSON.stringify(required)
    const isV2 = property(required, 'x402Version') === 2
    const header = isV2 ? { [HEADERS.required]: Buffer.from(text).toString('base64') } : {}
    return answer(402, header, isV2 ? '{}' : text)
  }
  const receipt = property(property(result, '_meta'), RESPONSE)
  const header =
    receipt === undefined
      ? {}
      : { [HEADERS.response]: Buffer.from(JSON.stringify(receipt)).toString('base64') }
  // A tool that fails after it was paid is a seller that answers with an error.
  return answer(isPaid && result.isError === true ? 500 : 200, header, JSON.stringify(result))
}

function answer(status: number, header: Readonly<Record<string, string>>, body: string): IncomingReply {
  return {
    status,
    headers: { 'content-type': 'application/json', ...header },
    body: Readable.from([Buffer.from(body)]),
  }
}

/** The offers of a payment-required result: in `structuredContent`, or as the JSON text that repeats them for older clients. */
function requirementsOf({ isError, structuredContent, content }: CallToolResult): unknown {
  if (isError !== true) return undefined
  if (isRequired(structuredContent)) return structuredContent
  const [first] = content
  if (first?.type !== 'text' || !first.text.startsWith('{')) return undefined
  try {
    const parsed: unknown = JSON.parse(first.text)
    return isRequired(parsed) ? parsed : undefined
  } catch {
    return undefined
  }
}

function isRequired(value: unknown): boolean {
  return typeof property(value, 'x402Version') === 'number' && Array.isArray(property(value, 'accepts'))
}
