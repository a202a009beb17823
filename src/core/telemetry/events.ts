/** Events for observers such as metrics and the log. Observers never influence a decision and must not throw. */
import type { Claim, Totals } from '../budget/budget.ts'
import type { Charge, ChargeState } from '../charge/charge.ts'
import type { ErrorCode } from '../errors.ts'
import type { ChainFinding } from '../charge/reconcile.ts'
import type { Usage } from '../stream/usage.ts'

/** The labels of x402-buyer's series. */
export interface ObolLabels {
  readonly upstream: string
  readonly remoteModel: string
  /** The network, spelled as in its configuration. */
  readonly chain: string
}

/** The counters of x402-buyer. */
export type ObolCounter =
  | 'requests'
  | 'payment_attempts'
  | 'payment_success'
  | 'payment_failure'
  | 'confirm_spend_failure'
  | 'payment_unsettled_confirmations'

export type TollwayEvent =
  /** A charge was reserved or moved. */
  | { readonly type: 'charge'; readonly charge: Charge; readonly from: ChargeState | undefined }
  /** A budget refused; `early`: because of a remembered price, without asking the seller. */
  | {
      readonly type: 'budget_refused'
      readonly claim: Claim
      readonly totals: Totals
      readonly early: boolean
    }
  /** A soft limit was passed; at most once per window and subject. The totals include the claim. */
  | { readonly type: 'budget_soft_limit'; readonly claim: Claim; readonly totals: Totals }
  /** A claim was taken on a budget whose sum is at a level of `notify.at` or above it; with every such claim, which the totals include. */
  | { readonly type: 'budget_level'; readonly claim: Claim; readonly totals: Totals }
  /** A message of `notify` was delivered, given up, or not taken because too many wait. `kind`: what it told of. */
  | {
      readonly type: 'notified'
      readonly kind: NotificationKind
      readonly result: 'delivered' | 'failed' | 'dropped'
    }
  /** A call begins to wait for a person's approval, or it did and goes on. */
  | { readonly type: 'approval'; readonly result: ApprovalResult | 'waiting' }
  /** A budget that is not enforced would have refused. */
  | { readonly type: 'budget_would_refuse'; readonly claim: Claim; readonly totals: Totals }
  /** The configuration was read again. `refused`: nothing changed. */
  | { readonly type: 'config_reloaded'; readonly result: 'done' | 'unchanged' | 'refused' }
  /** An offer passed the gate. */
  | { readonly type: 'quoted'; readonly seller: string; readonly route: string; readonly microUsd: bigint }
  /**
   * What became of a seller's offer besides the charge: `offered`, it asked for a payment; `refused`, policy, a budget or the payer
   * refused it; `rejected`, the seller refused what was sent. `reason` is the error's code; `network` is CAIP-2, or `none` where no
   * offer was acceptable.
   */
  | {
      readonly type: 'offer'
      readonly payer: string
      readonly seller: string
      readonly network: string
      readonly state: 'offered' | 'refused' | 'rejected'
      readonly reason: ErrorCode | ''
    }
  /** A seller's price differs from the last one paid. `refused`: by more than policy allows. */
  | {
      readonly type: 'price_moved'
      readonly seller: string
      readonly route: string
      readonly direction: 'up' | 'down' | 'refused'
    }
  /** A sign-in instead of a payment: what came of it. */
  | {
      readonly type: 'sign_in'
      readonly seller: string
      readonly result: 'accepted' | 'refused' | 'not_vetted' | 'failed'
    }
  /**
   * Another clock was read: how far it is ahead of ours, whole seconds. `source` is a seller's origin, of whose 402 it was, or a
   * network, whose final blocks can show only that ours is behind.
   */
  | { readonly type: 'clock_skew'; readonly source: string; readonly seconds: number }
  /**
   * Terms of a seller that are known. `remembered`: paid without asking for them; `asked_behind`: asked for behind an answer;
   * `changed`: a payment was answered with others; `paid_again`: those were paid; `varies`: the seller is always asked for a day.
   */
  | {
      readonly type: 'terms'
      readonly seller: string
      readonly route: string
      readonly result: 'remembered' | 'asked_behind' | 'changed' | 'paid_again' | 'varies'
    }
  /** The duration of one payment phase. */
  | {
      readonly type: 'phase'
      readonly phase: 'quote' | 'reserve' | 'sign' | 'record' | 'send'
      readonly seconds: number
    }
  /** An unpaid send was repeated. */
  | { readonly type: 'retried'; readonly route: string; readonly seller: string; readonly reason: string }
  /** A request fell back to another candidate. */
  | { readonly type: 'fell_back'; readonly route: string; readonly to: string; readonly reason: string }
  /** A route failed too often and started to cool down. */
  | { readonly type: 'cooled'; readonly route: string; readonly seller: string; readonly reason: string }
  /** A caller's own limit refused: `requests` or `tokens` per minute, or `parallel` requests. */
  | {
      readonly type: 'rate_limited'
      readonly caller: string
      readonly limit: 'requests' | 'tokens' | 'parallel'
    }
  /** A request ended. `counted`: it was refused like many others, and has no audit record and no log line of its own. */
  | { readonly type: 'request'; readonly summary: RequestSummary; readonly counted?: boolean | undefined }
  /** A charge was flagged for review. */
  | { readonly type: 'flagged'; readonly charge: Charge; readonly finding: ChainFinding }
  /** A network was read, or could not be; `reason` is then `no_rpc`, `timeout`, `wrong_chain_id` …. */
  | {
      readonly type: 'chain'
      readonly network: string
      readonly ok: boolean
      readonly reason: string | undefined
    }
  /** A reconciliation ended. `incomplete`: a network gave no usable answer; `failed`: the ledger could not be used. */
  | { readonly type: 'reconciled'; readonly result: 'done' | 'incomplete' | 'failed' }
  /** An event that x402-buyer counts, for one of its upstreams. */
  | ({ readonly type: 'obol_buyer'; readonly counter: ObolCounter } & ObolLabels)
  /** The state file of x402-buyer could not be written; the used vouchers are recorded in the ledger. */
  | { readonly type: 'obol_state_failed'; readonly payer: string }
  /** A seller's or the default upstream's list of models was read, or could not be; `models` is the number known now. */
  | { readonly type: 'catalogue'; readonly seller: string; readonly ok: boolean; readonly models: number }
  /** A request was quoted again with fewer output tokens, because its price was above the ceiling. */
  | { readonly type: 'tokens_reduced'; readonly seller: string; readonly route: string }
  /** A background refill of a purchase ended; `vouchers` were signed. */
  | {
      readonly type: 'refilled'
      readonly payer: string
      readonly result: 'refilled' | 'limit' | 'removed' | 'failed'
      readonly vouchers: number
    }
  /** A hook of the application was called. `reason`: why it refused, a short name or `other`. */
  | {
      readonly type: 'hook'
      readonly hook: string
      readonly result: HookResult
      readonly reason: string | undefined
    }
  /** The audit file could not be written. */
  | { readonly type: 'audit_failed' }

