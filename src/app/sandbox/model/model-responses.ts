/** The sandbox's model in the format of OpenAI's Responses API. */
import type { ModelEvent, ToolCall, Turn } from './model-turn.ts'

interface Head {
  readonly model: string
  /** Unix seconds. */
  readonly created: number
}

/** A complete `response`. */
export function responsesReply(head: Head, turn: Turn): object {
  const cut = turn.spoken.finishReason === 'length'
  return {
    ...start(head, turn),
    status: cut ? 'incomplete' : 'completed',
    incomplete_details: cut ? { reason: 'max_output_tokens' } : null,
    output: itemsOf(turn),
    usage: {
      input_tokens: turn.inputTokens,
      input_tokens_details: { cached_tokens: 0 },
      output_tokens: turn.outputTokens,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: turn.inputTokens + turn.outputTokens,
    },
  }
}

/** The events of a streamed response; each carries its `type`, which is also the event's name. */
export function responsesEvents(head: Head, turn: Turn): ModelEvent[] {
  const begun = { ...start(head, turn), status: 'in_progress', output: [] }
  const body =
    turn.calls.length > 0 ? turn.calls.flatMap((call, index) => callEvents(call, index)) : textEvents(turn)
  const end = turn.spoken.finishReason === 'length' ? 'response.incomplete' : 'response.completed'
  return [
    { type: 'response.created', response: begun },
    { type: 'response.in_progress', response: begun },
    ...body,
    { type: end, response: responsesReply(head, turn) },
  ].map((event, sequence_number) => ({ ...event, sequence_number }))
}

function textEvents(turn: Turn): ModelEvent[] {
  const text = turn.spoken.pieces.join('')
  const item_id = `msg_${turn.id}`
  const at = { item_id, output_index: 0, content_index: 0 }
  return [
    {
      type: 'response.output_item.added',
      output_index: 0,
      item: { ...message(turn, []), status: 'in_progress' },
    },
    { type: 'response.content_part.added', ...at, part: textPart('') },
    ...turn.spoken.pieces.map((delta) => ({
      type: 'response.output_text.delta',
      ...at,
      delta,
      logprobs: [],
    })),
    { type: 'response.output_text.done', ...at, text, logprobs: [] },
    { type: 'response.content_part.done', ...at, part: textPart(text) },
    { type: 'response.output_item.done', output_index: 0, item: message(turn, [textPart(text)]) },
  ]
}

function callEvents(call: ToolCall, output_index: number): ModelEvent[] {
  const item = callItem(call)
  const pieces = call.arguments.match(/.{1,8}/gsu) ?? []
  const at = { item_id: `fc_${call.id}`, output_index }
  return [
    {
      type: 'response.output_item.added',
      output_index,
      item: { ...item, arguments: '', status: 'in_progress' },
    },
    ...pieces.map((delta) => ({ type: 'response.function_call_arguments.delta', ...at, delta })),
    { type: 'response.function_call_arguments.done', ...at, name: call.name, arguments: call.arguments },
    { type: 'response.output_item.done', output_index, item },
  ]
}

function itemsOf(turn: Turn): object[] {
  if (turn.calls.length > 0) return turn.calls.map(callItem)
  return [message(turn, [textPart(turn.spoken.pieces.join(''))])]
}

function message({ id }: Turn, content: readonly object[]): object {
  return { id: `msg_${id}`, type: 'message', role: 'assistant', status: 'completed', content }
}

function callItem({ id, name, arguments: json }: ToolCall): object {
  return { id: `fc_${id}`, type: 'function_call', call_id: id, name, arguments: json, status: 'completed' }
}

function textPart(text: string): object {
  return { type: 'output_text', text, annotations: [], logprobs: [] }
}

function start({ model, created }: Head, { id }: Turn): object {
  return {
    id: `resp_${id}`,
    object: 'response',
    created_at: created,
    model,
    error: null,
    instructions: null,
    metadata: {},
    parallel_tool_calls: true,
    temperature: 1,
    tool_choice: 'auto',
    tools: [],
    top_p: 1,
  }
}
