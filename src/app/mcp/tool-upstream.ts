/**
 * A tool of an MCP server as a seller: its calls and results as the requests and responses that the payment engine knows. Both
 * bindings of x402's MCP transport are read: the tool result that is an error, and the extension `org.x402/payment`.
 */
import { Readable } from 'node:stream'
import type { CallToolResult } from '@modelcontextprotocol/sdk/types.js'
import { property } from '../../core/property.ts'
import { isRecord } from '../../core/x402/wire-json.ts'
import type { Reply } from '../../core/request/exchange.ts'
import { HEADERS } from '../../core/x402/payment-headers.ts'
import type { IncomingReply, OutgoingRequest, Upstream } from '../../io/transport/upstream.ts'
import { UpstreamError } from '../../io/transport/upstream-error.ts'

/** Calls the tool, with this `_meta` beside the agent's own. */
export type CallTool = (meta: Readonly<Record<string, unknown>>) => Promise<CallToolResult>

/** Where the payment of a call is, in its `_meta`. */
const PAYMENT = 'x402/payment'
const RESPONSE = 'x402/payment-response'

/** The extension of the second binding: its name among capabilities, and in `_meta` of paid calls and of their results. */
export const EXTENSION = 'org.x402/payment'
const CAPABILITIES = 'io.modelcontextprotocol/clientCapabilities'

/** The `_meta` of an agent's call as it is passed on: no payment but ours, and the extension among what the client can do. */
export function passedMeta(sent: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { [PAYMENT]: _first, [EXTENSION]: _second, [CAPABILITIES]: theirs, ...own } = sent
  const capabilities = isRecord(theirs) ? theirs : {}
  const extensions = isRecord(capabilities['extensions']) ? capabilities['extensions'] : {}
  return { ...own, [CAPABILITIES]: { ...capabilities, extensions: { ...extensions, [EXTENSION]: {} } } }
}

/** The transport of one tool call: unpaid, and once more with the payment, in the binding in which the tool asked for it. */
export function toolUpstream(call: CallTool): Upstream {
  let isExtension = false
  return {
    send: async (request) => {
      const payment = paymentOf(request)
      const meta = isExtension ? { [EXTENSION]: { paymentPayload: payment } } : { [PAYMENT]: payment }
      try {
        const result = await call(payment === undefined ? {} : meta)
        isExtension = isPaymentRequired(result)
        return replyOf(result, payment !== undefined)
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
  const receipt = receiptOf(result)
  const header =
    receipt === undefined
      ? {}
      : { [HEADERS.response]: Buffer.from(JSON.stringify(receipt)).toString('base64') }
  const required = requirementsOf(result)
  if (required !== undefined) {
    const text = JSON.stringify(required)
    if (property(required, 'x402Version') !== 2)
      // The extension carries x402 v2 only: what stands in it and is none offers nothing.
      return answer(402, header, isPaymentRequired(result) ? '{}' : text)
    const offers = { [HEADERS.required]: Buffer.from(text).toString('base64') }
    return answer(402, { ...header, ...offers }, '{}')
  }
  // A tool that fails after it was paid is a seller that answers with an error.
  return answer(isPaid && result.isError === true ? 500 : 200, header, JSON.stringify(result))
}

/** What the tool says became of the payment, in either binding. */
function receiptOf(result: CallToolResult): unknown {
  const meta = property(result, '_meta')
  return property(property(meta, EXTENSION), 'settlementResponse') ?? property(meta, RESPONSE)
}

/** Whether the result is the extension's own kind: the tool did not run, and asks for a payment. */
function isPaymentRequired(result: CallToolResult): boolean {
  return property(result, 'resultType') === 'payment_required'
}

function answer(status: number, header: Readonly<Record<string, string>>, body: string): IncomingReply {
  return {
    status,
    headers: { 'content-type': 'application/json', ...header },
    body: Readable.from([Buffer.from(body)]),
  }
}

/**
 * The offers of a payment-required result: in `paymentRequired` of the extension, in `structuredContent`, or as the JSON text that
 * repeats them for older clients.
 */
function requirementsOf(result: CallToolResult): unknown {
  if (isPaymentRequired(result)) return property(result, 'paymentRequired') ?? {}
  const { isError, structuredContent, content } = result
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
