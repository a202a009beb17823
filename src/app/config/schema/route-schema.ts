/** Further keys of routes and callers, and the sections `router` and `keys`. */
import { z } from 'zod'
import { PAYMENT_HEADER_CHOICES } from '../../../core/x402/payment-headers.ts'
import { STRATEGIES } from '../../../core/routing/route-order.ts'
import { ROUTER_DEFAULTS } from '../../../core/routing/router-state.ts'
import * as onChain from './chain-fields.ts'
import { endpoint } from './endpoint-field.ts'
import * as budgetFields from './budget-fields.ts'
import * as leaf from './scalar-fields.ts'

const DAY_SECONDS = 86_400
const MAX_TOKENS = 1_000_000_000

const when = z
  .strictObject({
    callers: z
      .array(leaf.model())
      .min(1)
      .optional()
      .meta({ description: 'Caller ids, exact or with *.', example: '[team-search]' }),
    headers: z.record(leaf.headerName(), leaf.model()).optional().meta({
      description: 'Request headers and the value each must have, exact or with *.',
      example: '{ x-tier: premium }',
    }),
  })
  .optional()
  .meta({
    description:
      'The route applies only to requests that match. Conditional routes are tried before unconditional ones of the same name.',
  })

const modelInfo = z
  .strictObject({
    context_window: z
      .int()
      .min(1)
      .max(MAX_TOKENS)
      .optional()
      .meta({ description: 'Tokens of input and output together.', example: '128000' }),
    max_output_tokens: z
      .int()
      .min(1)
      .max(MAX_TOKENS)
      .optional()
      .meta({ description: 'Tokens of one answer.', example: '16384' }),
    usd_per_request: leaf.usd().optional().meta({
      description: 'Price of one request; also what `strategy: cheapest` goes by.',
      example: '"0.002"',
    }),
    input_usd_per_token: leaf.perToken().optional().meta({
      description: 'Price of an input token.',
      example: '"0.0000025"',
    }),
    output_usd_per_token: leaf.perToken().optional().meta({
      description: 'Price of an output token.',
      example: '"0.00001"',
    }),
    reasoning_usd_per_token: leaf.perToken().optional().meta({
      description: 'Price of a reasoning token, where it differs from other output.',
      example: '"0.00002"',
    }),
    cached_input_usd_per_token: leaf.perToken().optional().meta({
      description: 'Price of an input token that was read from a cache, where it differs from other input.',
      example: '"0.00000125"',
    }),
    cache_write_usd_per_token: leaf.perToken().optional().meta({
      description: 'Price of an input token that was written to a cache, where it differs from other input.',
      example: '"0.000003125"',
    }),
    input_usd_per_image: leaf.perToken().optional().meta({
      description:
        'Price of a picture in the request; at /images/*, of one that is made, unless output_usd_per_image is given.',
      example: '"0.001"',
    }),
    output_usd_per_image: leaf.perToken().optional().meta({
      description: 'Price of a picture that /images/* makes.',
      example: '"0.04"',
    }),
    input_usd_per_second: leaf.perToken().optional().meta({
      description:
        'Price of a second: of the audio at /audio/transcriptions and /audio/translations, elsewhere of the time that the call takes.',
      example: '"0.0001"',
    }),
    output_usd_per_second: leaf.perToken().optional().meta({
      description: 'The same as input_usd_per_second; the higher of the two counts.',
      example: '"0.0001"',
    }),
  })
  .optional()
  .meta({
    description:
      'Shown to clients at GET /v1/models. The prices of a route without payer are what its calls count for in budgets; those of a paid route change nothing: its quotes count.',
  })

const timeouts = z
  .strictObject({
    connect_seconds: leaf
      .seconds(600)
      .optional()
      .meta({ description: 'To reach this seller or upstream.', example: '5' }),
    first_byte_seconds: leaf
      .seconds(DAY_SECONDS)
      .optional()
      .meta({ description: 'From the request to the first byte of the answer.', example: '120' }),
    idle_seconds: leaf
      .seconds(DAY_SECONDS)
      .optional()
      .meta({ description: 'Longest silence inside an answer.', example: '60' }),
    total_seconds: leaf
      .seconds(DAY_SECONDS)
      .optional()
      .meta({ description: 'The whole call.', example: '600' }),
  })
  .optional()
  .meta({ description: 'Timeouts of this route, in seconds. Those not given here are taken from timeouts.' })

