/** How the gateway is operated: audit file, log, metrics, time limits, cached answers, administration. */
import { z } from 'zod'
import * as leaf from './scalar-fields.ts'

const DAY_SECONDS = 86_400

export const metrics = z
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
  .meta({ description: 'Who may read the metrics, and where.' })

export const audit = z
  .strictObject({
    path: z
      .string()
      .min(1)
      .default('./audit.jsonl')
      .meta({ description: 'The audit file. One per running gateway.', example: './audit.jsonl' }),
    signing_key: leaf.signingKey().optional().meta({
      description:
        'Ed25519 key that signs checkpoints of the audit chain; not a wallet key. Made by `tollway audit key --new`.',
      example: '"${file:./audit-key.pem}"',
    }),
    checkpoint_every: z.int().min(1).max(1_000_000).default(1000).meta({
      description:
        'Records between two signed checkpoints; while records are written there is also one a minute.',
      example: '1000',
    }),
    rotate_bytes: leaf.size().prefault('256mb').meta({
      description:
        'Size at which a new file is started; the full one is renamed with the number of its last record.',
      example: '256mb',
    }),
    rotate_daily: z.boolean().default(true).meta({
      description: 'Whether a new file is started every day (UTC).',
      example: 'true',
    }),
    retain: z.int().min(0).max(100_000).optional().meta({
      description:
        'How many full files are kept; all of them if unset. Needs signing_key: the remaining files start with a signed checkpoint.',
      example: '90',
    }),
    min_free: leaf.size().prefault('64mb').meta({
      description:
        'Free space, on the disks of audit file and ledger, below which paid routes refuse and readiness falls: what is in flight can still be recorded.',
      example: '64mb',
    }),
  })
  .prefault({})
  .meta({ description: 'The record of everything that moved money or was refused.' })

export const log = z
  .strictObject({
    level: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info').meta({
      description: 'Lowest level that is logged; the environment variable LOG_LEVEL overrides it.',
      example: 'info',
    }),
    format: z
      .enum(['json', 'text'])
      .default('json')
      .meta({ description: 'One JSON object per line, or readable text.', example: 'json' }),
  })
  .prefault({})
  .meta({
    description: 'What is written to standard error: one line per request, and warnings.',
  })

export const timeouts = z
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
    drain_seconds: leaf.seconds(300).prefault(1).meta({
      description:
        'How long `tollway serve` goes on serving after a stop signal while readiness already answers 503, so that load balancers turn away before the port closes. 0 closes it at once.',
      example: '5',
    }),
    shutdown_seconds: leaf.seconds(3600).prefault(30).meta({
      description: 'How long running calls may take to finish when the gateway stops.',
      example: '30',
    }),
  })
  .prefault({})
  .meta({ description: 'In seconds.' })

export const idempotency = z
  .strictObject({
    max_entries: z
      .int()
      .min(0)
      .max(1_000_000)
      .default(1000)
      .meta({ description: 'How many responses are kept in memory.', example: '1000' }),
    max_bytes: leaf.size().prefault('64mb').meta({
      description: 'Memory for them. One response may use at most an eighth of it.',
      example: '64mb',
    }),
  })
  .prefault({})
  .meta({
    description:
      'Responses kept for clients that retry. Even after one is dropped, no request is paid twice (docs/idempotency.md).',
  })

export const admin = z
  .strictObject({
    key: leaf.headerKey().optional().meta({
      description: 'Key of the admin endpoints. Only its SHA-256 is kept.',
      example: '"${env:TOLLWAY_ADMIN_KEY}"',
    }),
    hosts: z.array(leaf.hostName()).min(1).default(['localhost', '127.0.0.1', '[::1]']).meta({
      description:
        'Host names that requests may use, as protection against DNS rebinding; localhost and its addresses are always allowed.',
      example: '[localhost, gateway.internal]',
    }),
  })
  .prefault({})
  .meta({ description: 'Administration, and the host names of the gateway.' })
