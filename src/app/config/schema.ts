/**
 * The shape of a configuration. Descriptions and examples in here are the reference (docs/configuration.md) and
 * the fixes in error messages. A key that is planned and not built stands in `not-yet.ts`, never here.
 */
import { z } from 'zod'
import { MAX_DECLARED_TAGS } from '../../core/budget/tags.ts'
import { SCOPES } from '../../core/budget/budget.ts'
import * as leaf from './scalar-fields.ts'
import { callerOptions, keysSchema, routeOptions, routerSchema } from './route-schema.ts'
import { streamRouteOptions, streamSchema } from './stream-schema.ts'
import { payer } from './payers.ts'

const DAY_SECONDS = 86_400

const upstream = z
  .strictObject({
    api_base: leaf.apiBase().meta({
      description: 'Base URL of the gateway or API behind Tollway.',
      example: 'http://127.0.0.1:4000/v1',
    }),
    api_key: leaf.headerKey().optional().meta({
      description: 'Bearer key sent to it. The client never sees it.',
      example: '"${env:LITELLM_KEY}"',
    }),
    allow_paths: z.array(leaf.allowedPath()).default([]).meta({
      description:
        'Paths passed through beside the built-in ones; /* at the end stands for everything below.',
      example: '[/assistants/*]',
    }),
  })
  .optional()
  .meta({ description: 'Where requests go that no route claims. Without it they are answered with 404.' })

const caller = z.strictObject({
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
    .meta({ description: 'Models it may use, exact or with one *.', example: '["paid/*"]' }),
  ...callerOptions,
})

const route = z.strictObject({
  model_name: leaf.model().meta({
    description: 'The name clients use, exact or with one *. The most specific name wins.',
    example: '"paid/*"',
  }),
  model: leaf.model().optional().meta({
    description:
      "The seller's name for it. A * stands for what the * of model_name matched. Default: unchanged.",
    example: '"*"',
  }),
  api_base: leaf.apiBase().meta({
    description: 'Base URL of the seller or API. Paid routes need https, except on this machine.',
    example: 'https://seller.example.com/v1',
  }),
  api_key: leaf.headerKey().optional().meta({
    description: 'Bearer key of an API that takes a key instead of a payment. Not together with payer.',
    example: '"${env:OPENAI_API_KEY}"',
  }),
  payer: z
    .string()
    .optional()
    .meta({ description: 'Name under payers that pays. Without it the route is unpaid.', example: 'base' }),
  order: z
    .int()
    .min(0)
    .max(1_000_000)
    .default(0)
    .meta({ description: 'Among routes of one name, lower is tried first.', example: '1' }),
  ...routeOptions,
  ...streamRouteOptions,
})

const budget = z.strictObject({
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
      'One limit for each caller, model (its model_name), payer, seller or tag. Without it one for all.',
    example: 'caller',
  }),
  soft_usd: leaf.usd().optional().meta({
    description:
      'When the sum passes it: a log line, an audit record and a metric, once per window and subject. Refuses nothing.',
    example: '"4.00"',
  }),
  enforce: z.boolean().default(true).meta({
    description: 'false: refuses nothing, and records what it would have refused.',
    example: 'false',
  }),
})

const policy = z
  .strictObject({
    max_usd_per_request: leaf.ceiling().prefault('0.10').meta({
      description:
        'A quote above it is refused before anything is signed. `none` only where all that pays is vouchers with a price of their own.',
      example: '"0.10"',
    }),
    max_validity_seconds: z
      .int()
      .min(10)
      .max(DAY_SECONDS)
      .default(600)
      .meta({ description: 'Longest time a signed payment stays valid.', example: '600' }),
    max_price_change: leaf.ratio().optional().meta({
      description:
        'How far a quote may lie above the lowest price paid for the same seller, path, model and token. Without it no limit but the ceiling: sellers may price by the request.',
      example: '"0.20"',
    }),
    offer_order: z.enum(['cheapest', 'seller']).default('cheapest').meta({
      description:
        'Which of several acceptable offers of a seller is paid: the cheapest in USD (`upto` counts as its maximum), or the first one the seller names.',
      example: 'cheapest',
    }),
    block_private_networks: z.boolean().default(false).meta({
      description:
        'Refuses paid sellers whose host is, or resolves to, an address that is not on the public internet. For machines that pay strangers only: a seller on this machine is refused too.',
      example: 'true',
    }),
    sellers: z
      .record(
        leaf.origin(),
        z.strictObject({
          pay_to: z.array(leaf.address()).min(1).meta({
            description: 'Addresses this seller may be paid at, for every network.',
            example: '["0x209693bc6afc0c5328ba36faf03c514ef312287c"]',
          }),
        }),
      )
      .default({})
      .meta({
        description: 'By origin of a paid route. A seller not named here is pinned on its first payment.',
      }),
  })
  .prefault({})
  .meta({ description: 'What may be signed, whatever a seller asks for.' })

