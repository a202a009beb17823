import type { CallToApprove } from '../../core/approval/approval.ts'

/** A call that waits. */
export interface WaitingCall {
  /** `apr_` and eight characters. */
  readonly id: string
  readonly call: CallToApprove
  /** Milliseconds since the epoch. */
  readonly since: number
  /** When it is refused unless someone approves it, milliseconds since the epoch. */
  readonly until: number
}
