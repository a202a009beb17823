/** The default upstream, the callers, and the routes. */
import { z } from 'zod'
import { callerOptions, routeOptions } from './route-schema.ts'
import * as leaf from './scalar-fields.ts'
import { streamRouteOptions } from './stream-schema.ts'

export const upstream = z
  .strictObject({
    api_base: leaf.apiBase().meta({
      description: 'Base URL of the gateway or API behind Tollway.',
      example: 'http://127.0.0.1:4000/v1',
    }),
    api_key: leaf.headerKey().optional().meta({
      description: 'Bearer key sent to it. The client never sees it.',
      example: '"${env:LITELLM_KEY}"',
    }),
    provider: leaf.provider().optional().meta({
      description: 'Its name in metrics and traces (gen_ai.provider.name). Default: the host of api_base.',
      example: 'openai',
    }),
    allow_paths: z.array(leaf.allowedPath()).default([]).meta({
      description:
        'Paths passed through in addition to the built-in ones; a final /* matches everything below.',
      example: '[/assistants/*]',
    }),
  })
  .optional()
  .meta({ description: 'Where requests that match no route are sent. Without it they get a 404.' })

export const caller = z.strictObject({
  id: leaf
    .callerId()
    .meta({ description: 'Name in audit records and metrics; unique.', example: 'openclaw' }),
  key: leaf.headerKey().meta({
    description: 'The bearer key this caller sends. Only its SHA-256 is kept.',
    example: '"${env:TOLLWAY_KEY}"',
  }),
  models: z
    .array(leaf.model())
    .min(1)
    .default(['*'])
    .meta({ description: 'Models it may use, exact or with *.', example: '["paid/*"]' }),
  ...callerOptions,
})

export const route = z.strictObject({
  model_name: leaf.model().meta({
    description: 'The name clients use, exact or with *. The most specific name wins.',
    example: '"paid/*"',
  }),
  model: leaf.model().optional().meta({
    description:
      "The seller's name for it. A * is replaced by what the * of model_name matched. Default: unchanged.",
    example: '"*"',
  }),
  api_base: leaf.apiBase().meta({
    description: 'Base URL of the seller or API. Paid routes need https, except on this machine.',
    example: 'https://seller.example.com/v1',
  }),
  api_key: leaf.headerKey().optional().meta({
    description: 'Bearer key of an API that takes a key instead of a payment. Cannot be combined with payer.',
    example: '"${env:OPENAI_API_KEY}"',
  }),
  payer: z.string().optional().meta({
    description: 'Name of the payer, from payers. Without it the route is unpaid.',
    example: 'base',
  }),
  order: z
    .int()
    .min(0)
    .max(1_000_000)
    .default(0)
    .meta({ description: 'Among routes of one name, lower is tried first.', example: '1' }),
  ...routeOptions,
  ...streamRouteOptions,
})
