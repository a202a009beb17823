/** What a replica of the Postgres bench does. */
export interface ReplicaTask {
  readonly address: string
  readonly replica: number
  /** Reservations at once. */
  readonly clients: number
  readonly seconds: number
  /** All on one budget, or each client on one of its own. */
  readonly isHot: boolean
  /** Only reserves, or does what a paid call does: reserves, records a signature durably, and settles durably. */
  readonly isPaid: boolean
}

/** What it measured; latencies in milliseconds. */
export interface ReplicaResult {
  readonly reservations: number
  readonly p50: number
  readonly p99: number
  /** What the process used from the first reservation to the last, milliseconds. */
  readonly cpuMs: number
}
