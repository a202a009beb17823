/** Generated answers of every protocol, as their sellers send them. */
import * as fc from 'fast-check'

const text = fc.string({ unit: 'binary', maxLength: 30 })
const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c', '_'), minLength: 1, maxLength: 8 })
const count = fc.nat(10_000)
const call = fc.record({
  id: word.map((id) => `call_${id}`),
  type: fc.constant('function'),
  function: fc.record({ name: word, arguments: text.map((value) => JSON.stringify({ value })) }),
})
const usage = fc.record({ input: count, output: count }).map(({ input, output }) => ({
  prompt_tokens: input,
  completion_tokens: output,
  total_tokens: input + output,
}))

const message = fc
  .record({
    content: fc.option(text, { nil: null }),
    refusal: fc.option(text, { nil: undefined }),
    reasoning: fc.option(text, { nil: undefined }),
    calls: fc.uniqueArray(call, { selector: ({ id }) => id, maxLength: 3 }),
  })
  .map(({ content, refusal, reasoning, calls }) => ({
    role: 'assistant',
    content,
    ...(refusal === undefined ? {} : { refusal }),
    ...(reasoning === undefined ? {} : { reasoning_content: reasoning }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  }))

/** Chat completions. */
export const chatAnswers = fc
  .record({
    messages: fc.array(message, { minLength: 1, maxLength: 3 }),
    usage,
    finish: fc.constantFrom('stop', 'length', 'tool_calls', 'content_filter'),
  })
  .map(({ messages, finish, usage: used }) => ({
    id: 'chatcmpl-1',
    object: 'chat.completion',
    created: 7,
    model: 'm',
    system_fingerprint: 'fp',
    choices: messages.map((told, index) => ({ index, message: told, finish_reason: finish })),
    usage: used,
  }))

/** Text completions. */
export const textAnswers = fc
  .record({ texts: fc.array(text, { minLength: 1, maxLength: 3 }), usage })
  .map(({ texts, usage: used }) => ({
    id: 'cmpl-1',
    object: 'text_completion',
    created: 7,
    model: 'm',
    choices: texts.map((told, index) => ({ index, text: told, logprobs: null, finish_reason: 'stop' })),
    usage: used,
  }))

const item = fc.oneof(
  fc.array(text, { maxLength: 2 }).map((texts) => ({
    id: 'msg_1',
    type: 'message',
    role: 'assistant',
    status: 'completed',
    content: texts.map((told) => ({ type: 'output_text', text: told, annotations: [] })),
  })),
  text.map((told) => ({
    id: 'rs_1',
    type: 'reasoning',
    summary: [{ type: 'summary_text', text: told }],
  })),
  call.map(({ id, function: { name, arguments: input } }) => ({
    id: 'fc_1',
    type: 'function_call',
    status: 'completed',
    call_id: id,
    name,
    arguments: input,
  })),
)

/** Responses. */
export const responsesAnswers = fc
  .record({ output: fc.array(item, { maxLength: 3 }), input: count, told: count })
  .map(({ output, input, told }) => ({
    id: 'resp_1',
    object: 'response',
    created_at: 7,
    model: 'm',
    status: 'completed',
    output,
    usage: { input_tokens: input, output_tokens: told, total_tokens: input + told },
  }))

const block = fc.oneof(
  text.map((told) => ({ type: 'text', text: told })),
  text.map((told) => ({ type: 'thinking', thinking: told, signature: 'sig' })),
  fc.record({ id: word, name: word, value: text }).map(({ id, name, value }) => ({
    type: 'tool_use',
    id,
    name,
    input: { value },
  })),
)

/** Anthropic messages. */
export const anthropicAnswers = fc
  .record({ content: fc.array(block, { maxLength: 3 }), input: count, told: count })
  .map(({ content, input, told }) => ({
    id: 'msg_1',
    type: 'message',
    role: 'assistant',
    model: 'm',
    content,
    stop_reason: 'end_turn',
    stop_sequence: null,
    usage: { input_tokens: input, output_tokens: told },
  }))
