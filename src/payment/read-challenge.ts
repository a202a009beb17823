/** Reads the offers of a 402 within bounds of size and time. */
import { Readable } from 'node:stream'
import { TollwayError } from '../core/errors.ts'
import { type Challenge, MAX_CHALLENGE_BYTES, decodeChallenge } from '../core/x402/x402.ts'
import type { IncomingReply } from '../io/transport/upstream.ts'
import { headerOf, readReply } from './read-reply.ts'

/**
 * The offers of a 402.
 * @param timeoutMs longest wait for its body, milliseconds
 * @throws TollwayError `seller_unavailable` when the body breaks off, and why it cannot be read
 */
export async function readChallenge(reply: IncomingReply, timeoutMs: number): Promise<Challenge> {
  return (await readChallengeKept(reply, timeoutMs)).challenge
}

/** As {@link readChallenge}, with the reply once more, its body unread, for the part that pays it. */
export async function readChallengeKept(
  reply: IncomingReply,
  timeoutMs: number,
): Promise<{ readonly challenge: Challenge; readonly again: IncomingReply }> {
  const { bytes, truncated } = await readReply(reply, MAX_CHALLENGE_BYTES, timeoutMs).catch(
    (cause: unknown) => {
      throw new TollwayError({
        code: 'seller_unavailable',
        message: "The seller's 402 answer broke off; nothing was paid.",
        cause,
      })
    },
  )
  const challenge = decodeChallenge({ header: (name) => headerOf(reply, name), body: bytes, truncated })
  const { 'content-encoding': _decoded, ...headers } = reply.headers
  return { challenge, again: { ...reply, headers, body: Readable.from([Buffer.from(bytes)]) } }
}
