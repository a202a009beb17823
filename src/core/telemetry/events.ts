/** Events for observers such as metrics and the log. Observers never decide anything and must not throw. */
import type { Claim, Totals } from '../budget/budget.ts'
import type { Charge, ChargeState } from '../charge/charge.ts'
import type { ErrorCode } from '../errors.ts'
import type { ChainFinding } from '../charge/reconcile.ts'
import type { Usage } from '../stream/usage.ts'

/** What the series of x402-buyer are labelled with. */
export interface ObolLabels {
  readonly upstream: string
  readonly remoteModel: string
  /** The network as its configuration spells it. */
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
  /** A budget refused; `early`: on a remembered price, before the seller was asked. */
  | {
      readonly type: 'budget_refused'
      readonly claim: Claim
      readonly totals: Totals
      readonly early: boolean
    }
  /** A soft limit was passed, once per window and subject; the totals are with the claim. */
  | { readonly type: 'budget_soft_limit'; readonly claim: Claim; readonly totals: Totals }
  /** A budget that is not enforced would have refused. */
  | { readonly type: 'budget_would_refuse'; readonly claim: Claim; readonly totals: Totals }
  /** An offer passed the gate. */
  | { readonly type: 'quoted'; readonly seller: string; readonly route: string; readonly microUsd: bigint }
  /** A seller asked another price than it was paid last. `refused`: more than policy allows. */
  | {
      readonly type: 'price_moved'
      readonly seller: string
      readonly route: string
      readonly direction: 'up' | 'down' | 'refused'
    }
  /** A phase of paying took this long. */
  | {
      readonly type: 'phase'
      readonly phase: 'quote' | 'reserve' | 'sign' | 'record' | 'send'
      readonly seconds: number
    }
  /** An unpaid send was repeated. */
  | { readonly type: 'retried'; readonly route: string; readonly seller: string; readonly reason: string }
  /** A request went on to another candidate. */
  | { readonly type: 'fell_back'; readonly route: string; readonly to: string; readonly reason: string }
  /** A route failed too often and cools down. */
  | { readonly type: 'cooled'; readonly route: string; readonly seller: string; readonly reason: string }
  /** A caller's own limit refused: `requests` or `tokens` of a minute, or requests at once. */
  | {
      readonly type: 'rate_limited'
      readonly caller: string
      readonly limit: 'requests' | 'tokens' | 'parallel'
    }
  /** A request ended. */
  | { readonly type: 'request'; readonly summary: RequestSummary }
  /** Somebody should look at a charge. */
  | { readonly type: 'flagged'; readonly charge: Charge; readonly finding: ChainFinding }
  /** A network was read, or could not be; `reason` says why not: `no_rpc`, `timeout`, `wrong_chain_id` …. */
  | {
      readonly type: 'chain'
      readonly network: string
      readonly ok: boolean
      readonly reason: string | undefined
    }
  /** A look at the chains ended. `incomplete`: a network gave no usable answer; `failed`: the ledger did not. */
  | { readonly type: 'reconciled'; readonly result: 'done' | 'incomplete' | 'failed' }
  /** Something x402-buyer counts happened to one of its upstreams. */
  | ({ readonly type: 'obol_buyer'; readonly counter: ObolCounter } & ObolLabels)
  /** The state file of x402-buyer could not be written; what was used is in the ledger. */
  | { readonly type: 'obol_state_failed'; readonly payer: string }
  /** A seller's list of models was read, or could not be; `models` are known now. */
  | { readonly type: 'catalogue'; readonly seller: string; readonly ok: boolean; readonly models: number }
  /** A request was asked for again with fewer answer tokens, because its quote was above the ceiling. */
  | { readonly type: 'tokens_reduced'; readonly seller: string; readonly route: string }
  /** The gateway looked after a purchase in the background; `vouchers` were signed. */
  | {
      readonly type: 'refilled'
      readonly payer: string
      readonly result: 'refilled' | 'limit' | 'removed' | 'failed'
      readonly vouchers: number
    }
  /** The audit file could not be written. */
  | { readonly type: 'audit_failed' }

/** A whole answer that became a stream, or a stream that became a whole answer. */
export type StreamConversion = 'json_to_sse' | 'sse_to_json'

/** How a request ended. */
export interface RequestSummary {
  readonly requestId: string
  readonly method: string
  /** One of the served paths, or `other`: never the client's own text. */
  readonly endpoint: string
  readonly caller: string
  /** The route's `model_name`, `upstream` for what no route claims, or `none`. */
  readonly route: string
  /** The payer's configured name, or `none`. */
  readonly payer: string
  /** As the client named it; for the audit record, never a label. */
  readonly model: string | undefined
  readonly status: number
  readonly outcome: RequestOutcome
  readonly code: ErrorCode | undefined
  readonly charge: string | undefined
  /** What the charge is over, micro-USD, when money moved or may have. */
  readonly costMicroUsd?: bigint | undefined
  readonly spent: 'no' | 'yes' | 'unknown'
  readonly usage: Usage | undefined
  readonly stream: boolean
  readonly truncated: boolean
  /** The answer came in one form and went out in the other. */
  readonly conversion?: StreamConversion | undefined
  readonly seconds: number
  /** Until the first byte of the answer's body; `undefined` when none was sent. */
  readonly firstByteSeconds: number | undefined
  /** Tollway's own share until the answer could be relayed; `undefined` for what no model answered. */
  readonly overheadSeconds?: number | undefined
  /** Facts of a refusal or failure for the audit record, e.g. the seller's words. */
  readonly details: Readonly<Record<string, string | number | boolean | null>>
}

/** `paid` answered and paid · `free` answered, nothing paid · `refused` by policy, budget or the door · `uncertain` money may have moved · `failed` nothing moved. */
export type RequestOutcome = 'paid' | 'free' | 'refused' | 'uncertain' | 'failed'

export type Observer = (event: TollwayEvent) => void
