/** Chat completions: a JSON answer as `chat.completion.chunk` events and back (OpenAI API reference, "Streaming"). */
import {
  indexOr,
  inOrder,
  isJson,
  joined,
  member,
  objects,
  without,
  type AnswerCollector,
  type Json,
  type StreamEvent,
} from './stream-json.ts'

/** Fields of a message that come as texts of their own, in the order people expect them. */
const TEXTS = ['reasoning_content', 'reasoning', 'content', 'refusal'] as const
const FIRST = ['role', ...TEXTS, 'tool_calls'] as const

/** The events of a whole answer; `undefined` when it is none. */
export function chatEvents(answer: Json): StreamEvent[] | undefined {
  const choices = member(answer, 'choices')
  if (!Array.isArray(choices)) return undefined
  const base = { ...without(answer, 'choices', 'usage'), object: 'chat.completion.chunk' }
  const events: StreamEvent[] = []
  const push = (index: number, delta: Json, rest: Json = {}): void => {
    events.push({ data: { ...base, choices: [{ index, delta, ...rest, finish_reason: null }] } })
  }
  for (const [position, choice] of objects(choices).entries()) {
    const index = indexOr(choice['index'], position)
    const message = member(choice, 'message')
    const told: Json = isJson(message) ? message : {}
    push(index, { role: told['role'] ?? 'assistant', ...without(told, ...FIRST) })
    let logprobs: Json = isJson(choice['logprobs']) ? { logprobs: choice['logprobs'] } : {}
    for (const name of TEXTS) {
      const text = told[name]
      if (typeof text !== 'string') {
        // A list of parts is no standard, and must not be lost.
        if (text !== null && text !== undefined) push(index, { [name]: text })
        continue
      }
      push(index, { [name]: text }, name === 'content' ? logprobs : {})
      if (name === 'content') logprobs = {}
    }
    for (const [at, call] of objects(told['tool_calls']).entries()) {
      push(index, { tool_calls: [{ ...call, index: at }] })
    }
    const end = {
      ...without(choice, 'message', 'logprobs', 'index'),
      index,
      delta: {},
      ...logprobs,
      finish_reason: choice['finish_reason'] ?? 'stop',
    }
    events.push({ data: { ...base, choices: [end] } })
  }
  const usage = answer['usage']
  if (isJson(usage)) events.push({ data: { ...base, choices: [], usage } })
  events.push({ data: '[DONE]' })
  return events
}

interface Choice {
  message: Json
  readonly calls: Json[]
  /** The place in `calls` of the newest call with an index. */
  readonly places: Map<number, number>
  logprobs: unknown
  finish: unknown
  rest: Json
}

/** See {@link AnswerCollector}. */
export class ChatCollector implements AnswerCollector {
  #base: Json = {}
  #usage: unknown
  #came = false
  readonly #choices = new Map<number, Choice>()

  add(event: Json): void {
    const choices = event['choices']
    if (!Array.isArray(choices)) return
    this.#came = true
    this.#base = { ...this.#base, ...without(event, 'choices', 'usage', 'object') }
    if (isJson(event['usage'])) this.#usage = event['usage']
    for (const [position, choice] of objects(choices).entries()) {
      this.#addChoice(indexOr(choice['index'], position), choice)
    }
  }

  #addChoice(index: number, told: Json): void {
    const choice: Choice = this.#choices.get(index) ?? {
      message: { role: 'assistant', content: null },
      calls: [],
      places: new Map(),
      logprobs: null,
      finish: null,
      rest: {},
    }
    this.#choices.set(index, choice)
    const { delta } = told
    if (isJson(delta)) {
      for (const [name, value] of Object.entries(delta)) {
        if (name === 'tool_calls')
          for (const [at, call] of objects(value).entries()) addCall(choice, at, call)
        else choice.message = withMember(choice.message, name, value)
      }
    }
    choice.logprobs = joinedLogprobs(choice.logprobs, told['logprobs'])
    choice.finish = told['finish_reason'] ?? choice.finish
    choice.rest = { ...choice.rest, ...without(told, 'index', 'delta', 'logprobs', 'finish_reason', 'usage') }
    if (isJson(told['usage'])) this.#usage ??= told['usage']
  }

  answer(truncated: boolean): Json | undefined {
    if (!this.#came) return undefined
    const choices = inOrder(this.#choices).map(([index, { message, calls, logprobs, finish, rest }]) => ({
      ...rest,
      index,
      message: { ...message, ...(calls.length === 0 ? {} : { tool_calls: calls }) },
      ...(logprobs === null ? {} : { logprobs }),
      finish_reason: finish ?? (truncated ? 'length' : calls.length > 0 ? 'tool_calls' : 'stop'),
    }))
    const usage = isJson(this.#usage) ? { usage: this.#usage } : {}
    return { ...this.#base, object: 'chat.completion', choices, ...usage }
  }
}

/** Some sellers give every whole call the index 0: another id is another call. */
function addCall(choice: Choice, position: number, told: Json): void {
  const index = indexOr(told['index'], position)
  const place = choice.places.get(index)
  const before = place === undefined ? undefined : choice.calls[place]
  const { id } = told
  const isNew = typeof id === 'string' && id !== '' && before?.['id'] !== undefined && before['id'] !== id
  const piece = without(told, 'index')
  if (place === undefined || before === undefined || isNew) {
    choice.places.set(index, choice.calls.push(piece) - 1)
    return
  }
  choice.calls[place] = {
    ...before,
    ...Object.fromEntries(
      Object.entries(piece).filter(([, value]) => value !== null && value !== '' && !isJson(value)),
    ),
    ...Object.fromEntries(
      Object.entries(piece)
        .filter(([, value]) => isJson(value))
        .map(([name, value]) => [name, joinedFields(before[name], value)]),
    ),
  }
}

/** `function: { name, arguments }`: the name comes once (some repeat it), the arguments in parts. */
function joinedFields(before: unknown, after: unknown): unknown {
  if (!isJson(before) || !isJson(after)) return after
  const entries = Object.entries(after).map(([name, value]): [string, unknown] => [
    name,
    name === 'name' && before[name] === value ? value : joined(before[name], value),
  ])
  const merged: Json = Object.fromEntries<unknown>(entries)
  return { ...before, ...merged }
}

function withMember(message: Json, name: string, value: unknown): Json {
  const before = member(message, name)
  if (name === 'role') return { ...message, role: value ?? before }
  if (name === 'function_call') return { ...message, function_call: joinedFields(before, value) }
  return { ...message, ...Object.fromEntries([[name, joined(before, value)]]) }
}

/** Lists of both sides, name by name. */
export function joinedLogprobs(before: unknown, after: unknown): unknown {
  if (!isJson(after)) return before ?? null
  if (!isJson(before)) return after
  const entries = Object.entries(after).map(([name, value]): [string, unknown] => [
    name,
    joined(before[name], value),
  ])
  const merged: Json = Object.fromEntries<unknown>(entries)
  return { ...before, ...merged }
}
