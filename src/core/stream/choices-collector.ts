/** Collects chunks with `choices` into one response: what chat completions and text completions have in common. */
import { finishReason } from './finish-reason.ts'
import { addRest, Gathered, Logprobs, Room } from './gathered.ts'
import { indexOr, inOrder, isJson, member, objects, type AnswerCollector, type Json } from './stream-json.ts'

/** What one choice of a kind of response is made of. */
export interface ChoiceContent {
  /** Adds a chunk's choice. */
  add(piece: Json): void
  /** The members of the whole choice. */
  toJson(): Json
  /** The finish reason of a choice whose chunks name none. */
  readonly finish: string
}

/** A kind of response with `choices`. */
export interface ChoicesKind {
  readonly object: string
  /** Members of a chunk that the response does not take over, apart from its choices and usage. */
  readonly dropped: readonly string[]
  /** The member of a chunk's choice that {@link ChoiceContent} reads. */
  readonly member: string
  /** The logprobs of a choice that has none. */
  readonly noLogprobs: Json
  newContent(room: Room): ChoiceContent
}

interface Choice {
  readonly content: ChoiceContent
  readonly logprobs: Logprobs
  finish: unknown
  readonly rest: Gathered
}

/** See {@link AnswerCollector}. */
export class ChoicesCollector implements AnswerCollector {
  readonly #kind: ChoicesKind
  readonly #room = new Room()
  readonly #base = new Gathered(this.#room)
  #usage: unknown
  #came = false
  readonly #choices = new Map<number, Choice>()

  constructor(kind: ChoicesKind) {
    this.#kind = kind
  }

  add(event: Json): void {
    const { choices } = event
    const usage = event['usage'] ?? member(event['x_groq'], 'usage')
    if (isJson(usage)) this.#usage = usage
    // A usage chunk may have no choices.
    if (!Array.isArray(choices)) return
    this.#came = true
    this.#base.keep(event, 'choices', 'usage', ...this.#kind.dropped)
    for (const [position, piece] of objects(choices).entries()) {
      this.#addChoice(indexOr(piece['index'], position), piece)
    }
  }

  #addChoice(index: number, piece: Json): void {
    const known = this.#choices.get(index)
    if (!known && !this.#room.take()) return
    const choice: Choice = known ?? {
      content: this.#kind.newContent(this.#room),
      logprobs: new Logprobs(),
      finish: undefined,
      rest: new Gathered(this.#room),
    }
    this.#choices.set(index, choice)
    choice.content.add(piece)
    choice.logprobs.add(piece['logprobs'])
    choice.finish = finishReason(piece['finish_reason']) ?? choice.finish
    addRest(choice.rest, piece, this.#kind.member, 'usage')
    if (isJson(piece['usage'])) this.#usage ??= piece['usage']
  }

  get isFull(): boolean {
    return this.#room.isFull
  }

  answer(truncated: boolean): Json | undefined {
    if (!this.#came) return undefined
    const { noLogprobs, object } = this.#kind
    const choices = inOrder(this.#choices).map(([index, { content, finish, rest, ...choice }]) => {
      const logprobs = choice.logprobs.toJson()
      return {
        ...rest.toJson(),
        index,
        ...content.toJson(),
        ...(logprobs ? { logprobs } : noLogprobs),
        finish_reason: finishReason(finish, truncated) ?? (truncated ? 'length' : content.finish),
      }
    })
    const usage = isJson(this.#usage) ? { usage: this.#usage } : {}
    return { ...this.#base.toJson(), object, choices, ...usage }
  }
}
