/**
 * When two requests are one. Whatever a client means as two requests is paid twice; what it sends again
 * because it never got its answer is paid once. docs/idempotency.md has the same rules as a table.
 */
import { TollwayError } from '../errors.ts'

/** How long a paid request is remembered, milliseconds: its key pays nothing a second time. */
export const REMEMBERED_MS = 24 * 60 * 60_000

/** How long after its end an attempt may be taken for the one that an unnamed request repeats, milliseconds. */
export const REPEAT_MS = 120_000

/** The longest `Idempotency-Key`, characters. */
export const MAX_KEY_LENGTH = 255

/** A request as the store keeps it: keyed digests, so that a short prompt cannot be guessed from them. */
export interface RequestMark {
  /** Of scope and `Idempotency-Key`, or of scope, `x-request-id` and body; `undefined` when the request has no name. */
  readonly name: string | undefined
  /** Of scope and body. */
  readonly body: string
  /** Of caller, method, path, and the body without its model: the same call, whichever model it names. */
  readonly call?: string | undefined
  /** The charge that the same request reserved before and that holds its name: the new one takes the name over. */
  readonly after?: string | undefined
  /** How the request presented itself; without it only the name is compared when it reserves. */
  readonly presented?: Presented | undefined
  /** When the request came, milliseconds since the epoch. */
  readonly cameAt?: number | undefined
  /** The charge of an earlier request with this body: since then the client sent another one to this process, which paid nothing. */
  readonly earlier?: string | undefined
}

/**
 * Within what two requests can be one: the client's own words only. The route that would serve the request is no part of it,
 * because health, `when` conditions, another replica's view and an edited configuration change it between two attempts.
 */
export interface RequestScope {
  readonly caller: string
  readonly method: string
  /** The endpoint without `/v1`, or the path as the client sent it where it is for none. */
  readonly path: string
  /** With its `?`, or empty. */
  readonly query: string
  /** As the client named it: an alias is not resolved. */
  readonly model: string
}

/** What a request says about itself. */
export interface Presented {
  /** What names it: only `Idempotency-Key` also names it against other bodies. */
  readonly named: 'idempotency-key' | 'x-request-id' | undefined
  /** `x-stainless-retry-count` is above 0: the client says that it repeats itself. */
  readonly isRetry: boolean
}

/** An earlier request that may be the same one. */
export interface RepeatableRequest {
  /** {@link RequestMark.body}. */
  readonly body: string
  /**
   * - `running`: not answered yet, or its answer is still coming.
   * - `unpaid`: ended without a payment; a repeat is a new request.
   * - `delivered`: paid, and a client got the answer to its end, or as much of a stream as it wanted.
   * - `failed`: paid or perhaps paid, and the client got an error, nothing, or an answer that was cut.
   */
  readonly state: 'running' | 'unpaid' | 'delivered' | 'failed'
  /** Whether no client waits for it any more and none ever got a byte. */
  readonly abandoned: boolean
  readonly startedAt: number
  /** Milliseconds since the epoch; `undefined` while it runs. */
  readonly endedAt: number | undefined
}

/** What to do with a request: pay for it, answer it with what an earlier one came to, or refuse it. */
export type RepeatDecision<A extends RepeatableRequest> =
  | { readonly kind: 'fresh' }
  | { readonly kind: 'same'; readonly attempt: A }
  | { readonly kind: 'conflict' }

/**
 * Decides whether a request is the same as an earlier one.
 * @param named the newest attempt under its name
 * @param newest the caller's newest attempt with the same body, of the same scope
 * @param otherModel the caller's newest attempt at the same call under another model that got no answer: a proxy in front
 *   falls back from one paid model to another, which would be a second payment for one call (rule 5)
 * @param now milliseconds since the epoch
 */
export function decideRepeat<A extends RepeatableRequest>(
  presented: Presented,
  body: string,
  named: A | undefined,
  newest: A | undefined,
  otherModel: A | undefined,
  now: number,
): RepeatDecision<A> {
  if (presented.named !== undefined && named && named.state !== 'unpaid') {
    return named.body === body ? { kind: 'same', attempt: named } : { kind: 'conflict' }
  }
  // A key of its own says: this is another request, whatever its body.
  if (presented.named === 'idempotency-key') return { kind: 'fresh' }
  if (newest && newest.state !== 'unpaid' && newest.body === body) {
    const isSame = isRecent(newest, now) && (presented.isRetry || isNeverAnswered(newest))
    if (isSame) return { kind: 'same', attempt: newest }
  }
  return otherModel && fallsBackFrom(presented, otherModel, now)
    ? { kind: 'same', attempt: otherModel }
    : { kind: 'fresh' }
}

/**
 * Whether a request is the fallback of the same call for another model, which was paid, or perhaps paid, and got no answer. A key of
 * its own says that it is another request.
 * @param now milliseconds since the epoch
 */
export function fallsBackFrom(presented: Presented, otherModel: RepeatableRequest, now: number): boolean {
  return presented.named !== 'idempotency-key' && isRecent(otherModel, now) && isNeverAnswered(otherModel)
}

/** Whether a request was paid, or may still be, and no client got a byte of its answer. */
export function isNeverAnswered({ state, abandoned }: RepeatableRequest): boolean {
  return state === 'failed' || (state === 'running' && abandoned)
}

function isRecent({ endedAt }: RepeatableRequest, now: number): boolean {
  return endedAt === undefined || now - endedAt <= REPEAT_MS
}

/** Another body under a key that was used: the client mixed two requests up, and neither answer would be right. */
export function idempotencyConflict(): TollwayError {
  return new TollwayError({
    code: 'idempotency_conflict',
    message: 'Another body was sent under the same Idempotency-Key in the last 24 hours; nothing was paid.',
    advice: ['Send one key with one body, and a new key for a new request.'],
    param: 'Idempotency-Key',
  })
}

/** A key that cannot be kept: going on without it might pay twice. */
export function unusableKey(): TollwayError {
  return new TollwayError({
    code: 'idempotency_conflict',
    message: `The Idempotency-Key is not 1 to ${MAX_KEY_LENGTH} printable ASCII characters; nothing was paid.`,
    advice: ['Send a UUID, for example.'],
    param: 'Idempotency-Key',
  })
}

/** The same request is in flight in another process, and this one cannot wait for it. */
export function requestInProgress(): TollwayError {
  return new TollwayError({
    code: 'request_in_progress',
    message: 'The same request is being paid by another process of this gateway; this one paid nothing.',
    advice: ['Send it again in a moment: it is never paid twice.'],
    headers: { 'retry-after': '2' },
  })
}