/** Further keys of an entry of `model_list`. */
export const routeOptions = {
  provider: leaf.provider().optional().meta({
    description:
      'Name of the provider in metrics and traces (gen_ai.provider.name). Default: the host of api_base.',
    example: 'openai',
  }),
  weight: z.int().min(0).max(1_000_000).optional().meta({
    description:
      'Share of the requests among routes of one name and order, with `strategy: weighted`. 0 is tried last. Default 1.',
    example: '3',
  }),
  max_parallel_requests: z.int().min(1).max(1_000_000).optional().meta({
    description: 'Most requests under way at once. Further ones go to the next route, or are answered 503.',
    example: '8',
  }),
  max_retries: z.int().min(0).max(10).optional().meta({
    description: 'How often an unpaid send is repeated, instead of router.num_retries.',
    example: '1',
  }),
  drop_params: z.array(z.string().min(1).max(100)).min(1).optional().meta({
    description: 'Top-level fields taken out of a JSON body before it is sent; the rest stays as it is.',
    example: '[store, service_tier]',
  }),
  catalogue: z.boolean().optional().meta({
    description:
      'Whether the seller lists its models and prices at `<api_base>/models`: GET /v1/models then lists them (a pattern by the real names), and `strategy: cheapest` uses them until a price was paid. Without payer they are what calls count for in budgets, where model_info has no prices. Default: only where an agentcash payer pays BlockRun.',
    example: 'true',
  }),
  paid_endpoints: z.array(endpoint()).min(1).optional().meta({
    description:
      'The endpoints this route pays for; at any other it asks the seller without a payment. Default: all but /messages/count_tokens and /responses/input_tokens, which are estimated here when the seller charges for them. Only with payer.',
    example: '[/chat/completions, /messages]',
  }),
  reduce_max_tokens: z.int().min(1).max(MAX_TOKENS).optional().meta({
    description:
      'Asks once more with fewer answer tokens, down to this many, when the quote is above policy.max_usd_per_request; without payer, lowers them as far as the budgets have room. Only a limit that the client or default_max_tokens sets is lowered.',
    example: '256',
  }),
  default_max_tokens: z.int().min(1).max(MAX_TOKENS).optional().meta({
    description:
      'Limit on answer tokens that is sent where the client sets none: less is then reserved, or quoted. The header x-tollway-max-tokens tells it.',
    example: '4096',
  }),
  send_traceparent: z.boolean().optional().meta({
    description:
      'Whether the seller gets the traceparent of the request (W3C Trace Context), so that its spans join the trace; default false: the id links requests, and sellers are strangers. Only with payer: other upstreams always get it.',
    example: 'true',
  }),
  terms: z.enum(['remember', 'ask']).optional().meta({
    description:
      'Whether terms that proved stable are paid without asking for them first, instead of policy.terms. Only with payer.',
    example: 'ask',
  }),
  on_changed_terms: z.enum(['fail', 'pay_again']).optional().meta({
    description:
      'What to do where remembered terms turn out to have changed, instead of policy.on_changed_terms. Only with payer.',
    example: 'pay_again',
  }),
  payment_header: z.enum(PAYMENT_HEADER_CHOICES).optional().meta({
    description:
      'The header this seller reads payments from, instead of payers.<name>.header. Only with payer.',
    example: 'x-payment',
  }),
  pin: z
    .strictObject({
      network: onChain.network().meta({ description: 'Alias or CAIP-2 id.', example: 'base' }),
      asset: onChain.anyAddress().optional().meta({
        description: 'Contract of the token; on Solana its mint. Any token of the asset table if unset.',
        example: '"0x833589fcd6edb6e08f4c7c32d4f71b54bda02913"',
      }),
      pay_to: onChain.pinnedPayees().optional().meta({
        description: 'Addresses that may be paid, within what policy.sellers allows.',
        example: '["0x209693bc6afc0c5328ba36faf03c514ef312287c"]',
      }),
    })
    .optional()
    .meta({
      description:
        'The only terms this route pays, whatever else the seller offers: `tollway find` fills it in from a catalogue. Only with payer.',
    }),
  user_agent: leaf.userAgent().optional().meta({
    description: 'User-Agent sent to this seller, instead of payers.<name>.user_agent. Only with payer.',
    example: 'my-gateway/1.0',
  }),
  when,
  timeouts,
  model_info: modelInfo,
} as const

const fallbackMap = () => z.array(z.record(leaf.model(), z.array(leaf.model()).min(1))).default([])

