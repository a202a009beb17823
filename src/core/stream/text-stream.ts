/** Text completions: converts a JSON response to `text_completion` events and back. */
import { finishReason } from './finish-reason.ts'
import { addRest, Gathered, Logprobs } from './gathered.ts'
import {
  indexOr,
  inOrder,
  isJson,
  member,
  objects,
  withShared,
  type AnswerCollector,
  type Json,
  type StreamEvent,
} from './stream-json.ts'

/** The events of a complete response; `undefined` for anything else. */
export function textEvents(answer: Json): StreamEvent[] | undefined {
  const choices = member(answer, 'choices')
  if (!Array.isArray(choices)) return undefined
  const chunks = objects(choices).flatMap((choice, position): Json[] => {
    const index = indexOr(choice['index'], position)
    const end = {
      ...choice,
      index,
      text: '',
      logprobs: null,
      finish_reason: finishReason(choice['finish_reason']) ?? 'stop',
    }
    return [{ choices: [{ ...choice, index, finish_reason: null }] }, { choices: [end] }]
  })
  const usage = answer['usage']
  if (isJson(usage)) chunks.push({ choices: [], usage })
  return [...withShared(chunks, answer, 'text_completion'), { data: '[DONE]' }]
}

interface Choice {
  text: string
  readonly logprobs: Logprobs
  finish: unknown
  readonly rest: Gathered
}

/** See {@link AnswerCollector}. */
export class TextCollector implements AnswerCollector {
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
    this.#base.keep(event, 'choices', 'usage')
    for (const [position, piece] of objects(choices).entries()) {
      this.#addChoice(indexOr(piece['index'], position), piece)
    }
  }

  #addChoice(index: number, piece: Json): void {
    const choice: Choice = this.#choices.get(index) ?? {
      text: '',
      logprobs: new Logprobs(),
      finish: undefined,
      rest: new Gathered(),
    }
    this.#choices.set(index, choice)
    if (typeof piece['text'] === 'string') choice.text += piece['text']
    choice.logprobs.add(piece['logprobs'])
    choice.finish = finishReason(piece['finish_reason']) ?? choice.finish
    addRest(choice.rest, piece, 'text', 'usage')
    if (isJson(piece['usage'])) this.#usage ??= piece['usage']
  }

  answer(truncated: boolean): Json | undefined {
    if (!this.#came) return undefined
    const choices = inOrder(this.#choices).map(([index, choice]) => ({
      ...choice.rest.toJson(),
      index,
      text: choice.text,
      logprobs: choice.logprobs.toJson() ?? null,
      finish_reason: finishReason(choice.finish, truncated) ?? (truncated ? 'length' : 'stop'),
    }))
    const usage = isJson(this.#usage) ? { usage: this.#usage } : {}
    return { ...this.#base.toJson(), object: 'text_completion', choices, ...usage }
  }
}
