/**
 * `tollway mcp --proxy`: the tools of another MCP server. A call that is answered with x402's payment-required result is paid and
 * repeated once, through the same gate, ledger and budgets as every other payment (x402's MCP transport, both bindings: the offers
 * in `structuredContent`, the payment in `_meta["x402/payment"]` and the receipt in `_meta["x402/payment-response"]`; or all three
 * under the extension `org.x402/payment`).
 */
import type { Client } from '@modelcontextprotocol/sdk/client/index.js'
import type { Server } from '@modelcontextprotocol/sdk/server/index.js'
import type { CallToolRequest, CallToolResult } from '@modelcontextprotocol/sdk/types.js'
import type { BuyingContext } from '../buying/buying-context.ts'
import { signingCeiling } from '../buying/buying-context.ts'
import { pay } from '../buying/pay.ts'
import type { PaymentReceipt } from '../buying/receipt.ts'
import { packageVersion } from '../package-version.ts'
import { AgentFailure, toAgentFailure } from './agent-failure.ts'
import type { AgentSettings } from './agent-pay.ts'
import { approve, approvePrice } from './approval.ts'
import { askOf } from './ask-person.ts'
import { AGENT_TOKEN, inspectOffers } from './inspect-offers.ts'
import { failedResult } from './tool-answers.ts'
import { passedMeta, resultOf, toolUpstream, type CallTool } from './tool-upstream.ts'

/** How the tools of another server are paid. */
export interface ProxySettings extends Pick<AgentSettings, 'payer' | 'caller' | 'approval'> {
  /** The other server, as the ledger names it; its tools are below it. */
  readonly place: URL
  /** The most that one call may cost, micro-USDC; the policy's ceiling by default. */
  readonly maxMicro: bigint | undefined
}

/** Longest wait for an answer of the other server, milliseconds: tools take their time. */
const ANSWER_MS = 600_000

/** A server with the tools of `remote`, which is connected. Connect it to a transport to serve. */
export async function proxyServer(
  context: BuyingContext,
  remote: Client,
  settings: ProxySettings,
): Promise<Server> {
  const { Server: LowServer } = await import('@modelcontextprotocol/sdk/server/index.js')
  const types = await import('@modelcontextprotocol/sdk/types.js')
  const server = new LowServer(
    { name: 'tollway-proxy', version: packageVersion() },
    { capabilities: { tools: {} } },
  )
  server.setRequestHandler(types.ListToolsRequestSchema, ({ params }) => remote.listTools(params))
  server.setRequestHandler(types.CallToolRequestSchema, async ({ params }, { signal }) => {
    // Not callTool(): it would hold the payment-required result against the tool's own output schema.
    // The only payment of a call is ours, whatever the agent sends.
    const { _meta: sent = {} } = params
    const own = passedMeta(sent)
    const call: CallTool = (meta) =>
      remote.request(
        { method: 'tools/call', params: { ...params, _meta: { ...own, ...meta } } },
        types.CallToolResultSchema,
        { signal, timeout: ANSWER_MS },
      )
    try {
      return await payForTool(context, call, params, settings, askOf(server), signal)
    } catch (error) {
      return failedResult(error)
    }
  })
  return server
}

async function payForTool(
  context: BuyingContext,
  call: CallTool,
  { name, arguments: given }: CallToolRequest['params'],
  settings: ProxySettings,
  ask: ReturnType<typeof askOf>,
  signal: AbortSignal,
): Promise<CallToolResult> {
  const { payer, caller, place, maxMicro = signingCeiling(context.config) } = settings
  if (payer === undefined)
    throw new AgentFailure('burner_not_configured', 'No wallet is configured; nothing was sent.')
  const url = new URL(`${place.href.replace(/\/+$/, '')}/tools/${encodeURIComponent(name)}`)
  const request: Parameters<typeof pay>[1] = {
    url,
    method: 'POST',
    isMethodGiven: true,
    data: Buffer.from(JSON.stringify(given ?? {})),
    headers: {},
    payer,
    caller,
    maxMicroUsd: maxMicro,
    choice: { token: AGENT_TOKEN },
    approve: approvePrice(ask),
    inspect: async (challenge, opened) => {
      inspectOffers(challenge, opened, context.config.assets, maxMicro)
      await approve({ method: 'POST', url, maxMicro }, settings.approval, ask)
    },
  }
  const overTools = { ...context, upstream: toolUpstream(call) }
  try {
    return await pay(overTools, request, signal, async ({ receipt, reply, error }) => {
      if (error !== undefined) throw withMoney(error, receipt)
      if (!reply) throw new AgentFailure('request_failed', 'The tool gave no answer; nothing was paid.')
      return withReceipt(await resultOf(reply), receipt)
    })
  } catch (error) {
    throw toAgentFailure(error) ?? error
  }
}

/** The tool's own result, and what it cost. */
function withReceipt(result: CallToolResult, receipt: PaymentReceipt): CallToolResult {
  if (receipt.spent === 'no') return result
  const { spent, charge, amount, usd, network, transaction } = receipt
  const money = { spent, charge, amount, usd, network, transaction }
  const { _meta: meta } = result
  return { ...result, _meta: { ...meta, 'tollway/payment': money } }
}

function withMoney(error: unknown, { spent, charge, transaction }: PaymentReceipt): unknown {
  const failure = toAgentFailure(error)
  if (!failure) return error
  return new AgentFailure(failure.code, failure.message, {
    ...failure.details,
    spent,
    ...(charge === undefined ? {} : { charge }),
    ...(transaction === undefined ? {} : { transaction }),
  })
}
