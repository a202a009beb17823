/**
 * The schema of a configuration. Its descriptions and examples are the source of the reference
 * (docs/configuration.md) and of the fixes in error messages. A planned key is listed in `planned-kinds.ts`, never
 * here.
 */
import { z } from 'zod'
import { caller, route, upstream } from './access-schema.ts'
import { budget, tags } from './budget-schema.ts'
import { asset, chain, reconcile } from './chain-schema.ts'
import { notify } from './notify-schema.ts'
import { admin, audit, idempotency, log, metrics, timeouts } from './operation-schema.ts'
import { payer } from './payers.ts'
import { policy } from './policy-schema.ts'
import { keysSchema, routerSchema } from './route-schema.ts'
import * as onChain from './chain-fields.ts'
import * as leaf from './scalar-fields.ts'
import { streamSchema } from './stream-schema.ts'

/** The whole configuration. Parsed values are in our units: micro-USD, milliseconds, bytes, CAIP-2 ids. */
export const configSchema = z.strictObject({
  listen: leaf.listenAddress().prefault('127.0.0.1:8402').meta({
    description: 'Address to listen on. Any address other than loopback needs callers.',
    example: '127.0.0.1:8402',
  }),
  store: leaf.storeName().default('sqlite:./tollway.db').meta({
    description:
      'The ledger: `sqlite:` and a path, `postgres://user:${env:PASSWORD}@host/database` (docs/scale.md) for gateways on several machines, or `memory` (lost when the gateway stops; for trials only).',
    example: 'sqlite:./tollway.db',
  }),
  upstream,
  callers: z
    .array(caller)
    .default([])
    .meta({ description: 'Who may use the gateway. If empty, anyone who can reach the loopback address.' }),
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
    .meta({ description: 'Spending limits. Every budget that matches a payment applies to it.' }),
  notify,
  tags,
  policy,
  assets: z
    .array(asset)
    .default([])
    .meta({ description: 'Tokens that may be used for payment, in addition to USDC, which is built in.' }),
  chains: z.record(onChain.network(), chain).default({}).meta({
    description:
      'Nodes to read networks from, by alias or CAIP-2 id: they prove the outcome of payments. Without one, no uncertain payment is released early.',
  }),
  reconcile,
  metrics,
  audit,
  log,
  stream: streamSchema,
  timeouts,
  body_limit: leaf.size().prefault('32mb').meta({ description: 'Largest request body.', example: '32mb' }),
  idempotency,
  explorers: z.record(onChain.network(), leaf.explorer()).default({}).meta({
    description:
      'Block explorers that the spend page links transactions to, by alias or CAIP-2 id: an address with {tx}, or none. Built in for the networks known by name.',
    example: '{ base: "https://base.blockscout.com/tx/{tx}" }',
  }),
  admin,
})

/** A configuration that passed the schema: in our units, with references and paths not yet resolved. */
export type CheckedConfig = z.output<typeof configSchema>
