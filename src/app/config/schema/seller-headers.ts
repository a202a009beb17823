/** Header settings shared by every kind of payer that is configured with sellers. */
import { z } from 'zod'
import { PAYMENT_HEADER_CHOICES } from '../../../core/x402/payment-headers.ts'
import * as leaf from './scalar-fields.ts'

/** Keys of an entry of `payers`. A route's own `payment_header` and `user_agent` take precedence. */
export const sellerHeaders = {
  header: z.enum(PAYMENT_HEADER_CHOICES).optional().meta({
    description:
      "The header that x402 v2 payments are sent in. `auto`: PAYMENT-SIGNATURE, and X-PAYMENT too for Obol's sellers and those that know no v2 headers.",
    example: 'auto',
  }),
  user_agent: leaf.userAgent().optional().meta({
    description: 'User-Agent sent to sellers; default `tollway`.',
    example: 'my-gateway/1.0',
  }),
} as const
