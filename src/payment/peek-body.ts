/** Reads the beginning of a body without consuming it for the next reader. */
import type { Reply } from '../core/request/exchange.ts'

/** A body and what is known of it. */
export interface PeekedBody {
  /** All of it, or `undefined` when it is longer than the limit. */
  readonly bytes: Buffer | undefined
  /** What was read of it. */
  readonly beginning: Buffer
  /** The whole body again, from its first byte. */
  readonly body: Reply['body']
}

/**
 * Reads at most a little over `limit` bytes and gives the body back whole. A body that breaks does so for its reader.
 * @param limit bytes
 */
export async function peekBody(body: Reply['body'], limit: number): Promise<PeekedBody> {
  const source = body[Symbol.asyncIterator]()
  const held: Uint8Array[] = []
  let size = 0
  let fault: { readonly error: unknown } | undefined
  let ended = false
  while (!ended && !fault && size <= limit) {
    try {
      const step = await source.next()
      if (step.done === true) ended = true
      else {
        held.push(step.value)
        size += step.value.length
      }
    } catch (error) {
      fault = { error }
    }
  }
  const again: Reply['body'] = {
    async *[Symbol.asyncIterator]() {
      yield* held
      if (fault) throw fault.error
      if (!ended) yield* { [Symbol.asyncIterator]: () => source }
    },
    destroy: (error) => body.destroy(error),
  }
  const beginning = Buffer.concat(held)
  return { bytes: ended && size <= limit ? beginning : undefined, beginning, body: again }
}

/** The same body, and a word when it was read to its end, broke or was let go. */
export function whenDone(body: Reply['body'], done: () => void): Reply['body'] {
  return {
    async *[Symbol.asyncIterator]() {
      try {
        yield* body
      } finally {
        done()
      }
    },
    destroy(error) {
      done()
      return body.destroy(error)
    },
  }
}