const asset = z.strictObject({
  network: leaf.network().meta({ description: 'Alias or CAIP-2 id.', example: 'eip155:1' }),
  address: leaf.address().meta({
    description: 'Contract address of the token.',
    example: '"0x0b010000b7624eb9b3dfbc279673c76e9d29d5f7"',
  }),
  symbol: leaf
    .symbol()
    .meta({ description: 'Shown in reports, and what a budget in this token names.', example: 'OBOL' }),
  decimals: z.int().min(0).max(36).meta({ description: 'Decimals of the token contract.', example: '18' }),
  usd: leaf.rate().optional().meta({
    description: 'USD value of one whole token. Without it the token is refused under USD limits.',
    example: '"0.05"',
  }),
  name: z.string().min(1).max(100).optional().meta({
    description: 'EIP-712 domain name of the contract; together with version. Needed for EIP-3009 payments.',
    example: 'Obol Network',
  }),
  version: z
    .string()
    .min(1)
    .max(20)
    .optional()
    .meta({ description: 'EIP-712 domain version of the contract.', example: '"1"' }),
})

const chain = z.strictObject({
  rpc: leaf.rpcUrl().meta({
    description:
      'JSON-RPC address of a node you trust; it must serve eth_call at its final block, eth_getLogs and receipts.',
    example: '"https://rpc.example.com/${env:RPC_KEY}"',
  }),
  finality: z.enum(['finalized', 'safe']).default('finalized').meta({
    description:
      'Blocks that are believed: `finalized` can never be replaced; `safe` comes minutes earlier, and only a failure of the network replaces it.',
    example: 'finalized',
  }),
})

