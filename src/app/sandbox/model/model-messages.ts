/** The sandbox's model in the format of Anthropic's Messages API. */
import type { ModelEvent, ToolCall, Turn } from './model-turn.ts'

/** A complete `message`. */
export function messagesReply(model: string, turn: Turn): object {
  const text = { type: 'text', text: turn.spoken.pieces.join('') }
  const content = turn.calls.length > 0 ? turn.calls.map((call) => toolUse(call, parsed(call))) : [text]
  return {
    ...start(model, turn),
    content,
    stop_reason: stopReason(turn),
    usage: { input_tokens: turn.inputTokens, output_tokens: turn.outputTokens },
  }
}

/** The events of a streamed message; each carries its `type`, which is also the event's name. */
export function messagesEvents(model: string, turn: Turn): ModelEvent[] {
  const message = {
    ...start(model, turn),
    content: [],
    stop_reason: null,
    usage: { input_tokens: turn.inputTokens, output_tokens: 1 },
  }
  const blocks =
    turn.calls.length > 0
      ? turn.calls.flatMap((call, index) =>
          blockEvents(
            index,
            toolUse(call, {}),
            (call.arguments.match(/.{1,8}/gsu) ?? []).map((piece) => ({
              type: 'input_json_delta',
              partial_json: piece,
            })),
          ),
        )
      : blockEvents(
          0,
          { type: 'text', text: '' },
          turn.spoken.pieces.map((piece) => ({ type: 'text_delta', text: piece })),
        )
  return [
    { type: 'message_start', message },
    ...blocks,
    {
      type: 'message_delta',
      delta: { stop_reason: stopReason(turn), stop_sequence: null },
      usage: { output_tokens: turn.outputTokens },
    },
    { type: 'message_stop' },
  ]
}

function blockEvents(index: number, block: object, deltas: readonly object[]): ModelEvent[] {
  return [
    { type: 'content_block_start', index, content_block: block },
    ...deltas.map((delta) => ({ type: 'content_block_delta', index, delta })),
    { type: 'content_block_stop', index },
  ]
}

function start(model: string, { id }: Turn): object {
  return { id: `msg_${id}`, type: 'message', role: 'assistant', model, stop_sequence: null }
}

function stopReason({ calls, spoken }: Turn): string {
  if (calls.length > 0) return 'tool_use'
  return spoken.finishReason === 'length' ? 'max_tokens' : 'end_turn'
}

function toolUse({ id, name }: ToolCall, input: unknown): object {
  return { type: 'tool_use', id: id.replace('call_', 'toolu_'), name, input }
}

function parsed({ arguments: json }: ToolCall): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return {}
  }
}
