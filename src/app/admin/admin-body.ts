/** The JSON bodies of `/admin`. */
import { z } from 'zod'
import { parseCallerBudget } from '../../core/budget/caller-budgets.ts'
import { TollwayError } from '../../core/errors.ts'
import { parseInstant } from '../../core/instant.ts'
import type { Request } from '../../../middleware/http/handler.ts'

const MAX_BYTES = 65_536

const count = z.int().min(1).max(999_999_999)
const name = z
  .string()
  .regex(/^[A-Za-z0-9._-]{1,64}$/, 'use letters, digits, dots, dashes and underscores, at most 64')
const instant = z.string().transform((text, context) => {
  const time = parseInstant(text)
  if (time !== undefined) return time
  context.addIssue('give a date such as 2027-01-31, or a time with its zone')
  return z.NEVER
})

const terms = {
  models: z.array(z.string().min(1).max(256)).min(1),
  expires: instant,
  requests_per_minute: count,
  tokens_per_minute: count,
  max_parallel_requests: count,
  team: name,
  budget_usd: z.array(
    z
      .string()
      .refine((text) => parseCallerBudget(text) !== undefined, 'give USD and a window, such as 5/day'),
  ),
}

/** `POST /admin/keys`: as the options of `tollway keys add`. */
export const KEY_BODY = z.strictObject(terms).partial().extend({ id: name })

/** `PATCH /admin/keys/<id>`: what is given changes, `null` takes a limit away. */
export const KEY_CHANGE_BODY = z.strictObject({
  models: terms.models.optional(),
  expires: terms.expires.nullish(),
  requests_per_minute: count.nullish(),
  tokens_per_minute: count.nullish(),
  max_parallel_requests: count.nullish(),
  team: name.nullish(),
  budget_usd: terms.budget_usd.nullish(),
})

/** `POST /admin/sellers/trust`: as the arguments of `tollway sellers trust`. */
export const TRUST_BODY = z.strictObject({
  api_base: z.string(),
  pay_to: z.string().optional(),
  any_payee: z.boolean().optional(),
  price: z.string().optional(),
  network: z.string().optional(),
  asset: z.string().optional(),
  model: z.string().optional(),
  path: z.string().optional(),
})

/** `POST /admin/sellers/forget`. */
export const FORGET_BODY = z.strictObject({ api_base: z.string() })

/** `POST /admin/approvals/<id>`. */
export const DECISION_BODY = z.strictObject({ decision: z.enum(['approved', 'refused']) })

/**
 * Reads and checks a body.
 * @throws TollwayError `unsupported_encoding`, `request_too_large`, `invalid_json`, `config_invalid` naming every wrong field
 */
export async function readAdminBody<T>(req: Request, schema: z.ZodType<T>): Promise<T> {
  // A page could send any other type to this machine without asking first.
  if (!/^application\/json\b/i.test(req.headers['content-type'] ?? '')) {
    throw new TollwayError({
      code: 'unsupported_encoding',
      message: 'The body is not marked as JSON; nothing was changed.',
      advice: ['Send content-type: application/json.'],
    })
  }
  const { success, data, error } = schema.safeParse(parsed(await read(req)))
  if (success) return data
  const faults = error.issues.map(({ path, message }) => `${path.join('.') || 'the body'}: ${message}`)
  throw new TollwayError({
    code: 'config_invalid',
    message: `Nothing was changed, because the body has mistakes:\n${faults.join('\n')}`,
    param: error.issues[0]?.path.join('.'),
  })
}

async function read(req: Request): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of req) {
    const bytes = Buffer.from(chunk)
    length += bytes.length
    if (length > MAX_BYTES) {
      throw new TollwayError({
        code: 'request_too_large',
        message: `A body of /admin has at most ${MAX_BYTES} bytes.`,
      })
    }
    chunks.push(bytes)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new TollwayError({
      code: 'invalid_json',
      message: 'The body is not valid JSON; nothing was changed.',
      cause,
    })
  }
}
