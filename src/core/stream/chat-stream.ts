/** Chat completions: converts a JSON response to `chat.completion.chunk` events and back (OpenAI API reference, "Streaming"). */
import { finishReason } from './finish-reason.ts'
import type { ChoiceContent, ChoicesKind } from './choices-collector.ts'
import { Gathered, type Room } from './gathered.ts'
import {
  indexOr,
  isJson,
  member,
  objects,
  without,
  withShared,
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

/** Chat completions. */
export const CHAT_CHOICES: ChoicesKind = {
  object: 'chat.completion',
  dropped: ['object'],
  member: 'delta',
  noLogprobs: {},
  newContent: (room) => new ChatMessage(room),
}

/** The message of a choice, from its deltas. */
class ChatMessage implements ChoiceContent {
  readonly #room: Room
  readonly #message: Gathered
  readonly #calls: Gathered[] = []
  /** The position in `#calls` of the latest call with an index. */
  readonly #places = new Map<number, number>()

  constructor(room: Room) {
    this.#room = room
    this.#message = new Gathered(room, { role: 'assistant', content: null })
  }

  get finish(): string {
    return this.#calls.length > 0 ? 'tool_calls' : 'stop'
  }

  add({ delta }: Json): void {
    if (!isJson(delta)) return
    for (const [name, value] of Object.entries(delta)) {
      if (name === 'tool_calls') {
        for (const [at, call] of objects(value).entries()) this.#addCall(at, call)
      } else if (name === 'role') {
        this.#message.set(name, value ?? this.#message.get(name))
      } else {
        this.#message.join(name, value)
      }
    }
  }

  toJson(): Json {
    const calls = this.#calls.map((call) => call.toJson())
    return { message: { ...this.#message.toJson(), ...(calls.length === 0 ? {} : { tool_calls: calls }) } }
  }

  /** Some sellers give every complete call the index 0: a different id means a different call. */
  #addCall(position: number, piece: Json): void {
    const index = indexOr(piece['index'], position)
    const place = this.#places.get(index)
    const before = place === undefined ? undefined : this.#calls[place]
    const { id } = piece
    const known = before?.get('id')
    const isNew = typeof id === 'string' && id !== '' && known !== undefined && known !== id
    let call = before
    if (call === undefined || isNew) {
      if (!this.#room.take()) return
      call = new Gathered(this.#room)
      this.#places.set(index, this.#calls.push(call) - 1)
    }
    for (const [name, value] of Object.entries(piece)) {
      if (name === 'index') continue
      if (isJson(value)) call.join(name, value)
      else if ((value !== null && value !== '') || call.get(name) === undefined) call.set(name, value)
    }
  }
}
