/** Charges of MPP that cannot pay the request at hand, although they are of a kind that is paid. */
import { createHash } from 'node:crypto'
import { TollwayError } from '../../core/errors.ts'
import type { Quote } from '../../core/policy/gate.ts'
import type { MppCharge } from '../../core/x402/mpp-charge.ts'
import type { Challenge } from '../../core/x402/x402.ts'
import { NonceUsedError } from '../../io/ledger/record-authorization.ts'
import type { OutgoingRequest } from '../../io/transport/upstream.ts'

/** The request that is paid. */
export type PaidRequest = Pick<OutgoingRequest, 'headers' | 'body'>

/**
 * A 402 without the charges that are for another body, or whose payment would take the place of the request's own credentials.
 * @throws TollwayError `no_supported_offer` when nothing is left
 */
export function fitCharges(challenge: Challenge, request: PaidRequest): Challenge {
  const unfit = new Set<string>()
  const offers = challenge.offers.filter(({ mpp }) => {
    const why = mpp && misfit(mpp, request)
    if (why !== undefined) unfit.add(`MPP (evm/charge: ${why})`)
    return why === undefined
  })
  if (unfit.size === 0) return challenge
  const others = [...challenge.others, ...unfit]
  if (offers.length > 0) return { ...challenge, offers, others }
  throw new TollwayError({
    code: 'no_supported_offer',
    message: `The seller offers only ${others.join(', ')}. Nothing was signed.`,
    advice: [
      'Send the request without a header of its own named Authorization, or use a seller that offers x402.',
    ],
  })
}

function misfit({ digest }: MppCharge, { headers, body }: PaidRequest): string | undefined {
  if (Object.keys(headers).some((name) => name.toLowerCase() === 'authorization'))
    return 'its payment takes the header Authorization, which this request needs itself'
  return digest === undefined || isDigestOf(digest, body ?? Buffer.alloc(0))
    ? undefined
    : 'its challenge is for another body'
}

/** `sha-256=…`, with or without the colons of RFC 9530; of several digests each must be right. */
function isDigestOf(digest: string, body: Buffer): boolean {
  return digest.split(',').every((part) => {
    const [, name = '', value = ''] =
      /^\s*(sha-(?:256|512))=:?([A-Za-z0-9+/_-]+={0,2}):?\s*$/i.exec(part) ?? []
    if (name === '') return false
    const own = createHash(name.toLowerCase().replace('-', '')).update(body).digest()
    return own.equals(Buffer.from(value, 'base64'))
  })
}

/** A seller that repeats a challenge asks for what is paid already: that is no fault of the signer, and nothing to wait for. */
export function explainReuse(error: unknown, { offer }: Pick<Quote, 'offer'>): unknown {
  if (!offer.mpp || !(error instanceof NonceUsedError)) return error
  return new TollwayError({
    code: 'no_supported_offer',
    message:
      'The seller repeated an MPP challenge that a payment was recorded for. A challenge is paid once, so nothing was sent.',
    advice: ['Ask the seller for a new challenge for each request.'],
    details: error.details,
    cause: error,
  })
}
