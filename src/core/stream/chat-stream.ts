/** Chat completions: converts a JSON response to `chat.completion.chunk` events and back (OpenAI API reference, "Streaming"). */
import { finishReason } from './finish-reason.ts'
import { addRest, Gathered, Logprobs } from './gathered.ts'
import {
  indexOr,
  inOrder,
  isJson,
  member,
  objects,
  without,
  withShared,
  type AnswerCollector,
  type Json,
  type StreamEvent,
} from './stream-json.ts'

/** Text fields of a message that are streamed separately, in their usual order. */
const TEXTS = ['reasoning_content', 'reasoning', 'content', 'refusal'] as const
const FIRST = ['role', ...TEXTS, 'tool_calls'] as const

/** The events of a complete response; `undefined` for anything else. */
export function chatEvents(answer: Json): StreamEvent[] | undefined {
  const choices = member(answer, 'choices')
  if (!Array.isArray(choices)) return undefined
  const chunks: Json[] = []
  const push = (index: number, delta: Json, rest: Json = {}): void => {
    chunks.push({ choices: [{ index, delta, ...rest, finish_reason: null }] })
  }
  for (const [position, choice] of objects(choices).entries()) {
    const index = indexOr(choice['index'], position)
    const message = member(choice, 'message')
    const source: Json = isJson(message) ? message : {}
    push(index, { role: source['role'] ?? 'assistant', ...without(source, ...FIRST) })
    let logprobs: Json = isJson(choice['logprobs']) ? { logprobs: choice['logprobs'] } : {}
    for (const name of TEXTS) {
      const text = source[name]
      if (typeof text !== 'string') {
        // A list of parts is not standard, but must not be lost.
        if (text !== null && text !== undefined) push(index, { [name]: text })
        continue
      }
      push(index, { [name]: text }, name === 'content' ? logprobs : {})
      if (name === 'content') logprobs = {}
    }
    const calls = objects(source['tool_calls'])
    for (const [at, call] of calls.entries()) {
      push(index, { tool_calls: [{ ...call, index: at }] })
    }
    const end = {
      ...without(choice, 'message', 'logprobs', 'index'),
      index,
      delta: {},
      ...logprobs,
      finish_reason: finishReason(choice['finish_reason']) ?? (calls.length > 0 ? 'tool_calls' : 'stop'),
    }
    chunks.push({ choices: [end] })
  }
  const usage = answer['usage']
  if (isJson(usage)) chunks.push({ choices: [], usage })
  return [...withShared(chunks, answer, 'chat.completion.chunk'), { data: '[DONE]' }]
}

interface Choice {
  readonly message: Gathered
  readonly calls: Gathered[]
  /** The position in `calls` of the latest call with an index. */
  readonly places: Map<number, number>
  readonly logprobs: Logprobs
  finish: unknown
  readonly rest: Gathered
}

/** See {@link AnswerCollector}. */
export class ChatCollector implements AnswerCollector {
  readonly #base = new Gathered()
  #usage: unknown
  #came = false
  readonly #choices = new Map<number, Choice>()

  add(event: Json): void {
    const { choices } = event
    const usage = event['usage'] ?? member(event['x_groq'], 'usage')
    if (isJson(usage)) this.#usage = usage
    // A usage chunk may have no choices.
    if (!Array.isArray(choices)) return
    this.#came = true
    this.#base.keep(event, 'choices', 'usage', 'object')
    for (const [position, choice] of objects(choices).entries()) {
      this.#addChoice(indexOr(choice['index'], position), choice)
    }
  }

  #addChoice(index: number, piece: Json): void {
    const choice: Choice = this.#choices.get(index) ?? {
      message: new Gathered({ role: 'assistant', content: null }),
      calls: [],
      places: new Map(),
      logprobs: new Logprobs(),
      finish: null,
      rest: new Gathered(),
    }
    this.#choices.set(index, choice)
    const { delta } = piece
    if (isJson(delta)) addDelta(choice, delta)
    choice.logprobs.add(piece['logprobs'])
    choice.finish = finishReason(piece['finish_reason']) ?? choice.finish
    addRest(choice.rest, piece, 'delta', 'usage')
    if (isJson(piece['usage'])) this.#usage ??= piece['usage']
  }

  answer(truncated: boolean): Json | undefined {
    if (!this.#came) return undefined
    const choices = inOrder(this.#choices).map(([index, choice]) => {
      const { message, calls, finish, rest } = choice
      const logprobs = choice.logprobs.toJson()
      return {
        ...rest.toJson(),
        index,
        message: {
          ...message.toJson(),
          ...(calls.length === 0 ? {} : { tool_calls: calls.map((call) => call.toJson()) }),
        },
        ...(logprobs ? { logprobs } : {}),
        finish_reason:
          finishReason(finish, truncated) ??
          (truncated ? 'length' : calls.length > 0 ? 'tool_calls' : 'stop'),
      }
    })
    const usage = isJson(this.#usage) ? { usage: this.#usage } : {}
    return { ...this.#base.toJson(), object: 'chat.completion', choices, ...usage }
  }
}

function addDelta(choice: Choice, delta: Json): void {
  const { message } = choice
  for (const [name, value] of Object.entries(delta)) {
    if (name === 'tool_calls') {
      for (const [at, call] of objects(value).entries()) addCall(choice, at, call)
    } else if (name === 'role') {
      message.set(name, value ?? message.get(name))
    } else {
      message.join(name, value)
    }
  }
}

/** Some sellers give every complete call the index 0: a different id means a different call. */
function addCall(choice: Choice, position: number, piece: Json): void {
  const index = indexOr(piece['index'], position)
  const place = choice.places.get(index)
  const before = place === undefined ? undefined : choice.calls[place]
  const { id } = piece
  const known = before?.get('id')
  const isNew = typeof id === 'string' && id !== '' && known !== undefined && known !== id
  let call = before
  if (call === undefined || isNew) {
    call = new Gathered()
    choice.places.set(index, choice.calls.push(call) - 1)
  }
  for (const [name, value] of Object.entries(piece)) {
    if (name === 'index') continue
    if (isJson(value)) call.join(name, value)
    else if ((value !== null && value !== '') || call.get(name) === undefined) call.set(name, value)
  }
}
