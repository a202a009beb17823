/** Spending limits, and the tags by which budgets can distinguish requests. */
import { z } from 'zod'
import { SCOPES } from '../../../core/budget/budget.ts'
import { MAX_DECLARED_TAGS } from '../../../core/budget/tags.ts'
import * as leaf from './scalar-fields.ts'

export const budget = z.strictObject({
  name: leaf.name().meta({ description: 'Unique; shown in refusals and metrics.', example: 'all' }),
  limit_usd: leaf.usd().optional().meta({
    description: 'The limit of one window in USD, a decimal string. Or limit and asset.',
    example: '"5.00"',
  }),
  limit: leaf.atomic().optional().meta({
    description: 'The limit of one window in the smallest units of the asset, instead of limit_usd.',
    example: '"1000000000000000000"',
  }),
  asset: leaf.symbol().optional().meta({
    description:
      'Symbol of the token that limit counts, on every network that has it. Payments in other tokens do not count.',
    example: 'OBOL',
  }),
  window: leaf.window().meta({
    description:
      'How long the limit lasts. `request`, `lifetime`, the calendar windows `hour`, `day`, `week` and `month`, or a rolling length such as `30m`, `24h` or `7d`.',
    example: 'day',
  }),
  timezone: leaf
    .timezone()
    .default('UTC')
    .meta({ description: 'IANA time zone of the boundaries of calendar windows.', example: 'Europe/Berlin' }),
  per: z.enum(SCOPES).optional().meta({
    description:
      'One limit for each caller, model (its model_name), payer, seller or tag. Without it, one limit for all.',
    example: 'caller',
  }),
  soft_usd: leaf.usd().optional().meta({
    description:
      'When spending passes it: a log line, an audit record and a metric, once per window and subject. Refuses nothing.',
    example: '"4.00"',
  }),
  enforce: z.boolean().default(true).meta({
    description: 'false: records what it would have refused, and refuses nothing.',
    example: 'false',
  }),
})

export const tags = z
  .strictObject({
    header: leaf.headerName().default('x-tollway-tags').meta({
      description: 'Request header that carries the tags, separated by commas; at most 10 are used.',
      example: 'x-tollway-tags',
    }),
    declared: z.array(leaf.tag()).max(MAX_DECLARED_TAGS).default([]).meta({
      description:
        'The tags that budgets per tag distinguish, exactly as they are sent. Every other tag counts as `other`.',
      example: '["team:search", "agent:main"]',
    }),
  })
  .prefault({})
  .meta({ description: 'Labels that clients put on requests; used by budgets per tag.' })
