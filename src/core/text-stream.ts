/** Text completions: a JSON answer as `text_completion` events and back. */
import { joinedLogprobs } from './chat-stream.ts'
import {
  indexOr,
  inOrder,
  isJson,
  member,
  objects,
  without,
  type AnswerCollector,
  type Json,
  type StreamEvent,
} from './stream-json.ts'

/** The events of a whole answer; `undefined` when it is none. */
export function textEvents(answer: Json): StreamEvent[] | undefined {
  const choices = member(answer, 'choices')
  if (!Array.isArray(choices)) return undefined
  const base = { ...without(answer, 'choices', 'usage'), object: 'text_completion' }
  const events = objects(choices).flatMap((choice, position): StreamEvent[] => {
    const index = indexOr(choice['index'], position)
    const end = {
      ...choice,
      index,
      text: '',
      logprobs: null,
      finish_reason: choice['finish_reason'] ?? 'stop',
    }
    return [
      { data: { ...base, choices: [{ ...choice, index, finish_reason: null }] } },
      { data: { ...base, choices: [end] } },
    ]
  })
  const usage = answer['usage']
  if (isJson(usage)) events.push({ data: { ...base, choices: [], usage } })
  return [...events, { data: '[DONE]' }]
}

interface Choice {
  text: string
  logprobs: unknown
  finish: unknown
  rest: Json
}

/** See {@link AnswerCollector}. */
export class TextCollector implements AnswerCollector {
  #base: Json = {}
  #usage: unknown
  #came = false
  readonly #choices = new Map<number, Choice>()

  add(event: Json): void {
    const choices = event['choices']
    if (!Array.isArray(choices)) return
    this.#came = true
    this.#base = { ...this.#base, ...without(event, 'choices', 'usage') }
    if (isJson(event['usage'])) this.#usage = event['usage']
    for (const [position, told] of objects(choices).entries()) {
      const index = indexOr(told['index'], position)
      const before = this.#choices.get(index)
      this.#choices.set(index, {
        text: (before?.text ?? '') + (typeof told['text'] === 'string' ? told['text'] : ''),
        logprobs: joinedLogprobs(before?.logprobs, told['logprobs']),
        finish: told['finish_reason'] ?? before?.finish,
        rest: { ...before?.rest, ...without(told, 'index', 'text', 'logprobs', 'finish_reason') },
      })
    }
  }

  answer(truncated: boolean): Json | undefined {
    if (!this.#came) return undefined
    const choices = inOrder(this.#choices).map(([index, { text, logprobs, finish, rest }]) => ({
      ...rest,
      index,
      text,
      logprobs,
      finish_reason: finish ?? (truncated ? 'length' : 'stop'),
    }))
    const usage = isJson(this.#usage) ? { usage: this.#usage } : {}
    return { ...this.#base, object: 'text_completion', choices, ...usage }
  }
}
