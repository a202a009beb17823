/** Anthropic messages: converts a JSON response to events and back (Anthropic API, "Streaming messages"). */
import { parseInSteps } from '../json/json-parse.ts'
import { STEP_BYTES } from '../json/json-scan.ts'
import { EmbeddedJson } from '../json/json-write.ts'
import { finishReason } from './finish-reason.ts'
import { Gathered, Room } from './gathered.ts'
import {
  indexOr,
  inOrder,
  isJson,
  member,
  objects,
  parseJson,
  without,
  type AnswerCollector,
  type Json,
  type StreamEvent,
} from './stream-json.ts'

/** The events of a complete message; `undefined` for anything else. */
export function anthropicEvents(answer: Json): StreamEvent[] | undefined {
  const content = member(answer, 'content')
  if (!Array.isArray(content)) return undefined
  const usage: Json = isJson(answer['usage']) ? answer['usage'] : {}
  const events: StreamEvent[] = []
  const push = (data: Json & { readonly type: string }): void => {
    events.push({ event: data.type, data })
  }
  push({
    type: 'message_start',
    message: {
      ...without(answer, 'content', 'stop_reason', 'stop_sequence', 'usage'),
      content: [],
      stop_reason: null,
      stop_sequence: null,
      // Counters start at zero; the totals come with the last event.
      usage: { ...without(usage, 'cost'), output_tokens: 0 },
    },
  })
  for (const [index, block] of objects(content).entries()) {
    const [start, deltas] = blockEvents(block)
    push({ type: 'content_block_start', index, content_block: start })
    for (const delta of deltas) push({ type: 'content_block_delta', index, delta })
    push({ type: 'content_block_stop', index })
  }
  push(
    messageDelta(finishReason(answer['stop_reason']) ?? 'end_turn', answer['stop_sequence'] ?? null, {
      output_tokens: 0,
      ...usage,
    }),
  )
  push({ type: 'message_stop' })
  return events
}

/** The last event but one: why the message ended, and what was used. */
export function messageDelta(
  reason: unknown,
  sequence: unknown,
  usage: Json,
): Json & { readonly type: 'message_delta' } {
  return { type: 'message_delta', delta: { stop_reason: reason, stop_sequence: sequence }, usage }
}

function blockEvents(block: Json): [Json, Json[]] {
  switch (block['type']) {
    case 'text': {
      const citations = objects(block['citations']).map((citation) => ({ type: 'citations_delta', citation }))
      const start = { ...block, text: '', ...(citations.length > 0 ? { citations: [] } : {}) }
      return [start, [{ type: 'text_delta', text: block['text'] ?? '' }, ...citations]]
    }
    case 'thinking': {
      const { thinking, signature } = block
      const signed = signature === undefined ? [] : [{ type: 'signature_delta', signature }]
      return [
        { ...block, thinking: '', signature: '' },
        [{ type: 'thinking_delta', thinking: thinking ?? '' }, ...signed],
      ]
    }
    case 'tool_use':
    case 'server_tool_use':
      return [
        { ...block, input: {} },
        [{ type: 'input_json_delta', partial_json: new EmbeddedJson(block['input'] ?? {}) }],
      ]
    default:
      return [block, []]
  }
}

interface Block {
  readonly block: Gathered
  json: string
  open: boolean
}

/** The first position of blocks without an index: no response has this many blocks. */
const LAST_INDEX = 9_999

/** See {@link AnswerCollector}. */
export class AnthropicCollector implements AnswerCollector {
  #message: Json | undefined
  readonly #room = new Room()
  readonly #end = new Gathered(this.#room)
  readonly #usage = new Gathered(this.#room)
  readonly #blocks = new Map<number, Block>()

  add(event: Json): void {
    const index = indexOr(event['index'], Math.min(this.#blocks.size, LAST_INDEX))
    switch (event['type']) {
      case 'message_start':
        if (!isJson(event['message'])) return
        this.#message = event['message']
        this.#noteUsage(event['message']['usage'])
        return
      case 'content_block_start':
        if (!isJson(event['content_block'])) return
        this.#blocks.set(index, { block: blockOf(event['content_block'], this.#room), json: '', open: true })
        return
      case 'content_block_delta':
        addDelta(this.#blocks.get(index), event['delta'])
        return
      case 'content_block_stop': {
        const block = this.#blocks.get(index)
        if (block) block.open = false
        return
      }
      case 'message_delta':
        if (isJson(event['delta'])) this.#end.put(event['delta'])
        this.#noteUsage(event['usage'])
        return
      default:
    }
  }

  #noteUsage(usage: unknown): void {
    if (isJson(usage)) this.#usage.put(usage)
  }

  /** The message as reported by the first event. */
  get message(): Json | undefined {
    return this.#message
  }

  /** The reported token usage. */
  get usage(): Json {
    return this.#usage.toJson()
  }

  /** Indexes of the blocks that have started and not stopped. */
  openBlocks(): number[] {
    return inOrder(this.#blocks).flatMap(([index, { open }]) => (open ? [index] : []))
  }

  get isFull(): boolean {
    return this.#room.isFull
  }

  answer(truncated: boolean): Json | undefined {
    const steps = this.answerInSteps(truncated)
    for (let step = steps.next(); ; step = steps.next()) if (step.done === true) return step.value
  }

  *answerInSteps(truncated: boolean): Generator<void, Json | undefined, undefined> {
    if (!this.#message) return undefined
    const content: Json[] = []
    for (const [, { block: gathered, json, open }] of inOrder(this.#blocks)) {
      const block = gathered.toJson()
      if (!isTool(block) || (json === '' && !open)) {
        content.push(block)
        continue
      }
      const input = open ? undefined : yield* inputOf(json)
      // A tool called with incomplete input would do something unintended.
      if (input !== undefined) content.push({ ...block, input })
    }
    const reason = finishReason(this.#end.get('stop_reason'), truncated)
    return {
      ...this.#message,
      content,
      stop_reason: reason ?? (truncated ? 'max_tokens' : 'end_turn'),
      stop_sequence: this.#end.get('stop_sequence') ?? null,
      usage: this.usage,
    }
  }
}

function* inputOf(json: string): Generator<void, Json | undefined, undefined> {
  if (json.length <= STEP_BYTES) return parseJson(json)
  const input = yield* parseInSteps(Buffer.from(json), Infinity)
  return isJson(input) ? input : undefined
}

function isTool(block: Json): boolean {
  return block['type'] === 'tool_use' || block['type'] === 'server_tool_use'
}

/** Lists in it continue with later events. */
function blockOf(source: Json, room: Room): Gathered {
  const block = new Gathered(room)
  block.joinAll(source)
  return block
}

function addDelta(into: Block | undefined, delta: unknown): void {
  if (!into || !isJson(delta)) return
  const { block } = into
  switch (delta['type']) {
    case 'text_delta':
      return block.join('text', delta['text'])
    case 'thinking_delta':
      return block.join('thinking', delta['thinking'])
    case 'signature_delta':
      return block.set('signature', delta['signature'])
    case 'citations_delta':
      return block.join('citations', [delta['citation']])
    case 'input_json_delta':
      if (typeof delta['partial_json'] === 'string') into.json += delta['partial_json']
      return
    default:
  }
}
