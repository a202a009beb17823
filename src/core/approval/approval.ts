/** Calls that a person must approve before anything is reserved, signed or sent for them. */
import type { Exchange } from '../request/exchange.ts'
import type { Candidate } from '../routing/route.ts'

/** What a person is asked about. */
export interface CallToApprove {
  readonly requestId: string
  readonly caller: string
  /** The route's `model_name`. */
  readonly route: string
  /** As the client named it. */
  readonly model: string
  readonly remoteModel: string
  /** The configured payer's name; `undefined` for an upstream that bills a key. */
  readonly payer: string | undefined
  /** The origin of seller or upstream. */
  readonly seller: string
  /** The most that the call may cost, micro-USD; `undefined` for a token without a USD value. */
  readonly microUsd: bigint | undefined
  /** Of a payment. */
  readonly payment?: PaymentToApprove | undefined
}

/** The payment that would be signed. */
export interface PaymentToApprove {
  readonly amount: bigint
  readonly symbol: string
  readonly decimals: number
  /** CAIP-2. */
  readonly network: string
  /** Address of the token. */
  readonly asset: string
  readonly payTo: string
}

/** Asks a person. */
export interface Approval {
  /** Whether people take their time: the seller is then asked for its terms again before a payment that was approved. */
  readonly takesTime?: boolean | undefined
  /** @param microUsd the most that a call may cost; `undefined` where its token has no USD value */
  isNeeded(microUsd: bigint | undefined): boolean
  /**
   * Resolves when the call was approved.
   * @param signal aborted when no client waits for the call any more
   * @throws TollwayError `approval_refused`; the signal's reason
   */
  ask(call: CallToApprove, signal: AbortSignal): Promise<void>
}

/** What a person is asked about a request at one candidate. */
export function callToApprove(
  { id, caller, request }: Exchange,
  { route, remoteModel }: Candidate,
  price: Pick<CallToApprove, 'microUsd' | 'payment'>,
): CallToApprove {
  return {
    requestId: id,
    caller: caller.id,
    route: route.modelName,
    model: request.model ?? '',
    remoteModel,
    payer: route.payer,
    seller: URL.canParse(route.apiBase) ? new URL(route.apiBase).origin : route.apiBase,
    ...price,
  }
}
