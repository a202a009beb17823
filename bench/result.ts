import { z } from 'zod'

/** Milliseconds, kept to the microsecond. */
const Samples = z.array(z.number().nonnegative()).min(1)
const Pair = z.strictObject({ direct: Samples, tollway: Samples })
const Memory = z.strictObject({ before: z.int().positive(), during: z.int().positive() })
const Streams = z.strictObject({
  /** From sending the request to the first event, one per stream. */
  firstEventMs: Samples,
  /** From event to event, all streams of the round. */
  gapsMs: Samples,
})

/** Which books a ledger figure was taken on. */
export const LEDGERS = ['memory', 'sqlite', 'sqlite and audit file'] as const

/** Everything `npm run bench` measured: raw samples, from which every figure in docs/benchmarks.md is computed. */
export const Result = z.strictObject({
  date: z.iso.date(),
  node: z.string(),
  cpu: z.string(),
  cores: z.int().positive(),
  tollway: z.string(),
  x402Fetch: z.string(),
  /** A paid call: the official client against the seller, and Tollway against the same seller. */
  paid: z.array(Pair),
  /** An unpaid POST of 1,024 bytes of JSON, and the CPU time the gateway's process took for each. */
  unpaid: z.array(Pair.extend({ gatewayCpuMs: z.number().positive() })),
  /** An unpaid stream of 64 events, 5 ms apart. */
  stream: z.array(z.strictObject({ direct: Streams, tollway: Streams })),
  /** What one append and fsync of 4,096 bytes takes on the disk the ledgers were on. */
  fsyncMs: Samples,
  /** Charges taken through reserve, authorize and settle. */
  ledger: z.array(
    z.strictObject({
      books: z.enum(LEDGERS),
      concurrency: z.int().positive(),
      charges: z.int().positive(),
      ms: z.number().positive(),
    }),
  ),
  /** Verifying an audit file; results before it was measured have none. */
  audit: z
    .strictObject({
      records: z.int().positive(),
      bytes: z.int().positive(),
      ms: Samples,
      /** By how much the process grew meanwhile, resident memory. */
      grownBytes: z.int().nonnegative(),
    })
    .optional(),
  /** Buying vouchers, and signing as many with viem alone; results before it was measured have none. */
  buy: z
    .strictObject({
      vouchers: z.int().positive(),
      /** The whole, by the round. */
      ms: Pair,
      /** By how much the memory in use grew between the first batch and the last. */
      grownBytes: z.int().nonnegative(),
    })
    .optional(),
  /** Many streams of one event a second at once; results before it was measured have none. */
  slowStreams: z
    .strictObject({
      streams: z.int().positive(),
      /** All that came through. */
      events: z.int().positive(),
      /** Streams that did not come whole, or lack an event. */
      dropped: z.int().nonnegative(),
      /** Of further streams, opened while the many are under way. */
      firstEventMs: z.array(Pair),
      /** From the seller's write to the client's read: one event of each stream, taken at one moment. */
      lagMs: Pair,
      /** Heap and buffers in use after a collection. */
      liveBytes: Memory,
      /** Resident memory of the process. */
      rssBytes: Memory,
    })
    .optional(),
})

/** See {@link Result}. */
export type Result = z.infer<typeof Result>

/** To the microsecond: finer is noise, and the files stay readable. */
export function round(ms: number): number {
  return Math.round(ms * 1000) / 1000
}
