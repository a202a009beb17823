/** The raw figures of `npm run bench -- peers`. */
import { z } from 'zod'

const Round = z.strictObject({ p50: z.number(), perSecond: z.number() })

/** One lane: rounds of both ways, measured in turns. */
const Lane = z.strictObject({
  delayMs: z.number(),
  parallel: z.number(),
  rounds: z.array(z.strictObject({ direct: Round, tollway: Round })),
  /** CPU time of the gateway's process per call, all threads, milliseconds; one figure a round. */
  cpuMs: z.array(z.number()),
  /** The same of the process that calls the seller directly, which is the official client's. */
  directCpuMs: z.array(z.number()).optional(),
})

/** See the file's head. */
export const PeersResult = z.strictObject({
  date: z.string(),
  node: z.string(),
  cpu: z.string(),
  cores: z.number(),
  tollway: z.string(),
  x402Fetch: z.string(),
  /** Requests that the seller got for each paid answer. */
  requestsPerAnswer: z.number(),
  paid: z.array(Lane),
  unpaid: z.array(Lane),
})

/** See {@link PeersResult}. */
export type PeersResult = z.infer<typeof PeersResult>
