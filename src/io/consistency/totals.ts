/** What was authorized, and how much of it is settled; micro-USD. */
export interface Totals {
  readonly authorized: bigint
  readonly settled: bigint
}
