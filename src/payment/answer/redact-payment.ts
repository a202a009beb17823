/**
 * Takes a payment out of the answer to it. A signature that was not used yet is money (rule 8), and a seller that sends it
 * back would have us hand it to a client.
 */
import { Readable } from 'node:stream'
import type { Reply } from '../../core/request/exchange.ts'
import type { IncomingReply } from '../../io/transport/upstream.ts'
import { readAhead } from './read-ahead.ts'
import { holdsPattern, patternsOf, Scrubber, type Patterns } from './scrubber.ts'

/**
 * The reply without these texts, however they are escaped or broken by white space: headers that hold one are dropped, in the body its bytes become stars, so lengths stay.
 */
export function redactReply(reply: IncomingReply, secrets: readonly string[]): Omit<Reply, 'kind'> {
  const patterns = patternsOf(secrets)
  const headers = Object.entries(reply.headers).filter(([, value]) => {
    const text = typeof value === 'string' ? value : value.join('\n')
    // Resolving escapes never makes a text longer.
    return text.length < patterns.shortest || !holdsPattern(Buffer.from(text, 'latin1'), patterns)
  })
  return {
    ...reply,
    headers: Object.fromEntries(headers),
    body: redactWith(readAhead(reply.body), patterns),
    redactDecoded: (body) => redactWith(body, patterns),
  }
}

/** The body without these texts. At most the beginning of one is held back until more comes. */
export function redactBody(body: Reply['body'], secrets: readonly string[]): Reply['body'] {
  return redactWith(body, patternsOf(secrets))
}

function redactWith(body: Reply['body'], patterns: Patterns): Reply['body'] {
  if (body instanceof Readable) body.on('error', () => {})
  return {
    async *[Symbol.asyncIterator]() {
      const scrub = new Scrubber(patterns)
      for await (const chunk of body) {
        // In pieces: whoever reads slowly, a turn for each, does not wait for the whole of what the socket gave.
        for (let at = 0; at < chunk.length; at += PIECE_BYTES) {
          const clean = scrub.push(chunk.subarray(at, at + PIECE_BYTES))
          if (clean.length > 0) yield clean
        }
      }
      const rest = scrub.flush()
      if (rest.length > 0) yield rest
    },
    destroy: (error) => body.destroy(error),
  }
}

const PIECE_BYTES = 16_384
