/** How far a streamed answer of named events has come (Responses, Anthropic), and how it is ended when it breaks. */
import { AnthropicCollector, messageDelta } from './anthropic-stream.ts'
import { ResponsesCollector } from './responses-stream.ts'
import { errorIn, likelyErrorIn } from './error-signs.ts'
import { finishOf } from './finish-reason.ts'
import { isJson, LAST_EVENTS, member, parseJson, type Json, type StreamEvent } from './stream-json.ts'
import { readUsage, type Usage } from './usage.ts'
import type { StreamProgress, ReadEvent } from './stream-progress.ts'
import { brokenOff, type TruncationFallback } from './truncation.ts'

/**
 * So much of an answer is kept to end it well, bytes of its events; of a longer one it is only known what is open, and the
 * events that are added at the end contain only what came before.
 */
const MAX_KEPT_BYTES = 262_144

/** Events of Responses that only say that something begins. */
const BEGINNINGS: ReadonlySet<string> = new Set([
  'response.created',
  'response.queued',
  'response.in_progress',
  'response.output_item.added',
  'response.content_part.added',
  'response.reasoning_summary_part.added',
])

/** What both protocols share. */
abstract class EventProgress implements StreamProgress {
  #complete = false
  #hasContent = false
  #done = false
  #kept = 0
  #eventName: string | undefined

  protected abstract keep(event: Json): void
  protected abstract isContent(event: Json): boolean
  abstract readonly usage: Usage | undefined
  abstract truncatedEnd(fallback: TruncationFallback): StreamEvent[]
  abstract errorEnd(): StreamEvent[]

  get hasContent(): boolean {
    return this.#hasContent
  }

  get eventName(): string | undefined {
    return this.#eventName
  }

  get complete(): boolean {
    return this.#complete || this.#done
  }

  get mayBeComplete(): boolean {
    return this.complete
  }

  get ended(): boolean {
    return this.#complete || this.#done
  }

  /** Whether the last event itself came. */
  protected get stopCame(): boolean {
    return this.#complete
  }

  closing(): StreamEvent[] {
    return []
  }

  read(value: Buffer): ReadEvent {
    const text = value.toString('utf8')
    this.#eventName = undefined
    if (text.trim() === '[DONE]') {
      this.#done = true
      return 'whole'
    }
    const event = parseJson(text)
    if (!event) return 'partial'
    const { type } = event
    if (typeof type === 'string' && /^[a-z_.]+$/.test(type)) this.#eventName = type
    const error = typeof event['type'] === 'string' ? errorIn(event) : likelyErrorIn(event)
    if (error !== undefined) return { error }
    if (LAST_EVENTS.has(event['type'])) this.#complete = true
    this.#hasContent ||= this.isContent(event)
    this.#kept += value.length
    const kept = this.#kept <= MAX_KEPT_BYTES || this.#complete ? event : outlineOf(event)
    if (kept) this.keep(kept)
    return 'whole'
  }
}

/** OpenAI Responses. */
export class ResponsesProgress extends EventProgress {
  readonly #answer = new ResponsesCollector()
  #usage: Usage | undefined

  get usage(): Usage | undefined {
    return this.#usage
  }

  protected isContent({ type, delta }: Json): boolean {
    if (typeof type !== 'string' || !type.startsWith('response.')) return false
    return type.endsWith('.delta') ? delta !== '' : !BEGINNINGS.has(type)
  }

  protected keep(event: Json): void {
    this.#answer.add(event)
    this.#usage = readUsage(member(event['response'], 'usage')) ?? this.#usage
  }

  truncatedEnd({ requestId, model, nowMs }: TruncationFallback): StreamEvent[] {
    const events: StreamEvent[] = []
    let sequence = this.#answer.nextSequence
    const push = (type: string, data: Json): void => {
      events.push({ event: type, data: { type, sequence_number: sequence, ...data } })
      sequence += 1
    }
    const known = this.#answer.answer(true)
    const response: Json = known ?? {
      id: `resp_${requestId}`,
      object: 'response',
      created_at: Math.floor(nowMs / 1000),
      model,
      output: [],
      parallel_tool_calls: true,
      tool_choice: 'auto',
      tools: [],
    }
    if (!known) push('response.created', { response: { ...response, status: 'in_progress', usage: null } })
    for (const { index, item } of this.#answer.openItems()) {
      push('response.output_item.done', { output_index: index, item })
    }
    const { inputTokens = 0, outputTokens = 0 } = this.#usage ?? {}
    push('response.incomplete', {
      response: {
        ...response,
        status: 'incomplete',
        incomplete_details: { reason: 'max_output_tokens' },
        usage: {
          input_tokens: inputTokens,
          input_tokens_details: { cached_tokens: 0 },
          output_tokens: outputTokens,
          output_tokens_details: { reasoning_tokens: 0 },
          total_tokens: inputTokens + outputTokens,
          truncated: true,
        },
      },
    })
    return events
  }

