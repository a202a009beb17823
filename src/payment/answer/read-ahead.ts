/** Keeps what a seller sent before it broke off. */
import type { Reply } from '../../core/request/exchange.ts'

/** Most bytes that are read before anyone asks for them. */
const MAX_BYTES = 65_536

/**
 * The body, read from now on up to a bound: a stream that fails drops what it holds, and the answer to a payment is relayed only
 * when the payment is booked.
 */
export function readAhead(body: Reply['body']): Reply['body'] {
  const chunks = body[Symbol.asyncIterator]()
  const held: Uint8Array[] = []
  /** Bytes that may still be read before the reader takes over. */
  let room = MAX_BYTES
  /** @returns whether it was all of the body */
  const read = async (): Promise<boolean> => {
    while (room > 0) {
      const next = await chunks.next()
      if (next.done === true) return true
      held.push(next.value)
      room -= next.value.byteLength
    }
    return false
  }
  const reading = read()
  // Told to whoever asks, behind what came before.
  reading.catch(() => undefined)
  return {
    async *[Symbol.asyncIterator]() {
      room = 0
      try {
        yield* held.splice(0)
        const isWhole = await reading.catch((error: unknown) => ({ error }))
        yield* held.splice(0)
        if (isWhole === true) return
        if (isWhole !== false) throw isWhole.error
        for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) yield next.value
      } finally {
        await chunks.return?.()
      }
    },
    destroy: (error) => body.destroy(error),
  }
}
