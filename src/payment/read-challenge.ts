/** Reads the offers of a 402 within bounds of size and time. */
import { Readable } from 'node:stream'
import { TollwayError } from '../core/errors.ts'
import { type Challenge, MAX_CHALLENGE_BYTES, decodeChallenge } from '../core/x402/x402.ts'
import { HEADERS } from '../core/x402/payment-headers.ts'
import { isTelling, readSellerError } from '../core/x402/seller-error.ts'
import type { IncomingReply } from '../io/transport/upstream.ts'
import { fitCharges, type PaidRequest } from './mpp/fit-charges.ts'
import { otherPayment } from './not-x402.ts'
import { headerOf, readReply } from './answer/read-reply.ts'
import { sellerSaid } from './answer/seller-message.ts'

/**
 * The offers of a 402.
 * @param timeoutMs longest wait for its body, milliseconds
 * @param request what is to be paid: charges that cannot pay it are left out
 * @throws TollwayError `seller_unavailable` when the body breaks off, and why it cannot be read
 */
export async function readChallenge(
  reply: IncomingReply,
  timeoutMs: number,
  request?: PaidRequest,
): Promise<Challenge> {
  const { challenge } = await readChallengeKept(reply, timeoutMs)
  return request ? fitCharges(challenge, request) : challenge
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
  const header = (name: string): string | undefined => headerOf(reply, name)
  const challenge = decoded(header, bytes, truncated)
  const { 'content-encoding': _decoded, ...headers } = reply.headers
  return { challenge, again: { ...reply, headers, body: Readable.from([Buffer.from(bytes)]) } }
}

function decoded(
  header: (name: string) => string | undefined,
  body: Uint8Array,
  truncated: boolean,
): Challenge {
  try {
    return decodeChallenge({ header, body, truncated })
  } catch (error) {
    const isUnread = error instanceof TollwayError && error.code === 'offer_undecodable'
    const isOffered = header(HEADERS.required) !== undefined || header(HEADERS.requiredOther) !== undefined
    const words = readSellerError(header, body)
    const other = isUnread && !isOffered ? otherPayment(words) : undefined
    if (other || !(error instanceof TollwayError) || !isTelling(words)) throw other ?? error
    throw error.withSeller(sellerSaid(402, words))
  }
}
