/** What a replica of the Postgres bench does. */
export interface ReplicaTask {
  readonly address: string
  readonly replica: number
  /** Reservations at once. */
  readonly clients: number
  readonly seconds: number
  /** All on one budget, or each client on one of its own. */
  readonly isHot: boolean
}

/** What it measured; latencies in milliseconds. */
export interface ReplicaResult {
  readonly reservations: number
  readonly p50: number
  readonly p99: number
}
