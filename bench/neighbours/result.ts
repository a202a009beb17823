import { z } from 'zod'

const Samples = z.array(z.number().nonnegative()).min(1)

/** Whom a request goes through. */
export const WAYS = ['direct', 'tollway', 'portkey', 'litellm'] as const
export type Way = (typeof WAYS)[number]

const Burst = z.strictObject({
  /** Calls that got an answer. */
  answered: z.int().nonnegative(),
  /** What the answered calls cost together, micro-USD. */
  spentMicroUsd: z.int().nonnegative(),
  /** Status of one more call after all were over. */
  next: z.int(),
})

/** Everything `npm run bench -- neighbours` measured. */
export const NeighboursResult = z.strictObject({
  date: z.iso.date(),
  node: z.string(),
  cpu: z.string(),
  cores: z.int().positive(),
  tollway: z.string(),
  litellm: z.string(),
  portkey: z.string(),
  /** An unpaid chat request of 1,024 bytes, one after the other: samples in ms, by the round. */
  unpaid: z.array(z.record(z.enum(WAYS), Samples)).min(1),
  /** Calls of `priceMicroUsd` at once under a budget of `limitMicroUsd`. */
  budget: z.strictObject({
    calls: z.int().positive(),
    priceMicroUsd: z.int().positive(),
    limitMicroUsd: z.int().positive(),
    rounds: z.array(z.strictObject({ tollway: Burst, litellm: Burst })).min(1),
  }),
})

/** See {@link NeighboursResult}. */
export type NeighboursResult = z.infer<typeof NeighboursResult>
