/** What a process owes to people: calls that wait for their approval, and messages to a webhook that are not delivered yet. */

/** `approval`: a call that waits for a person · `message`: one to the webhook of `notify`. */
export const NOTICE_KINDS = ['approval', 'message'] as const

/** One of {@link NOTICE_KINDS}. */
export type NoticeKind = (typeof NOTICE_KINDS)[number]

/** A notice as it is added. */
export interface NewNotice {
  readonly id: string
  readonly kind: NoticeKind
  /** The process that takes care of it. */
  readonly instance: string
  /** Milliseconds since the epoch. */
  readonly at: number
  /** JSON: read by whoever wrote it, or took it over. */
  readonly body: string
}

/** A notice. */
export interface Notice extends NewNotice {
  /** How often its delivery was begun. */
  readonly attempts: number
  /** One word for how it ended; `undefined` while it is open. */
  readonly result: string | undefined
  /** Milliseconds since the epoch. */
  readonly endedAt: number | undefined
}

/** Which notices are listed. */
export interface NoticeQuery {
  readonly kind: NoticeKind
  /** `open`: the oldest first · `ended`: the newest end first. */
  readonly state: 'open' | 'ended'
  /** The most that are listed; default 1,000. */
  readonly limit?: number | undefined
}

/** How many ended notices are kept; the oldest go. */
export const MAX_ENDED_NOTICES = 1_000

/** The notices of a store. Every method is one transaction. */
export interface NoticeStore {
  /** Adds an open notice. @returns false when there is one with this id, which stays as it is */
  add(notice: NewNotice): Promise<boolean>
  /** Counts an attempt to deliver an open notice. @returns how many there were with this one; `undefined` when it is not open */
  attempt(id: string): Promise<number | undefined>
  /**
   * Ends an open notice. Only the newest {@link MAX_ENDED_NOTICES} ended ones are kept.
   * @param at milliseconds since the epoch
   * @returns false when it is not open: the first end counts
   */
  end(id: string, result: string, at: number): Promise<boolean>
  /** Removes a notice, open or ended. */
  remove(id: string): Promise<void>
  /** The notice with this id. */
  find(id: string): Promise<Notice | undefined>
  list(query: NoticeQuery): Promise<Notice[]>
  /** Gives the open notices of a process to another one. @returns those, the oldest first */
  adopt(from: string, to: string): Promise<Notice[]>
}
