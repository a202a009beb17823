/** The webhook that is told of budgets. */
import { z } from 'zod'
import { WHOLE_LEVEL } from '../../../core/budget/notice-level.ts'
import { parseRatio } from '../../../core/policy/price-change.ts'
import * as leaf from './scalar-fields.ts'

const FAULT = 'must be a share of the limit above 0 and up to 1, with at most 6 decimals, such as 0.8.'
const MAX_LEVELS = 10

/** Millionths. YAML reads 0.8 as a number, and no share is money: both forms are accepted. */
const level = z
  .union([z.string(), z.number()])
  .transform((value, context): bigint => {
    const share = parseRatio(String(value))
    if (share !== undefined && share > 0n && share <= WHOLE_LEVEL) return share
    context.addIssue({ code: 'custom', message: FAULT })
    return z.NEVER
  })
  .meta({ fault: FAULT, type: 'shares' })

export const notify = z
  .strictObject({
    url: leaf.webhookUrl().meta({
      description:
        'Where messages are posted. It may be on a private network, and may hold a reference such as `${env:NAME}`.',
      example: 'https://ops.example.com/hook',
    }),
    secret: leaf.webhookSecret().meta({
      description:
        'Signs every message (HMAC-SHA256, Standard Webhooks): at least 16 characters, or `whsec_` and base64.',
      example: '"${env:NOTIFY_SECRET}"',
    }),
    page: leaf.pageUrl().optional().meta({
      description:
        'The spend page as those who read the messages reach it, for links. Default: at the listen address.',
      example: 'https://tollway.example.com/dashboard',
    }),
    at: z.array(level).min(1).max(MAX_LEVELS).prefault(['0.5', '0.8', '1']).meta({
      description:
        'Shares of a limit at which a message is sent, once for each budget, subject and window. A refused call counts as 1.',
      example: '[0.5, 0.8, 1]',
    }),
  })
  .optional()
  .meta({ description: 'A webhook that is told when budgets fill up (docs/notify.md).' })
