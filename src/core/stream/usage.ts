import { property } from '../property.ts'

/** Token counts of a response. */
export interface Usage {
  readonly inputTokens: number
  readonly outputTokens: number
  /** Those of the output that were thought and not sent, where the answer counts them. */
  readonly reasoningTokens?: number | undefined
}

/** Reads a usage object of OpenAI (`prompt_tokens`), or of Responses and Anthropic (`input_tokens`); `undefined` for anything else. */
export function readUsage(value: unknown): Usage | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const usage: Readonly<Record<string, unknown>> = { ...value }
  const inputTokens = count(usage['prompt_tokens'] ?? usage['input_tokens'])
  const outputTokens = count(usage['completion_tokens'] ?? usage['output_tokens'] ?? 0)
  if (inputTokens === undefined || outputTokens === undefined) return undefined
  const details = usage['completion_tokens_details'] ?? usage['output_tokens_details']
  const reasoningTokens = count(property(details, 'reasoning_tokens'))
  return { inputTokens, outputTokens, ...(reasoningTokens === undefined ? {} : { reasoningTokens }) }
}

function count(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined
}
