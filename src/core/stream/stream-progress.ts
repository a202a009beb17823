import type { StreamEvent } from './stream-json.ts'
import type { Usage } from './usage.ts'
import type { TruncationFallback } from './truncation.ts'

/**
 * What one event was: `whole` understood · `usage` understood, and nothing but the token counts · `partial` not one JSON
 * object (nor `[DONE]`) · or the seller's words of an error.
 */
export type ReadEvent = { readonly error: string } | 'whole' | 'usage' | 'partial'

/** How far a stream has come, and how it is ended. */
export interface StreamProgress {
  /** Reads the data of one event. */
  read(value: Buffer): ReadEvent
  /** Whether there is something to deliver: content, or the proper end of an answer without any. */
  readonly hasContent: boolean
  /** Whether the answer is whole. */
  readonly complete: boolean
  /** Whether the answer is whole if nothing follows: it has a finish reason that is not known. */
  readonly mayBeComplete: boolean
  /** Whether the protocol's last event came (`[DONE]`, `message_stop`, `response.completed`): nothing of the answer follows. */
  readonly ended: boolean
  readonly usage: Usage | undefined
  /** The name that the event read last has by its protocol; `undefined` where events have none, or it is not known. */
  readonly eventName: string | undefined
  /** What a whole answer still lacks for clients that wait for the protocol's last event. */
  closing(): StreamEvent[]
  /** Ends a broken answer as one that met its length limit. */
  truncatedEnd(fallback: TruncationFallback): StreamEvent[]
  /** Ends a broken answer with an error. */
  errorEnd(): StreamEvent[]
}
