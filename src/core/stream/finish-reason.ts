/** Whether a finish reason ends an answer. Some sellers send one with every chunk, or a text that stands for none. */

/** Reasons of OpenAI, Anthropic, Gemini, Mistral, DeepSeek, Zhipu and TGI; lower case. */
const KNOWN: ReadonlySet<string> = new Set([
  'stop',
  'length',
  'tool_calls',
  'function_call',
  'content_filter',
  'end_turn',
  'max_tokens',
  'stop_sequence',
  'tool_use',
  'pause_turn',
  'refusal',
  'model_context_window_exceeded',
  'safety',
  'recitation',
  'model_length',
  'insufficient_system_resource',
  'sensitive',
  'eos',
  'eos_token',
])

const NONE: ReadonlySet<string> = new Set(['', 'null', 'none', 'undefined'])

/**
 * What a finish reason says: `ends` the answer ends with it · `may_end` it is not known: it does if nothing follows ·
 * `undefined` there is none.
 */
export function finishOf(reason: unknown): 'ends' | 'may_end' | undefined {
  if (typeof reason !== 'string') return undefined
  const word = reason.trim().toLowerCase()
  if (NONE.has(word)) return undefined
  return KNOWN.has(word) ? 'ends' : 'may_end'
}

/** The reason itself; `undefined` for none, and for one that is not known of an answer that broke off. */
export function finishReason(reason: unknown, truncated = false): unknown {
  const finish = finishOf(reason)
  return finish === undefined || (truncated && finish === 'may_end') ? undefined : reason
}
