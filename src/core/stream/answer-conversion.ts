/** Converts JSON responses to event streams and back, for every protocol that has both. */
import { parseInSteps, TOO_MUCH } from '../json/json-parse.ts'
import { STEP_BYTES } from '../json/json-scan.ts'
import { writeInSteps } from '../json/json-write.ts'
import { anthropicEvents, AnthropicCollector } from './anthropic-stream.ts'
import { CHAT_CHOICES, chatEvents } from './chat-stream.ts'
import { ChoicesCollector } from './choices-collector.ts'
import { responsesEvents, ResponsesCollector } from './responses-stream.ts'
import {
  END_OF_EVENT,
  isJson,
  parseJson,
  startOfEvent,
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
  const steps = eventsInSteps(kind, Buffer.from(text))
  for (let step = steps.next(); ; step = steps.next()) {
    if (step.done === true) return step.value && Buffer.concat([...streamInSteps(step.value)])
  }
}

/** JSON values of the largest text that is converted: each costs far more than its bytes, and what is made of them is made in one go. */
export const MAX_CONVERTED_VALUES = 100_000

/**
 * The events of a JSON response, in steps with turns for everything else in between.
 * @returns `undefined` when the text is not a response of this kind
 */
export function* eventsInSteps(
  kind: AnswerKind,
  body: Uint8Array,
): Generator<void, readonly StreamEvent[] | undefined, undefined> {
  const answer = yield* jsonInSteps(body)
  yield
  return isJson(answer) ? EVENTS[kind](answer) : undefined
}

/**
 * The object of a text.
 * @returns `undefined` for anything else, {@link TOO_MUCH} for one with more than {@link MAX_CONVERTED_VALUES}
 */
export function* jsonInSteps(
  text: Uint8Array,
): Generator<void, Json | typeof TOO_MUCH | undefined, undefined> {
  if (text.length <= STEP_BYTES) return parseJson(Buffer.from(text).toString('utf8'))
  const value = yield* parseInSteps(text, MAX_CONVERTED_VALUES)
  return value === TOO_MUCH || isJson(value) ? value : undefined
}

/** The bytes of events, about 64 kB at a time. */
export function* streamInSteps(events: readonly StreamEvent[]): Generator<Buffer, void, undefined> {
  let held = ''
  for (const { event, data } of events) {
    held += startOfEvent(event)
    for (const piece of data === '[DONE]' ? [data] : writeInSteps(data)) {
      held += piece
      if (held.length < STEP_BYTES) continue
      yield Buffer.from(held)
      held = ''
    }
    held += END_OF_EVENT
  }
  yield Buffer.from(held)
}

/** The bytes of a JSON answer, about 64 kB at a time. */
export function* answerInSteps(answer: Json): Generator<Buffer, void, undefined> {
  for (const piece of writeInSteps(answer)) yield Buffer.from(piece)
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
