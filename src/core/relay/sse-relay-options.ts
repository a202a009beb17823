/** How an event stream is relayed. */
import type { CostSplicer } from '../stream/cost-splicer.ts'
import type { AnswerKind } from '../stream/stream-json.ts'

/** Longest line that is held; a longer one is passed on as it arrives, and only its outline is read. */
export const MAX_LINE_BYTES = 262_144

export interface SseRelayOptions {
  /**
   * Sets the cost in the usage objects of one event; `undefined` leaves events as they are.
   * @param isRead whether the event was read before it is passed on, so that its usage is known
   */
  readonly splicer: ((isRead: boolean) => CostSplicer | undefined) | undefined
  /** Upstreams with a key: errors go on as they came, and a stream that breaks off is cut off. */
  readonly passesErrors?: boolean | undefined
  readonly shape: AnswerKind | 'other'
  /** The client did not ask for the usage chunk: it is read and not passed on. */
  readonly stripUsage?: boolean | undefined
  /** The client asked for the usage chunk: a truncated stream gets one too. */
  readonly tellsUsage?: boolean | undefined
  readonly onTruncated: 'length' | 'error'
  /** Default {@link MAX_LINE_BYTES}. */
  readonly maxLineBytes?: number | undefined
}
