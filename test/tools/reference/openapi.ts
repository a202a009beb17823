/** `docs/openapi.json`: what the gateway serves as JSON. The schemas also judge the running gateway (test/e2e/openapi.test.ts). */
import { z } from 'zod'
import { ERROR_TABLE } from '../../../src/core/error-table.ts'
import { MODEL_ENDPOINTS } from '../../../src/core/request/endpoints.ts'
import {
  DECISION_BODY,
  FORGET_BODY,
  KEY_BODY,
  KEY_CHANGE_BODY,
  TRUST_BODY,
} from '../../../src/app/admin/admin-body.ts'
import { MODEL_ANSWERS } from './model-answers.ts'
import { CHARGE_STATES } from '../../../src/app/spend-page/states.ts'

const text = z.string()
const instant = z.iso.datetime()
const nullable = text.nullable()

/** Every error; on `/messages` it is Anthropic's envelope around the same. */
const ERROR = z.looseObject({
  error: z.looseObject({ message: text, type: text, param: nullable.optional(), code: text.optional() }),
})

const CHARGE = z.looseObject({
  charge: text,
  time: instant,
  state: z.enum(CHARGE_STATES),
  amount: text,
  usd: nullable,
  transaction: nullable,
  transaction_url: text.optional(),
})
const MODEL = z.looseObject({ id: text, object: z.literal('model') })

const KEY = z.strictObject({
  id: text,
  hint: text,
  models: z.array(text),
  created: instant,
  expires: instant.nullable(),
  requests_per_minute: z.int().nullable(),
  tokens_per_minute: z.int().nullable(),
  max_parallel_requests: z.int().nullable(),
  team: nullable,
  budget_usd: z.array(text),
})
const SELLERS = z.strictObject({
  configured: z.array(z.looseObject({ origin: text })),
  pins: z.array(z.looseObject({ api_base: text, pay_to: text })),
  prices: z.array(z.looseObject({ api_base: text, pinned: text })),
})

const APPROVAL = z.strictObject({
  approval: text,
  request: text,
  caller: text,
  route: text,
  model: text,
  payer: nullable,
  seller: text,
  max_usd: nullable,
  pays: nullable,
  since: instant,
  until: instant,
})
const APPROVALS = z.strictObject({ approvals: z.array(APPROVAL) })
const ENDED_APPROVAL = APPROVAL.extend({ result: nullable, ended_at: instant.nullable() })

/** Of `/api/events`: `charge`, `refused`, `approval`, and `reset` when events were missed. */
export const FEED = z.union([
  CHARGE.extend({ from: z.enum(CHARGE_STATES).nullable() }),
  z.strictObject({ budget: text, subject: text, early: z.boolean() }),
  z.strictObject({ result: text }),
  z.strictObject({}),
])

/** One operation. */
export interface Operation {
  readonly method: 'get' | 'post' | 'patch' | 'delete'
  /** As OpenAPI writes it, with `/v1` where both spellings are served. */
  readonly path: string
  readonly summary: string
  /** Names in the query. */
  readonly query?: readonly string[]
  /** What is sent; without it a model call. */
  readonly body?: z.ZodType | undefined
  /** Data of the events, where 200 answers a stream. */
  readonly events?: z.ZodType | undefined
  /** What 200 answers; `undefined` for answers that are no JSON of ours. */
  readonly answer: z.ZodType | undefined
  readonly isModelCall?: boolean
}

const FILTERS = ['state', 'route', 'payer', 'seller', 'caller', 'from', 'to']

