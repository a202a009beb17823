import { z } from 'zod'

/** What the world's process tells. */
export const WorldFacts = z.strictObject({
  /** API base of the official x402 seller. */
  seller: z.string(),
  /** API base that answers for nothing. */
  upstream: z.string(),
})

/** See {@link WorldFacts}. */
export type WorldFacts = z.infer<typeof WorldFacts>

/** What the gateway's process tells. */
export const GatewayFacts = z.strictObject({ url: z.string() })
