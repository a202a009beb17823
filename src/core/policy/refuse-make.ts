/** Offers of a kind that is paid, in a make that is not: for another contract, for nobody in particular, or not ahead of a request. */
import type { Asset } from '../money/assets.ts'
import { printable } from '../printable.ts'
import type { Offer } from '../x402/x402.ts'
import type { GatePolicy } from './gate-policy.ts'
import { facilitatorOf, otherContractOf } from './read-offer.ts'
import type { Refusal } from './refusal.ts'

/** @returns why the offer is not paid; `undefined` when nothing here stands in its way */
export function refuseMake(
  offer: Offer,
  asset: Pick<Asset, 'symbol' | 'network'>,
  { lifeSeconds }: Pick<GatePolicy, 'lifeSeconds'>,
): Refusal | undefined {
  const refusal = { stage: 2, code: 'no_supported_offer' } as const
  if (offer.mpp && lifeSeconds !== undefined) {
    return {
      ...refusal,
      message:
        'The seller offers MPP, whose challenges are good for one request each: nothing can be signed in advance for them.',
      brief: 'cannot be signed in advance',
      advice: ['Pay this seller request by request, or use one that offers x402.'],
    }
  }
  const otherContract = otherContractOf(offer)
  if (otherContract !== undefined) {
    return {
      ...refusal,
      message: `The seller wants ${asset.symbol} on ${asset.network} by ${printable(otherContract, 200)} instead of the token itself (extra.verifyingContract), a method that no payer supports.`,
      brief: `for another contract (${printable(otherContract, 60)})`,
      advice: ['Use another offer or seller.'],
    }
  }
  if (offer.scheme === 'upto' && facilitatorOf(offer) === undefined) {
    return {
      ...refusal,
      message:
        'The seller offers upto without naming the facilitator that may settle it (extra.facilitatorAddress).',
      brief: 'names no facilitator',
      advice: ['Report it to the seller.'],
    }
  }
  return undefined
}
