import { z } from 'zod'

/** What the gateway's process is told. */
export const HistoryInput = z.strictObject({
  /** The ledger's file. */
  ledger: z.string(),
  /** Where the audit file and the log are kept. */
  directory: z.string(),
})

/** Milliseconds of each call, the gateway's CPU time per call, and the longest hold of its event loop during them. */
const Timed = z.strictObject({ ms: z.array(z.number()), cpuMs: z.number(), hold: z.number() })

/** What was measured on one ledger. */
export const HistorySample = z.strictObject({
  charges: z.number(),
  bytes: z.number(),
  /** From the start of the process until the gateway listens. */
  startMs: z.array(z.number()),
  /** CPU of the process until then. */
  startCpuMs: z.array(z.number()),
  /** By what was asked. */
  reads: z.record(z.string(), Timed),
  /** The whole command, its start included. */
  reportMs: z.record(z.string(), z.array(z.number())),
  /** CPU of an idle gateway, a share of one core. */
  idle: z.number(),
  idleHold: z.number(),
  /** Charges a second, from reservation to settlement, with 64 at a time. */
  chargesPerSecond: z.array(z.number()),
})

/** See {@link HistorySample}. */
export type HistorySample = z.infer<typeof HistorySample>

/** The raw samples of a run. */
export const HistoryResult = z.strictObject({
  date: z.string(),
  node: z.string(),
  cpu: z.string(),
  cores: z.number(),
  /** Running tasks per core, on average, at the start: other work on the machine disturbs the figures. */
  load: z.number(),
  samples: z.array(HistorySample),
})

/** See {@link HistoryResult}. */
export type HistoryResult = z.infer<typeof HistoryResult>
