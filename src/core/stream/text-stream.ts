/** Text completions: converts a JSON response to `text_completion` events and back. */
import type { ChoiceContent, ChoicesKind } from './choices-collector.ts'
import { finishReason } from './finish-reason.ts'
import { indexOr, isJson, member, objects, withShared, type Json, type StreamEvent } from './stream-json.ts'

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

/** Text completions. */
export const TEXT_CHOICES: ChoicesKind = {
  object: 'text_completion',
  dropped: [],
  member: 'text',
  noLogprobs: { logprobs: null },
  newContent: () => new CompletionText(),
}

/** The text of a choice, from its pieces. */
class CompletionText implements ChoiceContent {
  readonly finish = 'stop'
  #text = ''

  add({ text }: Json): void {
    if (typeof text === 'string') this.#text += text
  }

  toJson(): Json {
    return { text: this.#text }
  }
}
