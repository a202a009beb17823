/** `kind: obol, mode: pool`: pre-signed payments, from the files of Obol's x402-buyer or from the store. */
import { z } from 'zod'
import * as leaf from './scalar-fields.ts'

/** Longest time that a voucher may stay unused, days; x402-buyer's own vouchers are valid for 30. */
/** A year: x402-buyer signs for 30 days by default, and without an end if it is configured to. */
const MAX_VALIDITY_SECONDS = 366 * 86_400
const MAX_AGE_DAYS = 365

/** The shape of an entry with `kind: obol, mode: pool`. */
export const obolPool = z
  .strictObject({
    kind: z.literal('obol').meta({
      description: "How it pays: `obol` with Obol's pre-signed payments.",
      example: 'obol',
    }),
    mode: z.literal('pool').meta({
      description:
        "`pool`: loads x402-buyer's files and needs no key. Each upstream in them becomes a route `paid/<remoteModel>`.",
      example: 'pool',
    }),
    config: z.string().min(1).optional().meta({
      description:
        "x402-buyer's upstreams: a directory with one JSON file each, its single file, or PurchaseRequests. Without it the vouchers of `tollway buy` are used.",
      example: './buyer-config',
    }),
    auths: z.string().min(1).optional().meta({
      description: "x402-buyer's authorizations: a directory, or its single file.",
      example: './buyer-auths',
    }),
    state: z.string().min(1).optional().meta({
      description:
        "x402-buyer's consumed.json, read at start and kept up to date, so that it could take over again. One writer at a time.",
      example: './consumed.json',
    }),
    filled_by: z.string().min(1).optional().meta({
      description:
        'The payer under `payers` whose key signs its vouchers: the gateway then refills purchases in the background. Without it the gateway needs no key, and `tollway process` refills.',
      example: 'base',
    }),
    reload_seconds: z
      .number()
      .min(0)
      .max(86_400)
      .default(5)
      .transform((seconds) => Math.round(seconds * 1000))
      .meta({
        description: 'Seconds between reads of the files or of the purchases; 0 to read only on request.',
        example: '5',
      }),
    user_agent: leaf.userAgent().optional().meta({
      description:
        'User-Agent sent to sellers; default `tollway`. `tollway serve --obol` takes it from OBOL_BUYER_USER_AGENT.',
      example: 'obol-buy-x402/1.0',
    }),
    max_vouchers: z
      .int()
      .min(1)
      .max(1_000_000)
      .default(10_000)
      .meta({ description: 'How many vouchers may be unused at a time.', example: '10000' }),
    max_exposure_usd: leaf.usd().optional().meta({
      description: 'How much the unused vouchers may be worth together. More is not loaded.',
      example: '"50.00"',
    }),
    max_age_days: z
      .number()
      .positive()
      .max(MAX_AGE_DAYS)
      .default(MAX_AGE_DAYS)
      .transform((days) => Math.round(days * 86_400_000))
      .meta({ description: 'How long after it was loaded a voucher may be used.', example: '30' }),
    max_validity_seconds: z
      .int()
      .min(10)
      .max(MAX_VALIDITY_SECONDS)
      .default(MAX_VALIDITY_SECONDS)
      .transform((seconds) => seconds * 1000)
      .meta({
        description:
          'How far in the future a voucher may expire when it is loaded. One that is valid for longer is not.',
        example: '2678400',
      }),
  })
  .superRefine((entry, context) => {
    if (entry.filled_by !== undefined && entry.config !== undefined) {
      const message =
        'cannot be combined with config: Tollway does not refill vouchers that are kept in files. Remove one of the two.'
      context.addIssue({ code: 'custom', path: ['filled_by'], message })
    }
    for (const name of ['auths', 'state'] as const) {
      if (entry[name] === undefined || entry.config !== undefined) continue
      const message = 'needs config. Name the upstreams with config too.'
      context.addIssue({ code: 'custom', path: [name], message })
    }
  })

/** The output type of {@link obolPool}. */
export type CheckedObolPool = z.output<typeof obolPool>
