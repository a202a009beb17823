/** The events of a stream that are not one JSON object: content that is passed on as it is, or words that no protocol has. */
import { bareText } from '../stream/answer-check.ts'

/** Those of one stream. */
export class UnreadEvents {
  #mayBeAnswer = false
  #words: string | undefined

  /** @param data of the event; `undefined` when it was passed on before it could be read */
  note(data: Uint8Array | undefined): void {
    const bare = data && bareText(data)
    if (bare === undefined) this.#mayBeAnswer = true
    else this.#words ??= bare === '' ? undefined : bare
  }

  /** Whether one of them may be an answer to deliver. */
  get mayBeAnswer(): boolean {
    return this.#mayBeAnswer
  }

  /** What the first of the others says: the seller's reason, where nothing else came. */
  get words(): string | undefined {
    return this.#words
  }
}
