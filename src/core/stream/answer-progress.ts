/** How far a streamed answer of chunks has come (chat and text completions), read from its events without changing them. */
import { scanTopLevel } from '../json/json-scan.ts'
import { isFilledChoice } from './answer-check.ts'
import { ERROR_MEMBERS, errorIn, isNothing, likelyErrorIn } from './error-signs.ts'
import { finishOf } from './finish-reason.ts'
import { isJson, LAST_EVENTS, objects, type Json, type StreamEvent } from './stream-json.ts'
import { readUsage, USAGE_MEMBERS, usageIn, type Usage } from './usage.ts'
import type { StreamProgress, ReadEvent } from './stream-progress.ts'
import { brokenOff, type TruncationFallback } from './truncation.ts'
import { property } from '../property.ts'

/** What the last chunks said about themselves; a chunk that Tollway adds repeats it. */
interface ChunkIdentity {
  readonly id: string | undefined
  readonly model: string | undefined
  /** Unix seconds. */
  readonly created: number | undefined
}

const DONE = '[DONE]'
const DONE_EVENT: StreamEvent = { data: DONE }

/** Reads the `data` of one event after another. */
export class AnswerProgress implements StreamProgress {
  readonly #shape: 'chat' | 'text' | 'other'
  readonly #tellsUsage: boolean
  #identity: ChunkIdentity = { id: undefined, model: undefined, created: undefined }
  readonly #seen = new Set<number>()
  readonly #finished = new Set<number>()
  /** Choices whose last chunk has a reason that is not known. */
  readonly #ending = new Set<number>()
  #hasContent = false
  #done = false
  #usage: Usage | undefined
  #inputTokens: unknown
  /** What a choice says of its failure: stock clients send a request again after `finish_reason: "error"`, as after any error. */
  #failed: string | undefined
  readonly eventName = undefined

  /**
   * @param shape whose chunks are added where some are missing
   * @param tellsUsage whether the client asked for a usage chunk
   */
  constructor(shape: 'chat' | 'text' | 'other', tellsUsage = false) {
    this.#shape = shape
    this.#tellsUsage = tellsUsage
  }

  get hasContent(): boolean {
    return this.#hasContent || this.#finished.size > 0 || (this.#done && this.#ending.size > 0)
  }

  get mayBeComplete(): boolean {
    if (this.complete) return true
    const open = this.#openChoices()
    return this.#seen.size > 0 && open.every((index) => this.#ending.has(index))
  }

  get ended(): boolean {
    return this.#done
  }

  /** Whether the answer is whole: `[DONE]` came, or every choice seen has its `finish_reason`. */
  get complete(): boolean {
    return this.#done || (this.#finished.size > 0 && this.#openChoices().length === 0)
  }

  /** The reported token counts. */
  get usage(): Usage | undefined {
    return this.#usage
  }

  closing(): StreamEvent[] {
    return this.#done ? [] : [DONE_EVENT]
  }

  /** A chunk with `finish_reason: "length"` for each choice that has not finished, the usage if asked for, then `[DONE]`. */
  truncatedEnd({ requestId, model, nowMs }: TruncationFallback): StreamEvent[] {
    const known = this.#identity
    const open = this.#openChoices()
    // Clients need the id and model even of an answer that never began.
    const delta = this.#seen.size === 0 ? { role: 'assistant', content: '' } : {}
    const isChat = this.#shape === 'chat'
    const rest = isChat ? { delta } : { text: '', logprobs: null }
    const base = {
      id: known.id ?? `${isChat ? 'chatcmpl' : 'cmpl'}-${requestId}`,
      object: isChat ? 'chat.completion.chunk' : 'text_completion',
      created: known.created ?? Math.floor(nowMs / 1000),
      model: known.model ?? model,
    }
    const choices = (open.length === 0 ? [0] : open).map((index) => ({
      index,
      ...rest,
      finish_reason: 'length',
    }))
    const { inputTokens = 0, outputTokens = 0 } = this.#usage ?? {}
    const usage = {
      prompt_tokens: inputTokens,
      completion_tokens: outputTokens,
      total_tokens: inputTokens + outputTokens,
      truncated: true,
    }
    const last: StreamEvent[] = this.#tellsUsage ? [{ data: { ...base, choices: [], usage } }] : []
    return [{ data: { ...base, choices } }, ...last, DONE_EVENT]
  }

  /** No `[DONE]` follows it, as OpenAI does. */
  errorEnd(): StreamEvent[] {
    return [{ data: { ...brokenOff().toBody() } }]
  }

  /** Indexes of the choices that have begun and not finished. */
  #openChoices(): number[] {
    return [...this.#seen].filter((index) => !this.#finished.has(index)).toSorted((a, b) => a - b)
  }

