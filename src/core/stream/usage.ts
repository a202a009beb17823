/** Token counts of a response. */
export interface Usage {
  readonly inputTokens: number
  readonly outputTokens: number
}

/** Reads a usage object of OpenAI (`prompt_tokens`), or of Responses and Anthropic (`input_tokens`); `undefined` for anything else. */
export function readUsage(value: unknown): Usage | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const usage: Readonly<Record<string, unknown>> = { ...value }
  const inputTokens = count(usage['prompt_tokens'] ?? usage['input_tokens'])
  const outputTokens = count(usage['completion_tokens'] ?? usage['output_tokens'] ?? 0)
  return inputTokens === undefined || outputTokens === undefined ? undefined : { inputTokens, outputTokens }
}

function count(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined
}