export const OPERATIONS: readonly Operation[] = [
  ...[...MODEL_ENDPOINTS].map((endpoint): Operation => ({
    method: 'post',
    path: endpoint.startsWith('/v2/') ? endpoint : `/v1${endpoint}`,
    summary: 'A model call, paid or not; `model` chooses the route.',
    answer: MODEL_ANSWERS[endpoint]?.schema,
    events: MODEL_ANSWERS[endpoint]?.streams === true ? z.looseObject({}) : undefined,
    isModelCall: true,
  })),
  {
    method: 'get',
    path: '/openapi.json',
    summary: 'This description.',
    answer: z.looseObject({ openapi: z.literal('3.1.0'), paths: z.record(text, z.looseObject({})) }),
  },
  {
    method: 'get',
    path: '/',
    summary: 'What this is.',
    answer: z.looseObject({ name: z.literal('tollway') }),
  },
  {
    method: 'get',
    path: '/v1/models',
    summary: 'The models that the caller may use.',
    answer: z.looseObject({ object: z.literal('list'), data: z.array(MODEL) }),
  },
  { method: 'get', path: '/v1/models/{id}', summary: 'One of them.', answer: MODEL },
  {
    method: 'get',
    path: '/v1/tollway/requests/{id}',
    summary: 'What became of a request.',
    answer: z.looseObject({ object: z.literal('tollway.request'), id: text }),
  },
  { method: 'get', path: '/v1/catalog', summary: "OpenClaw's catalogue.", answer: z.looseObject({}) },
  {
    method: 'get',
    path: '/v1/usage',
    summary: "The caller's spending, for OpenClaw.",
    answer: z.looseObject({}),
  },
  {
    method: 'get',
    path: '/health/live',
    summary: 'Whether the process answers.',
    answer: z.looseObject({ status: z.literal('ok') }),
  },
  {
    method: 'get',
    path: '/health/ready',
    summary: 'Whether paid calls are served.',
    answer: z.looseObject({ status: z.enum(['ok', 'degraded']) }),
  },
  { method: 'get', path: '/metrics', summary: 'Prometheus metrics.', answer: undefined },
  {
    method: 'get',
    path: '/status',
    summary: "The pools, in x402-buyer's shape.",
    answer: z.record(text, z.unknown()),
  },
  {
    method: 'get',
    path: '/api/budgets',
    summary: 'Budgets and what is left of them.',
    answer: z.strictObject({ time: instant, budgets: z.array(z.looseObject({ budget: text })) }),
  },
  {
    method: 'get',
    path: '/api/charges',
    summary: 'Charges, newest first.',
    query: [...FILTERS, 'limit', 'before'],
    answer: z.strictObject({ charges: z.array(CHARGE), next: nullable }),
  },
  {
    method: 'get',
    path: '/api/charges/export',
    summary: 'Charges as a file.',
    query: [...FILTERS, 'format'],
    answer: undefined,
  },
  {
    method: 'get',
    path: '/api/spend',
    summary: 'Spending over time.',
    query: [...FILTERS, 'by', 'bucket', 'timezone'],
    answer: z.looseObject({
      from: instant,
      to: instant,
      bucket: text,
      timezone: text,
      by: nullable,
      starts: z.array(instant),
      total_usd: z.string().regex(/^\d+(?:\.\d+)?$/),
    }),
  },
  {
    method: 'get',
    path: '/api/audit',
    summary: 'The audit records of one charge.',
    query: ['charge'],
    answer: z.strictObject({ charge: CHARGE, records: z.looseObject({}).or(z.array(z.unknown())) }),
  },
  {
    method: 'get',
    path: '/api/approvals',
    summary: "Calls that wait for a person's approval.",
    answer: APPROVALS,
  },
  {
    method: 'post',
    path: '/api/approvals/{id}',
    summary: 'Approves or refuses a call that waits.',
    body: DECISION_BODY,
    answer: APPROVAL.extend({ decision: text }),
  },
  {
    method: 'get',
    path: '/api/funds',
    summary: 'Wallets and voucher pools.',
    answer: z.strictObject({
      wallets: z.array(z.looseObject({ payer: text })).nullable(),
      pools: z.array(z.looseObject({ payer: text })).nullable(),
    }),
  },
  {
    method: 'get',
    path: '/api/refusals',
    summary: 'The newest requests that were refused or failed.',
    answer: z.strictObject({
      since: instant,
      total: z.int(),
      refusals: z.array(
        z.looseObject({
          id: text,
          time: instant,
          state: text,
          code: text,
          why: text,
          lift: text,
          request: text,
        }),
      ),
    }),
  },
  {
    method: 'get',
    path: '/api/facets',
    summary: 'Values that filters may have.',
    answer: z.strictObject({
      states: z.array(text),
      routes: z.array(text),
      payers: z.array(text),
      sellers: z.array(text),
      callers: z.array(text),
      tags: z.array(text),
      sign_out: z.boolean(),
    }),
  },
  {
    method: 'get',
    path: '/api/events',
    summary: 'Changes of charges, as an event stream.',
    answer: undefined,
    events: FEED,
  },
  {
    method: 'post',
    path: '/admin/reload',
    summary: 'Reads the configuration and the files of voucher pools again.',
    answer: z.strictObject({
      status: text,
      changed: z.array(text).optional(),
      hash: text.optional(),
      previous_hash: text.optional(),
    }),
  },
  {
    method: 'get',
    path: '/admin/keys',
    summary: 'The callers with keys.',
    answer: z.strictObject({ keys: z.array(KEY) }),
  },
  {
    method: 'post',
    path: '/admin/keys',
    summary: 'Makes a key for a caller; it is answered once.',
    body: KEY_BODY,
    answer: KEY.extend({ key: text }),
  },
  {
    method: 'patch',
    path: '/admin/keys/{id}',
    summary: 'Changes what a caller may do.',
    body: KEY_CHANGE_BODY,
    answer: KEY,
  },
  {
    method: 'delete',
    path: '/admin/keys/{id}',
    summary: "Revokes a caller's key.",
    answer: z.strictObject({ id: text, revoked: z.literal(true) }),
  },
  {
    method: 'get',
    path: '/admin/budgets',
    summary: 'Budgets and what is left of them.',
    answer: z.strictObject({ time: instant, budgets: z.array(z.looseObject({ budget: text })) }),
  },
  {
    method: 'get',
    path: '/admin/approvals',
    summary: "Calls that wait for a person's approval, and the last ones that ended.",
    answer: APPROVALS.extend({ ended: z.array(ENDED_APPROVAL) }),
  },
  {
    method: 'post',
    path: '/admin/approvals/{id}',
    summary: 'Approves or refuses a call that waits.',
    body: DECISION_BODY,
    answer: APPROVAL.extend({ decision: text }),
  },
  {
    method: 'get',
    path: '/admin/sellers',
    summary: 'Pinned payees and prices.',
    answer: SELLERS,
  },
  {
    method: 'post',
    path: '/admin/sellers/trust',
    summary: 'Pins a payee or a price.',
    body: TRUST_BODY,
    answer: SELLERS,
  },
  {
    method: 'post',
    path: '/admin/sellers/forget',
    summary: 'Removes the pins of a seller.',
    body: FORGET_BODY,
    answer: z.strictObject({ api_base: text, pins: z.int(), prices: z.int() }),
  },
  {
    method: 'post',
    path: '/admin/remove',
    summary: 'Removes an upstream of a pool.',
    query: ['name'],
    answer: z.strictObject({ status: text, name: text }),
  },
]

