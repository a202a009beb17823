/** The sandbox's model in the format of OpenAI's chat completions and completions. */
import type { ToolCall, Turn } from './model-turn.ts'

/** Fields common to every object of an answer. */
interface Head {
  readonly model: string
  /** Unix seconds. */
  readonly created: number
}

/** A complete `chat.completion`. */
export function chatReply(head: Head, turn: Turn): object {
  const tools = turn.calls.length > 0 ? { tool_calls: turn.calls.map(toolCall) } : {}
  const content = turn.calls.length > 0 ? null : turn.spoken.pieces.join('')
  const message = { role: 'assistant', content, refusal: null, ...tools }
  return {
    ...start(head, turn, 'chatcmpl', 'chat.completion'),
    ...choices({ message }, finishReason(turn)),
    usage: usageOf(turn),
  }
}

/**
 * The events of a streamed chat completion, without `[DONE]`.
 *
 * @param includeUsage - `stream_options.include_usage`: a last chunk with usage and no choices.
 */
export function chatChunks(head: Head, turn: Turn, includeUsage: boolean): object[] {
  const said = turn.spoken.pieces.map((content) => choices({ delta: { content } }))
  const called = turn.calls.flatMap((call, index) => toolDeltas(call, index))
  const body = [
    choices({ delta: { role: 'assistant', content: turn.calls.length > 0 ? null : '' } }),
    ...said,
    ...called,
    choices({ delta: {} }, finishReason(turn)),
  ]
  return withUsage(start(head, turn, 'chatcmpl', 'chat.completion.chunk'), body, turn, includeUsage)
}

/** A complete `text_completion`. */
export function completionReply(head: Head, turn: Turn): object {
  return {
    ...start(head, turn, 'cmpl', 'text_completion'),
    ...choices({ text: turn.spoken.pieces.join('') }, finishReason(turn)),
    usage: usageOf(turn),
  }
}

/** The events of a streamed text completion, without `[DONE]`. */
export function completionChunks(head: Head, turn: Turn, includeUsage: boolean): object[] {
  const body = [
    ...turn.spoken.pieces.map((text) => choices({ text })),
    choices({ text: '' }, finishReason(turn)),
  ]
  return withUsage(start(head, turn, 'cmpl', 'text_completion'), body, turn, includeUsage)
}

function toolCall({ id, name, arguments: json }: ToolCall): object {
  return { id, type: 'function', function: { name, arguments: json } }
}

/** Tool call deltas as OpenAI streams them: the name first, then the arguments piece by piece. */
function toolDeltas({ id, name, arguments: json }: ToolCall, index: number): object[] {
  const delta = (call: object): object => choices({ delta: { tool_calls: [{ index, ...call }] } })
  const pieces = json.match(/.{1,8}/gsu) ?? []
  return [
    delta({ id, type: 'function', function: { name, arguments: '' } }),
    ...pieces.map((piece) => delta({ function: { arguments: piece } })),
  ]
}

function finishReason({ calls, spoken }: Turn): string {
  return calls.length > 0 ? 'tool_calls' : spoken.finishReason
}

function choices(content: object, finish_reason: string | null = null): object {
  return { choices: [{ index: 0, ...content, logprobs: null, finish_reason }] }
}

function withUsage(first: object, body: object[], turn: Turn, includeUsage: boolean): object[] {
  if (!includeUsage) return body.map((chunk) => ({ ...first, ...chunk }))
  const last = { ...first, choices: [], usage: usageOf(turn) }
  return [...body.map((chunk) => ({ ...first, ...chunk, usage: null })), last]
}

function start({ model, created }: Head, { id }: Turn, prefix: string, object: string): object {
  return { id: `${prefix}-${id}`, object, created, model }
}

function usageOf({ inputTokens, outputTokens }: Turn): object {
  return {
    prompt_tokens: inputTokens,
    completion_tokens: outputTokens,
    total_tokens: inputTokens + outputTokens,
  }
}
