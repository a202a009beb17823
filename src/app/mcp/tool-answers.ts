/** MCP tool results: JSON for programs in `structuredContent`, and the same as text for clients that show only that. */
import type { CallToolResult } from '@modelcontextprotocol/sdk/types.js'
import { AgentFailure, toAgentFailure } from './agent-failure.ts'
import type { AgentPaid } from './agent-pay.ts'

type Json = Readonly<Record<string, unknown>>

/** A result that is JSON. */
export function jsonResult(value: Json): CallToolResult {
  return {
    content: [{ type: 'text', text: JSON.stringify(value, undefined, 2) }],
    structuredContent: { ...value },
  }
}

/** The result of a paid call: the service's own text first, what it cost behind it. */
export function paidResult({ status, receipt, content }: AgentPaid): CallToolResult {
  const { spent, charge, amount, usd, network, transaction } = receipt
  const money = {
    status,
    spent,
    charge: charge ?? null,
    amount: amount ?? null,
    usd: usd ?? null,
    network: network ?? null,
    transaction: transaction ?? null,
  }
  const isOk = status >= 200 && status < 300
  const structured = { ok: isOk, ...money, ...('text' in content ? { body: content.text } : content) }
  const shown =
    'text' in content ? content.text : `Saved to ${content.file} (${content.bytes} bytes, ${content.type}).`
  return {
    content: [
      { type: 'text', text: shown },
      { type: 'text', text: JSON.stringify(money) },
    ],
    structuredContent: structured,
    isError: !isOk,
  }
}

/** A failure as an agent reads it. @throws the error itself if it is a fault of ours */
export function failedResult(error: unknown): CallToolResult {
  const failure = toAgentFailure(error)
  if (!(failure instanceof AgentFailure)) throw error
  const { code, message, details } = failure
  return { ...jsonResult({ ok: false, error: { code, message }, ...details }), isError: true }
}
