/** OpenAI Responses: converts a JSON response to events and back (OpenAI API reference, "Streaming events"). */
import { Gathered, Room } from './gathered.ts'
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

type Push = (type: string, data: Json) => void

/** The events of a complete response; `undefined` for anything else. */
export function responsesEvents(answer: Json): StreamEvent[] | undefined {
  const output = member(answer, 'output')
  if (!Array.isArray(output)) return undefined
  const events: StreamEvent[] = []
  const push: Push = (type, data) => {
    events.push({ event: type, data: { type, sequence_number: events.length, ...data } })
  }
  const begun = { ...without(answer, 'completed_at'), status: 'in_progress', output: [], usage: null }
  push('response.created', { response: begun })
  push('response.in_progress', { response: begun })
  for (const [index, item] of objects(output).entries()) pushItem(push, index, item)
  const { status } = answer
  const last = status === 'incomplete' || status === 'failed' ? status : 'completed'
  push(`response.${last}`, { response: answer })
  return events
}

function pushItem(push: Push, index: number, item: Json): void {
  const at = { output_index: index, item_id: item['id'] }
  const empty = {
    ...item,
    ...('status' in item ? { status: 'in_progress' } : {}),
    ...(Array.isArray(item['content']) ? { content: [] } : {}),
    ...(Array.isArray(item['summary']) ? { summary: [] } : {}),
    ...(typeof item['arguments'] === 'string' ? { arguments: '' } : {}),
    ...(typeof item['input'] === 'string' ? { input: '' } : {}),
  }
  push('response.output_item.added', { output_index: index, item: empty })
  for (const [place, part] of objects(item['summary']).entries()) {
    const here = { ...at, summary_index: place }
    const { text } = part
    push('response.reasoning_summary_part.added', { ...here, part: { ...part, text: '' } })
    push('response.reasoning_summary_text.delta', { ...here, delta: text })
    push('response.reasoning_summary_text.done', { ...here, text })
    push('response.reasoning_summary_part.done', { ...here, part })
  }
  for (const [place, part] of objects(item['content']).entries()) {
    pushPart(push, { ...at, content_index: place }, part)
  }
  for (const [field, name] of ARGUMENTS) {
    const text = item[field]
    if (typeof text !== 'string') continue
    push(`response.${name}.delta`, { ...at, delta: text })
    push(`response.${name}.done`, {
      ...at,
      ...(field === 'arguments' ? { name: item['name'] } : {}),
      [field]: text,
    })
  }
  push('response.output_item.done', { output_index: index, item })
}

/** Fields of calls that are streamed in parts, and the events that carry them. */
const ARGUMENTS = [
  ['arguments', 'function_call_arguments'],
  ['input', 'custom_tool_call_input'],
] as const

function pushPart(push: Push, here: Json, part: Json): void {
  const { type, text, refusal } = part
  const empty = type === 'refusal' ? { ...part, refusal: '' } : { ...part, text: '' }
  push('response.content_part.added', {
    ...here,
    part: Array.isArray(part['annotations']) ? { ...empty, annotations: [] } : empty,
  })
  if (type === 'refusal') {
    push('response.refusal.delta', { ...here, delta: refusal })
    push('response.refusal.done', { ...here, refusal })
  } else if (type === 'reasoning_text') {
    push('response.reasoning_text.delta', { ...here, delta: text })
    push('response.reasoning_text.done', { ...here, text })
  } else if (typeof text === 'string') {
    push('response.output_text.delta', { ...here, delta: text, logprobs: [] })
    for (const [place, annotation] of objects(part['annotations']).entries()) {
      push('response.output_text.annotation.added', { ...here, annotation_index: place, annotation })
    }
    push('response.output_text.done', { ...here, text, logprobs: part['logprobs'] ?? [] })
  }
  push('response.content_part.done', { ...here, part })
}

interface Item {
  item: Json
  open: boolean
  readonly content: Map<number, Gathered>
  readonly summary: Map<number, Gathered>
  /** Annotations and log probabilities of the parts, which come one event each. */
  readonly lists: Map<number, Record<string, unknown[]>>
}

/** See {@link AnswerCollector}. */
export class ResponsesCollector implements AnswerCollector {
  #response: Json | undefined
  #isWhole = false
  #nextSequence = 0
  readonly #items = new Map<number, Item>()
  readonly #room = new Room()