/** Whether a body is an error of ours, in either envelope, with a code of the table. */
export function isError(status: number, body: unknown): boolean {
  const { success, data } = ERROR.safeParse(body)
  const code = data?.error.code
  if (!success || code === undefined) return success && data.error.type !== ''
  const known = new Map<string, { readonly status: number }>(Object.entries(ERROR_TABLE)).get(code)
  return known !== undefined && (known.status === status || status === 200)
}

/** A JSON answer, an event stream whose events hold JSON, or either, as it was asked for. */
function contentOf(
  answer: z.ZodType | undefined,
  events: z.ZodType | undefined,
): Record<string, object> | undefined {
  if (!answer && !events) return undefined
  const data = events && {
    type: 'string',
    contentMediaType: 'application/json',
    contentSchema: z.toJSONSchema(events),
  }
  return {
    ...(answer ? { 'application/json': { schema: z.toJSONSchema(answer) } } : {}),
    ...(data ? { 'text/event-stream': { schema: { description: 'The data of each event.', ...data } } } : {}),
  }
}

/** The document. */
export function openApi(): string {
  const paths: Record<string, Record<string, object>> = {}
  for (const { method, path, summary, query = [], body, answer, events, isModelCall } of OPERATIONS) {
    const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => ({
      name,
      in: 'path',
      required: true,
      schema: { type: 'string' },
    }))
    const asked = query.map((name) => ({ name, in: 'query', schema: { type: 'string' } }))
    const content = contentOf(answer, events)
    const call = { type: 'object', required: ['model'], properties: { model: { type: 'string' } } }
    const sent = body ? z.toJSONSchema(body, { io: 'input' }) : isModelCall === true ? call : undefined
    paths[path] = {
      ...paths[path],
      [method]: {
        summary,
        ...(named.length + asked.length > 0 ? { parameters: [...named, ...asked] } : {}),
        ...(sent && {
          requestBody: { required: true, content: { 'application/json': { schema: sent } } },
        }),
        responses: {
          200: { description: 'The answer.', ...(content ? { content } : {}) },
          default: { $ref: '#/components/responses/Error' },
        },
      },
    }
  }
  const error = {
    description: 'An error; docs/errors.md lists the codes.',
    content: { 'application/json': { schema: z.toJSONSchema(ERROR) } },
  }
  const document = {
    openapi: '3.1.0',
    info: {
      title: 'Tollway',
      version: '0',
      description: 'Paths with /v1 are served without it, too.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    paths,
    components: { responses: { Error: error } },
  }
  return `${JSON.stringify(document, null, 2)}\n`
}