  errorEnd(): StreamEvent[] {
    const { code, message } = brokenOff().toBody().error
    const data = { type: 'error', sequence_number: this.#answer.nextSequence, code, message, param: null }
    return [{ event: 'error', data }]
  }
}

/** Anthropic messages. */
export class AnthropicProgress extends EventProgress {
  readonly #answer = new AnthropicCollector()
  #stopped = false
  #mayBeStopped = false

  get usage(): Usage | undefined {
    const { usage } = this.#answer
    // Some sellers report the output alone.
    return (
      readUsage(usage) ?? ('output_tokens' in usage ? readUsage({ ...usage, input_tokens: 0 }) : undefined)
    )
  }

  override get complete(): boolean {
    return super.complete || this.#stopped
  }

  override get mayBeComplete(): boolean {
    return this.complete || this.#mayBeStopped
  }

  protected isContent(event: Json): boolean {
    const { type, delta } = event
    if (type === 'message_delta') return finishOf(member(delta, 'stop_reason')) === 'ends'
    // A message that the model ended at once.
    if (type === 'message_stop') return this.#answer.message !== undefined
    if (type === 'content_block_stop') return true
    if (type !== 'content_block_delta' || !isJson(delta)) return false
    return Object.entries(delta).some(([name, value]) => name !== 'type' && value !== '')
  }

  protected keep(event: Json): void {
    this.#answer.add(event)
    if (event['type'] !== 'message_delta') return
    const finish = finishOf(member(event['delta'], 'stop_reason'))
    if (finish === 'ends') this.#stopped = true
    this.#mayBeStopped ||= finish !== undefined
  }

  /** The answer is whole with its stop reason; clients wait for the last event. */
  override closing(): StreamEvent[] {
    return this.stopCame ? [] : [STOP]
  }

  truncatedEnd({ requestId, model }: TruncationFallback): StreamEvent[] {
    const message = {
      id: `msg_${requestId}`,
      type: 'message',
      role: 'assistant',
      model,
      content: [],
      stop_reason: null,
      stop_sequence: null,
      usage: { input_tokens: 0, output_tokens: 0 },
    }
    const start: StreamEvent[] = this.#answer.message
      ? []
      : [{ event: 'message_start', data: { type: 'message_start', message } }]
    const stops = this.#answer.openBlocks().map((index): StreamEvent => {
      return { event: 'content_block_stop', data: { type: 'content_block_stop', index } }
    })
    const usage = { output_tokens: this.usage?.outputTokens ?? 0, truncated: true }
    const delta = messageDelta('max_tokens', null, usage)
    return [...start, ...stops, { event: 'message_delta', data: delta }, STOP]
  }

  errorEnd(): StreamEvent[] {
    const { message } = brokenOff().toBody().error
    return [{ event: 'error', data: { type: 'error', error: { type: 'api_error', message } } }]
  }
}

const STOP: StreamEvent = { event: 'message_stop', data: { type: 'message_stop' } }

/** Of an event beyond what is kept: what begins or ends with it, and nothing that grows. */
function outlineOf(event: Json): Json | undefined {
  const { type, index, output_index, sequence_number, usage, delta } = event
  switch (type) {
    case 'content_block_start':
      return { type, index, content_block: { type: member(event['content_block'], 'type') } }
    case 'content_block_stop':
      return { type, index }
    case 'message_delta':
      return { type, delta, usage }
    case 'response.output_item.added':
    case 'response.output_item.done': {
      const item = event['item']
      const outline = { type: member(item, 'type'), id: member(item, 'id'), status: member(item, 'status') }
      return { type, output_index, sequence_number, item: outline }
    }
    default:
      return typeof sequence_number === 'number' ? { type: 'other', sequence_number } : undefined
  }
}