/** The `router` section. */
export const routerSchema = z
  .strictObject({
    fallbacks: fallbackMap().meta({
      description: 'Models tried in order when a model has no seller left that can serve.',
      example: '[{ "paid/*": [local-llama] }]',
    }),
    context_window_fallbacks: fallbackMap().meta({
      description: 'Models tried when an unpaid answer says that the request is too long for the model.',
      example: '[{ gpt-4o: [long-context] }]',
    }),
    content_policy_fallbacks: fallbackMap().meta({
      description: 'Models tried when an unpaid answer says that a content filter refused the request.',
      example: '[{ gpt-4o: [local-llama] }]',
    }),
    aliases: z.record(leaf.model(), leaf.model()).default({}).meta({
      description: 'Other names for models. They are listed, and may appear in the model lists of callers.',
      example: '{ fast: paid/qwen-turbo }',
    }),
    strategy: z.enum(STRATEGIES).default(ROUTER_DEFAULTS.strategy).meta({
      description:
        'Which of several routes with the same name and order is tried first: as listed, at random by weight, or the one with the lowest known price.',
      example: 'cheapest',
    }),
    num_retries: z
      .int()
      .min(0)
      .max(10)
      .default(ROUTER_DEFAULTS.numRetries)
      .meta({ description: 'How often an unpaid send is repeated. A paid one never is.', example: '2' }),
    cooldown_seconds: z
      .number()
      .min(0)
      .max(DAY_SECONDS)
      .transform((seconds) => Math.round(seconds * 1000))
      .prefault(ROUTER_DEFAULTS.cooldownMs / 1000)
      .meta({
        description: 'How long a failing route is tried only after the others. 0 disables the cooldown.',
        example: '5',
      }),
    allowed_fails: z.int().min(0).max(1_000_000).default(ROUTER_DEFAULTS.allowedFails).meta({
      description: 'Consecutive failures that are tolerated; the next one starts the cooldown.',
      example: '3',
    }),
    session_affinity: z
      .strictObject({
        seconds: z
          .int()
          .min(0)
          .max(7 * DAY_SECONDS)
          .default(ROUTER_DEFAULTS.sessionMs / 1000)
          .meta({
            description: 'How long a session is remembered after its last answer. 0 disables affinity.',
            example: '3600',
          }),
        headers: z
          .array(leaf.headerName())
          .min(1)
          .default([...ROUTER_DEFAULTS.sessionHeaders])
          .meta({
            description: 'Request headers that name a session. The first one present is used.',
            example: '[x-session-id]',
          }),
      })
      .prefault({})
      .meta({
        description:
          'Keeps a session on the seller that answered it, among routes with the same name and order: its prompt cache is there.',
      }),
  })
  .prefault({})
  .meta({ description: 'How a route is chosen among several, and what happens when it cannot serve.' })

/** Further keys of an entry of `callers`. */
export const callerOptions = {
  expires: leaf
    .instant()
    .optional()
    .meta({ description: 'When the key ends, as a date or a time with zone.', example: '"2027-01-31"' }),
  requests_per_minute: z
    .int()
    .min(1)
    .max(10_000_000)
    .optional()
    .meta({ description: 'Maximum number of model requests per minute.', example: '60' }),
  tokens_per_minute: z.int().min(1).max(MAX_TOKENS).optional().meta({
    description:
      'Answer tokens per minute; once they are used up, further requests must wait for the next minute.',
    example: '100000',
  }),
  max_parallel_requests: z
    .int()
    .min(1)
    .max(1_000_000)
    .optional()
    .meta({ description: 'Maximum number of model requests in flight.', example: '4' }),
  team: leaf.callerId().optional().meta({
    description: 'The team it belongs to: a subject of budgets per team.',
    example: 'search',
  }),
  budget_usd: budgetFields.callerBudgets().optional().meta({
    description:
      'What it may spend in a window, or a list of those: USD, then a window as in budgets. Each is a subject of the budget callers.<window>.',
    example: '"5/day"',
  }),
} as const

/** The `keys` section. */
export const keysSchema = z
  .strictObject({
    path: z.string().min(1).meta({
      description: 'The file that `tollway keys` keeps. A running gateway notices changes within a second.',
      example: './tollway-keys.json',
    }),
  })
  .optional()
  .meta({
    description:
      'Caller keys made by `tollway keys add`, in addition to callers. Only their SHA-256 is kept.',
  })
