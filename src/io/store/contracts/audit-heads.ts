/** How far each audit file is durable, so that a truncated file is noticed. */

/** The last record of an audit file that is known to be durable. */
export interface AuditHeadNote {
  /** Absolute path. */
  readonly file: string
  readonly seq: number
  /** SHA-256, lower-case hex. */
  readonly hash: string
  /** Milliseconds since the epoch. */
  readonly at: number
}

/** The audit heads of a store. Every method is one transaction. */
export interface AuditHeadStore {
  /** Records how far an audit file is durable. Replaces the previous head of that file. */
  noteAuditHead(head: AuditHeadNote): Promise<void>
  /** The heads of all audit files, by path. */
  auditHeads(): Promise<AuditHeadNote[]>
}
