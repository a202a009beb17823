/** Converts JSON responses to event streams and back, for every protocol that has both. */
import { anthropicEvents, AnthropicCollector } from './anthropic-stream.ts'
import { CHAT_CHOICES, chatEvents } from './chat-stream.ts'
import { ChoicesCollector } from './choices-collector.ts'
import { responsesEvents, ResponsesCollector } from './responses-stream.ts'
import {
  eventText,
  parseJson,
  type AnswerCollector,
  type AnswerKind,
  type Json,
  type StreamEvent,
} from './stream-json.ts'
import { TEXT_CHOICES, textEvents } from './text-stream.ts'

const EVENTS: Readonly<Record<AnswerKind, (answer: Json) => StreamEvent[] | undefined>> = {
  chat: chatEvents,
  text: textEvents,
  responses: responsesEvents,
  anthropic: anthropicEvents,
}

/**
 * The event stream that corresponds to a JSON response.
 * @returns `undefined` when the text is not a response of this kind
 */
export function streamOfJson(kind: AnswerKind, text: string): Buffer | undefined {
  const answer = parseJson(text)
  const events = answer && EVENTS[kind](answer)
  return events && Buffer.from(events.map(eventText).join(''))
}

/** A collector of the kind's events. */
export function collectorOf(kind: AnswerKind): AnswerCollector {
  switch (kind) {
    case 'chat':
      return new ChoicesCollector(CHAT_CHOICES)
    case 'text':
      return new ChoicesCollector(TEXT_CHOICES)
    case 'responses':
      return new ResponsesCollector()
    case 'anthropic':
      return new AnthropicCollector()
    default:
      return kind satisfies never
  }
}
