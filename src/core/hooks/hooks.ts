/**
 * Hooks: functions of the embedding application that are called at a fixed list of points. They get frozen copies, so that nothing
 * they do to them changes what is paid, to whom or how much; one of them may refuse a payment, and none can alter one.
 */
import type { Charge, Proof } from '../charge/charge.ts'
import type { RequestSummary } from '../telemetry/events.ts'

/** A payment that passed the policy and would be signed next. Money in smallest units of the asset. */
export interface PaymentToSign {
  /** `vouchers`: signed ahead to refill a pool, without a request. */
  readonly purpose: 'request' | 'vouchers'
  /** How many payments of this amount: 1, or the vouchers of a refill. */
  readonly count: number
  /** `undefined` for vouchers, as are caller and route. */
  readonly requestId: string | undefined
  readonly caller: string | undefined
  /** The route's `model_name`. */
  readonly route: string | undefined
  /** The model as the client named it. */
  readonly model: string
  /** The model as the seller knows it. */
  readonly remoteModel: string
  /** A served path without `/v1`, e.g. `/chat/completions`. */
  readonly endpoint: string
  /** Subjects of the budgets per tag. */
  readonly tags: readonly string[]
  /** The configured payer's name. */
  readonly payer: string
  /** The seller's origin, e.g. `https://seller.example.com`. */
  readonly seller: string
  /** CAIP-2. */
  readonly network: string
  /** Contract address of the asset, lower case. */
  readonly asset: string
  readonly symbol: string
  readonly decimals: number
  /** On EVM networks in lower case. */
  readonly payTo: string
  readonly amount: bigint
  /** Micro-USD, rounded up; `undefined` for an asset without a USD value. */
  readonly microUsd: bigint | undefined
  /** `upto`: the seller may take less. */
  readonly scheme: 'exact' | 'upto'
  /** How long the payment will be valid, seconds. */
  readonly validitySeconds: number
}

/** A payment that was sent. It holds nothing that could be spent: no signature and no nonce. */
export interface SentPayment extends Readonly<
  Pick<
    Charge,
    | 'id'
    | 'requestId'
    | 'caller'
    | 'model'
    | 'route'
    | 'payer'
    | 'seller'
    | 'network'
    | 'asset'
    | 'symbol'
    | 'decimals'
    | 'payTo'
    | 'amount'
    | 'microUsd'
    | 'reservedAt'
    | 'transaction'
    | 'reason'
  >
> {
  /** What proves it spent; `undefined` while that is open. */
  readonly proof: Proof | undefined
  /** What the chain proved was taken, if less than the amount (`upto`). */
  readonly charged: bigint | undefined
  /** The paying address. */
  readonly from: string | undefined
}

/** What `beforeSign` returns to refuse a payment. */
export interface HookRefusal {
  /**
   * Why: a short name such as `out_of_hours` (letters, digits, `_` and `-`, at most 40), for the audit record, the metrics and
   * the client. Any other text reaches client and audit record, and counts as `other` in the metrics.
   */
  readonly refuse: string
  /** A sentence for the client; printable ASCII, at most 256 characters. */
  readonly message?: string | undefined
}

type Awaitable<T> = T | Promise<T>

/** The hooks of one application. Every one is optional; a name that is not in this list is refused when they are given. */
export interface Hooks {
  /**
   * Called before a payment is reserved and signed, after it passed the policy. Returns nothing to let it go on, or a
   * {@link HookRefusal}. It refuses as well when it throws, returns anything else, or takes longer than `timeoutMs`.
   * Not called for dry runs, which sign nothing.
   * @param signal aborted when its answer is no longer waited for
   */
  readonly beforeSign?:
    | ((payment: PaymentToSign, signal: AbortSignal) => Awaitable<HookRefusal | undefined | void>)
    | undefined
  /** Called when a payment has settled; also later, when the chain proves an uncertain one spent. Not waited for. */
  readonly afterSettle?: ((payment: SentPayment) => unknown) | undefined
  /** Called when it is unknown whether a sent payment was taken: it counts as spent. The request does not wait for it. */
  readonly onUncertain?: ((payment: SentPayment) => unknown) | undefined
  /** Called when a request was refused before any payment: by policy, budget, `beforeSign` or an access check. Not waited for. */
  readonly onRefused?: ((request: RequestSummary) => unknown) | undefined
  /** Called when a request has ended, however it ended. Not waited for. */
  readonly onRequest?: ((request: RequestSummary) => unknown) | undefined
  /** How long `beforeSign` may take, milliseconds, 1 to 300,000; default 5,000. */
  readonly timeoutMs?: number | undefined
}

/** The points at which a hook is called. */
export const HOOK_POINTS = ['beforeSign', 'afterSettle', 'onUncertain', 'onRefused', 'onRequest'] as const

/** One of {@link HOOK_POINTS}. */
export type HookPoint = (typeof HOOK_POINTS)[number]

/** Whether two sets of hooks are the same functions: given to two middlewares, they are called once. */
export function sameHooks(a: Hooks, b: Hooks): boolean {
  return HOOK_POINTS.every((point) => a[point] === b[point])
}
