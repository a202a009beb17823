import type { Approval, PaymentToApprove } from '../core/approval/approval.ts'
import type { Clock } from '../core/clock.ts'
import type { PaymentToSign } from '../core/hooks/hooks.ts'
import type { Exchange } from '../core/request/exchange.ts'
import type { Candidate } from '../core/routing/route.ts'
import type { Asset } from '../core/money/assets.ts'
import type { Provider } from '../core/payer/provider.ts'
import type { OfferOrder } from '../core/policy/gate-policy.ts'
import type { AllowedPayees } from '../core/policy/payees.ts'
import type { CallsInFlight } from './calls-in-flight.ts'
import type { Upstream } from '../io/transport/upstream.ts'
import type { LedgerUse } from '../io/ledger/ledger-use.ts'
import type { Timers } from '../core/timers.ts'
import type { Observer } from '../core/telemetry/events.ts'
import type { RememberedTerms } from '../core/x402/remembered-terms.ts'
import type { ModelCatalogue } from '../core/routing/catalogue.ts'

/** Limits on what may be signed (rule 6). */
export interface PaymentPolicy {
  /** Ceiling of one payment, micro-USD; `none` only where all that pays is vouchers with a price of their own. */
  readonly maxMicroUsd: bigint | 'none'
  /** Longest validity window that is signed, seconds. */
  readonly maxValiditySeconds: number
  /** How far a price may rise above the pinned one, millionths (`200_000n` is 20 %); no limit by default. */
  readonly maxPriceChange?: bigint | undefined
  /** Which of several acceptable offers is paid; default the cheapest in USD. */
  readonly offerOrder?: OfferOrder | undefined
  /** Configured payees per seller origin, EVM in lower case; other sellers are pinned when their first payment settles. */
  readonly payTo?: ReadonlyMap<string, AllowedPayees> | undefined
  /** Whether a payer may sign in at a seller that it paid before, instead of paying again; default no. */
  readonly signIn?: boolean | undefined
  /** Whether terms that proved stable are paid without asking for them first; default `remember`. */
  readonly terms?: 'remember' | 'ask' | undefined
  /** What to do where remembered terms turn out to have changed; default `fail`. */
  readonly onChangedTerms?: 'fail' | 'pay_again' | undefined
  /** Assets that may be spent; default USDC on the built-in networks. */
  readonly assets?: readonly Asset[] | undefined
}

/** What the payment engine reads and records. The reservation is the budget guard's. */
type PaymentLedger = LedgerUse<
  | 'authorize'
  | 'release'
  | 'settle'
  | 'uncertain'
  | 'flag'
  | 'receipts'
  | 'knownPrices'
  | 'notePrice'
  | 'pins'
  | 'note',
  'prices' | 'priceRanges'
>

/** What the payment engine is set up with. */
interface PaymentServices {
  readonly ledger: PaymentLedger
  readonly upstream: Upstream
  /** Payers by the name the routes use. */
  readonly payers: ReadonlyMap<string, Provider>
  /** Origins that may be paid; default those that the routes lead to. */
  readonly origins?: ReadonlySet<string> | undefined
  readonly policy: PaymentPolicy
  /** What sellers list: their price of a token tells how far to lower a limit (`reduceMaxTokens`). */
  readonly catalogue?: Pick<ModelCatalogue, 'find'> | undefined
  /** Counts the paid calls on their way; a shutdown waits for them. */
  readonly running?: CallsInFlight | undefined
  readonly clock?: Clock | undefined
  /** Waits between repeats of unpaid sends. */
  readonly timers?: Timers | undefined
  /** Longest silence of a paid stream that routes with `earlyKeepalive` bear, milliseconds; default 15,000. */
  readonly keepaliveMs?: number | undefined
  readonly observers?: readonly Observer[] | undefined
  /** Asks the application whether a payment that passed the policy may be signed; throws when not. */
  readonly beforeSign?: BeforeSign | undefined
  /** Asks a person about calls that may cost too much. */
  readonly approval?: Approval | undefined
}

/**
 * Asks the `beforeSign` hooks of the application.
 * @throws TollwayError `hook_refused`, `hook_unavailable`; the signal's reason
 */
export type BeforeSign = (payment: PaymentToSign, signal: AbortSignal) => Promise<void>

/** What the payment engine works with in every request. */
export interface PaymentContext extends Omit<
  PaymentServices,
  'policy' | 'clock' | 'timers' | 'observers' | 'running' | 'keepaliveMs'
> {
  readonly running: CallsInFlight
  /** What is known of sellers' terms; without it every seller is asked. */
  readonly terms?: RememberedTerms | undefined
  readonly clock: Clock
  readonly timers: Timers
  readonly keepaliveMs: number
  readonly observers: readonly Observer[]
  readonly policy: PaymentPolicy & {
    readonly payTo: ReadonlyMap<string, AllowedPayees>
    readonly assets: readonly Asset[]
    /** See `GatePolicy.lifeSeconds`: for those who sign ahead. */
    readonly lifeSeconds?: number | undefined
  }
}

/** One request at one candidate: what every step of the engine reads, from the unpaid send to the judgement. */
export interface CandidateCall {
  readonly context: PaymentContext
  readonly exchange: Exchange
  readonly candidate: Candidate
  /** Aborted when the client has left: after that nothing is signed for it, and nothing signed is sent. */
  readonly leaving: AbortSignal
}

/** A {@link CandidateCall} whose route pays. */
export interface PayingCall extends CandidateCall {
  readonly payer: Provider
  /** What a person approved before the seller was asked again: nothing else is paid. */
  readonly approved?: PaymentToApprove | undefined
}

/** The client left before anything was sent: no one waits for an answer, and there is nothing to pay for. */
export class ClientLeftError extends Error {
  override readonly name = 'ClientLeftError'
}