  /** The sequence number of the next event. */
  get nextSequence(): number {
    return this.#nextSequence
  }

  add(event: Json): void {
    const { type, sequence_number: sequence } = event
    if (typeof type !== 'string') return
    if (typeof sequence === 'number' && Number.isSafeInteger(sequence)) this.#nextSequence = sequence + 1
    if (isJson(event['response'])) {
      this.#response = event['response']
      this.#isWhole = WHOLE.has(type)
      return
    }
    const index = indexOr(event['output_index'], 0)
    if (type === 'response.output_item.added' || type === 'response.output_item.done') {
      if (!isJson(event['item'])) return
      const { item } = event
      const open = type.endsWith('added')
      this.#items.set(index, { item, open, content: new Map(), summary: new Map(), lists: new Map() })
      return
    }
    const item = this.#items.get(index)
    if (item) addToItem(item, type, event, this.#room)
  }

  /** Unfinished messages as received so far. Calls are left out: an incomplete call must not be executed. */
  openItems(): { readonly index: number; readonly item: Json }[] {
    return inOrder(this.#items).flatMap(([index, item]) =>
      item.open && !isCall(item.item) ? [{ index, item: itemSoFar(item) }] : [],
    )
  }

  get isFull(): boolean {
    return this.#room.isFull
  }

  answer(truncated: boolean): Json | undefined {
    if (!this.#response) return undefined
    if (this.#isWhole) {
      // Some sellers omit the output from the last event.
      const output = this.#response['output']
      if (Array.isArray(output) && output.length > 0) return this.#response
    }
    const output = inOrder(this.#items).flatMap(([, item]) =>
      item.open && isCall(item.item) ? [] : [itemSoFar(item)],
    )
    if (this.#isWhole) return { ...this.#response, output }
    const end = truncated
      ? { status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } }
      : { status: 'completed' }
    return { ...this.#response, ...end, output }
  }
}

const WHOLE: ReadonlySet<string> = new Set([
  'response.completed',
  'response.incomplete',
  'response.failed',
  'response.cancelled',
])

function isCall(item: Json): boolean {
  return item['type'] !== 'message' && item['type'] !== 'reasoning'
}

function itemSoFar({ item, open, content, summary, lists }: Item): Json {
  if (!open) return item
  return {
    ...item,
    ...('status' in item ? { status: 'incomplete' } : {}),
    ...(content.size > 0
      ? { content: inOrder(content).map(([at, part]) => ({ ...part.toJson(), ...lists.get(at) })) }
      : {}),
    ...(summary.size > 0 ? { summary: inOrder(summary).map(([, part]) => part.toJson()) } : {}),
  }
}

function addToItem(into: Item, type: string, event: Json, room: Room): void {
  const inSummary = type.startsWith('response.reasoning_summary_')
  const list = inSummary ? into.summary : into.content
  const at = indexOr(event[inSummary ? 'summary_index' : 'content_index'], 0)
  if (type.endsWith('_part.added') || type.endsWith('_part.done')) {
    if (isJson(event['part'])) list.set(at, new Gathered(room, event['part']))
    // The part that is done has its lists whole.
    if (!inSummary) into.lists.delete(at)
    return
  }
  const field = DELTAS.get(type)
  const part = list.get(at)
  if (field !== undefined) part?.join(field, event['delta'])
  if (type === 'response.output_text.annotation.added') addTo(into, at, 'annotations', [event['annotation']])
  if (type === 'response.output_text.delta') addTo(into, at, 'logprobs', event['logprobs'])
}

function addTo({ content, lists }: Item, at: number, name: string, values: unknown): void {
  if (!Array.isArray(values) || values.length === 0 || !content.has(at)) return
  const own = lists.get(at) ?? {}
  lists.set(at, own)
  const list = (own[name] ??= [])
  for (const value of values) list.push(value)
}

const DELTAS: ReadonlyMap<string, 'text' | 'refusal'> = new Map([
  ['response.output_text.delta', 'text'],
  ['response.refusal.delta', 'refusal'],
  ['response.reasoning_text.delta', 'text'],
  ['response.reasoning_summary_text.delta', 'text'],
])