  read(value: Buffer): ReadEvent {
    if (value.length < 16 && value.toString('latin1').trim() === DONE) {
      this.#done = true
      return 'whole'
    }
    const members = scanTopLevel(value)
    if (!members) {
      this.#hasContent ||= this.#shape === 'other'
      return 'partial'
    }
    const given: Record<string, unknown> = {}
    for (const { key, valueStart, valueEnd } of members) {
      if (READ.has(key) || ERROR_MEMBERS.has(key) || USAGE_MEMBERS.has(key)) {
        given[key] = parse(value.subarray(valueStart, valueEnd))
      }
    }
    const isUsageChunk = this.#isUsageChunk(given)
    for (const [key, json] of Object.entries(given)) this.#note(key, json)
    this.#noteUsage(given)
    const { choices } = given
    const isEmpty = Array.isArray(choices) && choices.length === 0
    const holdsAnswer = isRecord(given['usage']) || (Array.isArray(choices) && !isEmpty)
    const error = (holdsAnswer ? errorIn(given) : likelyErrorIn(given)) ?? this.#failed
    if (error !== undefined) return { error }
    this.#hasContent ||= this.#shape === 'other' || isContent(given)
    this.#done ||= this.#shape === 'other' && LAST_EVENTS.has(given['type'])
    return isUsageChunk ? 'usage' : 'whole'
  }

  /** Whether a chunk brings nothing but usage: its choices are absent, empty, or say nothing that was not said before. */
  #isUsageChunk(given: Json): boolean {
    if (!isRecord(given['usage']) && !usageIn(given)) return false
    if (this.#shape === 'other' || isContent(given)) return false
    const choices = objects(given['choices'])
    return choices.every((choice, position) => {
      const index = indexOf(choice, position)
      return (
        this.#finished.has(index) ||
        (this.#seen.has(index) && finishOf(choice['finish_reason']) === undefined)
      )
    })
  }

  #note(key: string, json: unknown): void {
    if (key === 'choices') this.#noteChoices(json)
    else if (key === 'message') this.#inputTokens = property(property(json, 'usage'), 'input_tokens')
    else if (key === 'id' && typeof json === 'string') this.#identity = { ...this.#identity, id: json }
    else if (key === 'model' && typeof json === 'string') this.#identity = { ...this.#identity, model: json }
    else if (key === 'created' && Number.isSafeInteger(json)) {
      this.#identity = { ...this.#identity, created: Number(json) }
    }
  }

  #noteChoices(choices: unknown): void {
    if (!Array.isArray(choices)) return
    for (const [position, choice] of choices.slice(0, MAX_CHOICES).entries()) {
      const index = indexOf(choice, position)
      if (this.#seen.size < MAX_CHOICES) this.#seen.add(index)
      const reason = property(choice, 'finish_reason')
      this.#failed ??= errorIn({ error: property(choice, 'error') })
      if (reason === 'error') this.#failed ??= 'finish_reason: error'
      else if (this.#seen.has(index)) this.#noteFinish(index, choice, finishOf(reason))
    }
  }

  #noteFinish(index: number, choice: unknown, finish: ReturnType<typeof finishOf>): void {
    if (finish === 'ends') this.#finished.add(index)
    else if (finish === 'may_end') this.#ending.add(index)
    else if (isJson(choice) && isFilledChoice(choice)) this.#ending.delete(index)
  }

  /** Anthropic reports the input tokens in the first event and the output tokens in the last. */
  #noteUsage(given: Json): void {
    const { usage } = given
    const known = this.#inputTokens ?? this.#usage?.inputTokens
    const found = usageIn(given) ?? (isJson(usage) ? readUsage({ ...usage, input_tokens: known }) : undefined)
    if (!found) return
    // Some sellers end with counts of zero.
    if (this.#usage && found.inputTokens + found.outputTokens === 0) return
    this.#usage = found
  }
}

const READ: ReadonlySet<string> = new Set([
  'choices',
  'response',
  'message',
  'delta',
  'id',
  'model',
  'created',
  'text',
  'content',
  'output',
])

/** Where sellers that do not keep to the protocol put their texts. */
const STRANGE = ['response', 'message', 'text', 'content', 'output'] as const

/** Whether a chunk has more in it than a role; a chunk of another form has if it has a text anywhere. */
function isContent(chunk: Json): boolean {
  const { choices } = chunk
  return choices === undefined
    ? STRANGE.some((name) => !isNothing(chunk[name]))
    : objects(choices).some(isFilledChoice)
}

/** OpenAI allows 128; more than that is not kept track of. */
const MAX_CHOICES = 1024

function indexOf(choice: unknown, position: number): number {
  const given = property(choice, 'index')
  return Number.isSafeInteger(given) ? Number(given) : position
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8')) as unknown
  } catch {
    return undefined
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
