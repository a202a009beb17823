/** Tells the observers what became of a seller's offer: the states that no charge has. */
import { TollwayError, type ErrorCode } from '../core/errors.ts'
import type { TollwayEvent } from '../core/telemetry/events.ts'
import type { PayingCall } from './payment-context.ts'

/** The network of an offer that was refused before one was chosen: the seller's text is no label. */
const NO_NETWORK = 'none'

/** Reports one state of an offer. @param network CAIP-2, once an offer was chosen */
export function reportOffer(
  { context, candidate }: PayingCall,
  state: Extract<TollwayEvent, { type: 'offer' }>['state'],
  network: string = NO_NETWORK,
  reason: ErrorCode | '' = '',
): void {
  const { payer = NO_NETWORK, apiBase } = candidate.route
  const seller = new URL(apiBase).origin
  for (const observer of context.observers) observer({ type: 'offer', payer, seller, network, state, reason })
}

/** Reports that nothing was sent for an offer, where an error of ours says why. */
export function reportRefusal(call: PayingCall, error: unknown, network?: string): void {
  if (error instanceof TollwayError) reportOffer(call, 'refused', network, error.code)
}

/** Reports an offer of which nothing may be paid. */
export function reportUnacceptable(call: PayingCall, error: unknown): void {
  reportOffer(call, 'offered')
  reportRefusal(call, error)
}
