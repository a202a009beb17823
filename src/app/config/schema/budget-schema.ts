/** Spending limits, and the tags by which budgets can distinguish requests. */
import { z } from 'zod'
import { MAX_DECLARED_TAGS, MAX_OPEN_TAGS } from '../../../core/budget/tags.ts'
import * as own from './budget-fields.ts'
import * as leaf from './scalar-fields.ts'

/** The most tokens or requests of a limit. */
const MAX_COUNT = 1_000_000_000_000

export const budget = z.strictObject({
  name: leaf.name().meta({ description: 'Unique; shown in refusals and metrics.', example: 'all' }),
  limit_usd: leaf.usd().optional().meta({
    description: 'The limit of one window in USD, a decimal string. Or limit and asset.',
    example: '"5.00"',
  }),
  limits: z.record(own.subject(), leaf.usd()).optional().meta({
    description:
      'Limits of single subjects in USD, by name or pattern with *; the most specific one holds. `default`, or limit_usd, is for all others; without either they are not limited. Only with per.',
    example: '{ ci: "1.00", "prod-*": "20.00", default: "0.50" }',
  }),
  limit_tokens: z.int().min(0).max(MAX_COUNT).optional().meta({
    description:
      'The limit of one window in model tokens, input and output together, instead of limit_usd. Counts paid and keyed requests.',
    example: '1000000',
  }),
  limit_requests: z.int().min(0).max(MAX_COUNT).optional().meta({
    description: 'The limit of one window in requests, paid and keyed, instead of limit_usd.',
    example: '500',
  }),
  match: z.record(own.matchKey(), own.names()).optional().meta({
    description:
      'Only requests that match count: by caller, team, model (any of its names), route (a model_name), payer, seller (origin or host), tag or tag.<name>; each a name, a pattern with *, or a list. Every key must match.',
    example: '{ caller: ci, model: ["paid/opus*", gpt-4o] }',
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
  per: own.scope().optional().meta({
    description:
      'One limit for each caller, team, model (its model_name), payer, seller or tag, or for each value of one kind of tags, such as tag.session. Without it, one limit for all.',
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
  when_exhausted: z
    .strictObject({
      route_to: leaf.model().meta({
        description: 'A model whose routes have no payer. Its own budgets apply.',
        example: 'local-llama',
      }),
    })
    .optional()
    .meta({
      description:
        'What is asked instead of refusing a request that this budget has no room for. Without it the request is refused. The answer says so in x-tollway-exhausted.',
      example: '{ route_to: local-llama }',
    }),
  alert: z.enum(['critical', 'warning', 'none']).optional().meta({
    description:
      'Severity of its alerts in Prometheus; none raises none. Default: critical, and warning with per, where one subject of many is concerned. A budget with enforce: false raises none.',
    example: 'warning',
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
        'The tags that budgets per tag distinguish, exactly as they are sent. Every other tag counts as `other`, unless its kind is open.',
      example: '["team:search", "agent:main"]',
    }),
    open: z.array(own.tagName()).max(MAX_OPEN_TAGS).default([]).meta({
      description:
        'Kinds of tags that need no declaration: with session, every session:<id> has its own limit and sum.',
      example: '[session, agent]',
    }),
  })
  .prefault({})
  .meta({ description: 'Labels that clients put on requests; used by budgets per tag.' })