/** What a message of `notify` tells of. */
export type NotificationKind = 'budget' | 'approval'

/**
 * How a call that needed a person's approval went on. `left`: its client left; `full`: too many wait; `closing`: the gateway stops;
 * `lost`: the gateway ended without an end of the wait.
 */
export type ApprovalResult = 'approved' | 'refused' | 'timeout' | 'left' | 'full' | 'closing' | 'lost'

/** How the call of a hook ended. */
export type HookResult = 'done' | 'refused' | 'failed' | 'timeout'

/** A JSON response converted to a stream, or a stream converted to JSON. */
export type StreamConversion = 'json_to_sse' | 'sse_to_json'

/** How a request ended. */
export interface RequestSummary {
  readonly requestId: string
  readonly method: string
  /** One of the served paths, or `other`: never text from the client. */
  readonly endpoint: string
  readonly caller: string
  /** The route's `model_name`, `upstream` for models without a route, or `none`. */
  readonly route: string
  /** The payer's configured name, or `none`. */
  readonly payer: string
  /** As the client named it; for the audit record, never a label. */
  readonly model: string | undefined
  /** The model that the seller or upstream was asked for; client's text under a wildcard. */
  readonly remoteModel?: string | undefined
  /** OpenTelemetry's `gen_ai.provider.name`: the route's `provider`, or the host of its seller or upstream. */
  readonly provider?: string | undefined
  readonly status: number
  readonly outcome: RequestOutcome
  readonly code: ErrorCode | undefined
  /** What the error said to do, one sentence each: for people, not for the audit record. */
  readonly advice?: readonly string[] | undefined
  readonly charge: string | undefined
  /** The amount of the charge, micro-USD, when money moved or may have. */
  readonly costMicroUsd?: bigint | undefined
  readonly spent: 'no' | 'yes' | 'unknown'
  readonly usage: Usage | undefined
  readonly stream: boolean
  readonly truncated: boolean
  /** Set when the response was converted. */
  readonly conversion?: StreamConversion | undefined
  readonly seconds: number
  /** Time to the first byte of the response body; `undefined` when none was sent. */
  readonly firstByteSeconds: number | undefined
  /** Time that Tollway itself added before relaying began; `undefined` when no model answered. */
  readonly overheadSeconds?: number | undefined
  /** Facts about a refusal or failure for the audit record, e.g. the seller's message. */
  readonly details: Readonly<Record<string, string | number | boolean | null>>
}

/**
 * - `paid`: answered and paid.
 * - `free`: answered without a payment.
 * - `refused`: by policy, a budget or an access check.
 * - `uncertain`: money may have moved.
 * - `failed`: no money moved.
 */
export type RequestOutcome = 'paid' | 'free' | 'refused' | 'uncertain' | 'failed'

export type Observer = (event: TollwayEvent) => void
