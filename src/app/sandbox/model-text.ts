import { createHash } from 'node:crypto'

/** What an answer is made from. */
export interface Prompt {
  model: string
  /** Unix seconds. */
  created: number
  /** Everything the client sent as text. */
  text: string
}

/** What the model says, cut into the pieces it is streamed in. */
export interface Spoken {
  /** One piece per token; joined they are the answer. */
  pieces: string[]
  /** `length` when the client's token limit cut it short. */
  finishReason: 'stop' | 'length'
}

/** The longest part of a question that is quoted back. */
const quotedWords = 24

/**
 * Makes up the answer to a question: always the same for the same question.
 *
 * @param maxTokens - The client's limit; a token is a word here.
 */
export function compose(question: string, maxTokens: number = Infinity): Spoken {
  const words = question.split(/\s+/).filter((word) => word !== '')
  const quoted = words.length > quotedWords ? [...words.slice(0, quotedWords), '…'] : words
  const all = `You asked: “${quoted.join(' ')}” This answer was paid for on a chain of your own.`.split(' ')
  const pieces = all.slice(0, maxTokens).map((word, index) => (index === 0 ? word : ` ${word}`))
  return { pieces, finishReason: all.length > maxTokens ? 'length' : 'stop' }
}

/** A whole `chat.completion`. */
export function chatReply(prompt: Prompt, spoken: Spoken): object {
  const message = { role: 'assistant', content: spoken.pieces.join(''), refusal: null }
  return {
    ...head(prompt, 'chatcmpl', 'chat.completion'),
    ...choices({ message }, spoken.finishReason),
    usage: usageOf(prompt, spoken),
  }
}

/**
 * The events of a streamed chat completion, without `[DONE]`.
 *
 * @param includeUsage - `stream_options.include_usage`: a last chunk with usage and no choices.
 */
export function chatChunks(prompt: Prompt, spoken: Spoken, includeUsage: boolean): object[] {
  const body = [
    choices({ delta: { role: 'assistant', content: '' } }),
    ...spoken.pieces.map((content) => choices({ delta: { content } })),
    choices({ delta: {} }, spoken.finishReason),
  ]
  return withUsage(head(prompt, 'chatcmpl', 'chat.completion.chunk'), body, prompt, spoken, includeUsage)
}

/** A whole `text_completion`. */
export function completionReply(prompt: Prompt, spoken: Spoken): object {
  return {
    ...head(prompt, 'cmpl', 'text_completion'),
    ...choices({ text: spoken.pieces.join('') }, spoken.finishReason),
    usage: usageOf(prompt, spoken),
  }
}

/** The events of a streamed text completion, without `[DONE]`. */
export function completionChunks(prompt: Prompt, spoken: Spoken, includeUsage: boolean): object[] {
  const body = [...spoken.pieces.map((text) => choices({ text })), choices({ text: '' }, spoken.finishReason)]
  return withUsage(head(prompt, 'cmpl', 'text_completion'), body, prompt, spoken, includeUsage)
}

function choices(content: object, finish_reason: string | null = null): object {
  return { choices: [{ index: 0, ...content, logprobs: null, finish_reason }] }
}

function withUsage(
  start: object,
  body: object[],
  prompt: Prompt,
  spoken: Spoken,
  includeUsage: boolean,
): object[] {
  if (!includeUsage) return body.map((chunk) => ({ ...start, ...chunk }))
  const last = { ...start, choices: [], usage: usageOf(prompt, spoken) }
  return [...body.map((chunk) => ({ ...start, ...chunk, usage: null })), last]
}

function head(prompt: Prompt, prefix: string, object: string): object {
  const digest = createHash('sha256')
    .update(JSON.stringify([prompt.model, prompt.text]))
    .digest('hex')
  return { id: `${prefix}-${digest.slice(0, 24)}`, object, created: prompt.created, model: prompt.model }
}

function usageOf(prompt: Prompt, spoken: Spoken): object {
  const prompt_tokens = Math.ceil(prompt.text.length / 4)
  const completion_tokens = spoken.pieces.length
  return { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens }
}