/** The whole configuration. What comes out is in our units: micro-USD, milliseconds, bytes, CAIP-2 ids. */
export const configSchema = z.strictObject({
  listen: leaf.listenAddress().prefault('127.0.0.1:8402').meta({
    description: 'Address to listen on. Any address other than loopback needs callers.',
    example: '127.0.0.1:8402',
  }),
  store: leaf.storeName().default('sqlite:./tollway.db').meta({
    description:
      'The ledger: `sqlite:` and a path, or `memory` (forgets everything at the end; for trials only).',
    example: 'sqlite:./tollway.db',
  }),
  upstream,
  callers: z
    .array(caller)
    .default([])
    .meta({ description: 'Who may use the gateway. None: anyone who reaches the loopback address.' }),
  keys: keysSchema,
  payers: z
    .record(leaf.name(), payer)
    .default({})
    .meta({ description: 'Who pays, by a name of your choice.' }),
  model_list: z.array(route).default([]).meta({ description: 'The routes, in the vocabulary of LiteLLM.' }),
  router: routerSchema,
  budgets: z
    .array(budget)
    .default([])
    .meta({ description: 'Spending limits. All that match a payment apply to it.' }),
  tags: z
    .strictObject({
      header: leaf.headerName().default('x-tollway-tags').meta({
        description: 'Request header that carries the tags, separated by commas; at most 10 count.',
        example: 'x-tollway-tags',
      }),
      declared: z.array(leaf.tag()).max(MAX_DECLARED_TAGS).default([]).meta({
        description:
          'The tags that budgets per tag tell apart, exactly as they are sent. Every other tag is `other`.',
        example: '["team:search", "agent:main"]',
      }),
    })
    .prefault({})
    .meta({ description: 'What clients say a request is for; subjects of budgets per tag.' }),
  policy,
  assets: z
    .array(asset)
    .default([])
    .meta({ description: 'Tokens that may be paid with, beside USDC, which is built in.' }),
  chains: z.record(leaf.network(), chain).default({}).meta({
    description:
      'Nodes to read networks from, by alias or CAIP-2 id: they prove what became of payments. Without one nothing uncertain is released early.',
  }),
  reconcile: z
    .strictObject({
      interval_seconds: leaf
        .seconds(DAY_SECONDS)
        .prefault(60)
        .meta({ description: 'Between two looks at the chains.', example: '60' }),
    })
    .prefault({})
    .meta({ description: 'How often open payments are held against the chains.' }),
  metrics: z
    .strictObject({
      token: leaf.headerKey().optional().meta({
        description: 'Bearer token that /metrics asks for. Only its SHA-256 is kept.',
        example: '"${env:METRICS_TOKEN}"',
      }),
      listen: leaf.listenAddress().optional().meta({
        description:
          'A port of its own for /metrics, which the gateway then does not serve. Any address other than loopback needs a token.',
        example: '127.0.0.1:9464',
      }),
    })
    .prefault({})
    .meta({ description: 'Who may read the metrics, and where.' }),
  audit: z
    .strictObject({
      path: z
        .string()
        .min(1)
        .default('./audit.jsonl')
        .meta({ description: 'The audit file. One per running gateway.', example: './audit.jsonl' }),
      signing_key: leaf.signingKey().optional().meta({
        description:
          'Ed25519 key that signs where the audit chain stands; not a wallet key. Made by `tollway audit key --new`.',
        example: '"${file:./audit-key.pem}"',
      }),
      checkpoint_every: z.int().min(1).max(1_000_000).default(1000).meta({
        description:
          'Records between two signed checkpoints; there is one a minute too, where anything was recorded.',
        example: '1000',
      }),
      rotate_bytes: leaf.size().optional().meta({
        description:
          'Size from which a new file is begun; the full one gets the number of its last record behind its name.',
        example: '256mb',
      }),
      rotate_daily: z.boolean().default(false).meta({
        description: 'Whether a new file is begun every day (UTC).',
        example: 'true',
      }),
      retain: z.int().min(0).max(100_000).optional().meta({
        description:
          'How many full files are kept. Without it all are. Needs signing_key: what is left begins with a signed checkpoint.',
        example: '90',
      }),
    })
    .prefault({})
    .meta({ description: 'The record of everything that moved money or was refused.' }),
  log: z
    .strictObject({
      level: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info').meta({
        description: 'The least that is logged; the environment variable LOG_LEVEL goes before it.',
        example: 'info',
      }),
      format: z
        .enum(['json', 'text'])
        .default('json')
        .meta({ description: 'One JSON object a line, or words for people.', example: 'json' }),
    })
    .prefault({})
    .meta({
      description: 'What is written to standard error: a line for each request, and what needs attention.',
    }),
  stream: streamSchema,
  timeouts: z
    .strictObject({
      connect_seconds: leaf
        .seconds(600)
        .prefault(10)
        .meta({ description: 'To reach a seller or upstream.', example: '10' }),
      first_byte_seconds: leaf
        .seconds(DAY_SECONDS)
        .prefault(300)
        .meta({ description: 'From the request to the first byte of the answer.', example: '300' }),
      idle_seconds: leaf
        .seconds(DAY_SECONDS)
        .prefault(300)
        .meta({ description: 'Longest silence inside an answer.', example: '300' }),
      total_seconds: leaf
        .seconds(DAY_SECONDS)
        .prefault(3600)
        .meta({ description: 'The whole call.', example: '3600' }),
      shutdown_seconds: leaf.seconds(3600).prefault(30).meta({
        description: 'How long running calls may take to finish when the gateway stops.',
        example: '30',
      }),
    })
    .prefault({})
    .meta({ description: 'In seconds.' }),
  body_limit: leaf.size().prefault('32mb').meta({ description: 'Largest request body.', example: '32mb' }),
  idempotency: z
    .strictObject({
      max_entries: z
        .int()
        .min(0)
        .max(1_000_000)
        .default(1000)
        .meta({ description: 'How many answers are kept in memory.', example: '1000' }),
      max_bytes: leaf.size().prefault('64mb').meta({
        description: 'Memory for them. One answer gets at most an eighth of it.',
        example: '64mb',
      }),
    })
    .prefault({})
    .meta({
      description:
        'Answers kept for clients that ask again. Whatever is dropped, no request is paid twice (docs/idempotency.md).',
    }),
  explorers: z.record(leaf.network(), leaf.explorer()).default({}).meta({
    description:
      'Block explorers that the spend page links transactions to, by alias or CAIP-2 id: an address with {tx}, or none. Built in for the networks known by name.',
    example: '{ base: "https://base.blockscout.com/tx/{tx}" }',
  }),
  admin: z
    .strictObject({
      key: leaf.headerKey().optional().meta({
        description: 'Key of the admin endpoints. Only its SHA-256 is kept.',
        example: '"${env:TOLLWAY_ADMIN_KEY}"',
      }),
      hosts: z.array(leaf.hostName()).min(1).default(['localhost', '127.0.0.1', '[::1]']).meta({
        description:
          'Names a request may be addressed to, against DNS rebinding; localhost and its addresses always are.',
        example: '[localhost, gateway.internal]',
      }),
    })
    .prefault({})
    .meta({ description: 'Administration, and the host names of the gateway.' }),
})

/** A configuration that passed the schema: in our units, with references and paths not yet resolved. */
export type CheckedConfig = z.output<typeof configSchema>
