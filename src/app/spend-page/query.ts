/** Parses the query of an `/api` address; filters mean the same for every address. */
import { z } from 'zod'
import { TollwayError } from '../../core/errors.ts'
import { SPEND_GROUPS, tagOfGroup, type SpendGroup } from '../../io/store/contracts/spending.ts'
import { type ChargeCursor, type ChargeFilter } from '../../io/store/contracts/charges.ts'
import { CHARGE_STATES, REFUSAL_STATES } from './states.ts'

const NAME = z
  .string()
  .min(1, 'must not be empty: leave it out for all')
  .max(512, 'must be 512 characters or fewer')
const INSTANT = z.iso.datetime({ offset: true, error: 'must be a time such as 2026-01-31T12:00:00Z' })
const time = INSTANT.transform((text) => Date.parse(text))
const whole = (max: number) =>
  z
    .string()
    .regex(/^\d{1,6}$/, `must be a whole number from 1 to ${max}`)
    .transform(Number)
    .pipe(z.number().min(1).max(max))

/** Position of the next page of a list: the last charge of the page before it. */
const CURSOR = z
  .string()
  .regex(/^\d{1,16}\.[\w-]{1,64}$/, 'must be the "next" of the page before, as it was given')
  .transform((text): ChargeCursor => {
    const dot = text.indexOf('.')
    return { reservedAt: Number(text.slice(0, dot)), id: text.slice(dot + 1) }
  })

const BY = z.string().transform((text, context): SpendGroup => {
  const known = SPEND_GROUPS.find((group) => group === text)
  if (known) return known
  const tag = tagOfGroup(text)
  if (tag !== undefined) return `tag.${tag}`
  context.issues.push({
    code: 'custom',
    input: text,
    message: `must be one of ${SPEND_GROUPS.join(', ')} or tag.<name>`,
  })
  return z.NEVER
})

const FILTER = {
  state: z
    .string()
    .transform((text) => text.split(','))
    .pipe(z.array(z.enum([...CHARGE_STATES, ...REFUSAL_STATES])))
    // No charge was refused, or failed before it was one: those states match none.
    .transform((states) => CHARGE_STATES.filter((state) => states.includes(state)))
    .optional(),
  route: NAME.optional(),
  payer: NAME.optional(),
  seller: NAME.optional(),
  caller: NAME.optional(),
  from: time.optional(),
  to: time.optional(),
}

const LIST = z.strictObject({ ...FILTER, limit: whole(1000).optional(), before: CURSOR.optional() })
const EXPORT = z.strictObject({ ...FILTER, format: z.enum(['csv', 'json']) })
const SPEND = z.strictObject({
  ...FILTER,
  from: time,
  bucket: z.enum(['minute', 'hour', 'day', 'month']),
  by: BY.optional(),
  timezone: NAME.default('UTC'),
})
const AUDIT = z.strictObject({
  charge: z.string().regex(/^chg_[\w-]{1,60}$/, 'must be the id of a charge, chg_...'),
})

/** Query of `/api/charges`. */
export interface ListQuery {
  readonly filter: ChargeFilter
  readonly limit: number
  readonly before: ChargeCursor | undefined
}

/** The length of an interval in spending over time. */
export type Bucket = z.output<typeof SPEND>['bucket']

/** Query of `/api/spend`. */
export interface SpendOverTime {
  readonly filter: ChargeFilter & { readonly from: number }
  readonly bucket: Bucket
  readonly by: SpendGroup | undefined
  /** IANA name, not yet validated. */
  readonly timezone: string
}

/** @throws TollwayError `invalid_query` */
export function listQuery(url: string): ListQuery {
  const { limit = 100, before, ...rest } = parse(LIST, url)
  return { filter: filterOf(rest), limit, before }
}

/** @throws TollwayError `invalid_query` */
export function exportQuery(url: string): { readonly filter: ChargeFilter; readonly format: 'csv' | 'json' } {
  const { format, ...rest } = parse(EXPORT, url)
  return { filter: filterOf(rest), format }
}

/** @throws TollwayError `invalid_query` */
export function spendQuery(url: string): SpendOverTime {
  const { bucket, by, timezone, ...rest } = parse(SPEND, url)
  return { filter: { ...filterOf(rest), from: rest.from }, bucket, by, timezone }
}

/** For addresses without parameters. @throws TollwayError `invalid_query` */
export function noQuery(url: string): void {
  parse(z.strictObject({}), url)
}

/** @throws TollwayError `invalid_query` */
export function auditQuery(url: string): string {
  return parse(AUDIT, url).charge
}

/** The cursor of the page after a charge. */
export function cursorAfter({ reservedAt, id }: ChargeCursor): string {
  return `${reservedAt}.${id}`
}

/** A query that cannot be read. */
export function invalidQuery(parameter: string, why: string): TollwayError {
  return new TollwayError({
    code: 'invalid_query',
    message: `The query parameter ${parameter} ${why}.`,
    param: parameter,
  })
}

interface ParsedFilter extends Omit<ChargeFilter, 'states'> {
  readonly state?: ChargeFilter['states']
}

function filterOf({ state, route, payer, seller, caller, from, to }: ParsedFilter): ChargeFilter {
  return { states: state, route, payer, seller, caller, from, to }
}

function parse<T extends z.ZodType>(schema: T, url: string): z.output<T> {
  const at = url.indexOf('?')
  const parameters = new URLSearchParams(at === -1 ? '' : url.slice(at))
  for (const name of parameters.keys()) {
    if (parameters.getAll(name).length > 1) throw invalidQuery(name, 'is given twice')
  }
  const result = schema.safeParse(Object.fromEntries(parameters))
  if (result.success) return result.data
  const [issue] = result.error.issues
  if (issue?.code === 'unrecognized_keys')
    throw invalidQuery(issue.keys[0] ?? '', 'is not a parameter of this address')
  throw invalidQuery(
    String(issue?.path[0] ?? ''),
    issue?.message.replace(/^Invalid/, 'is not valid: invalid') ?? 'is not valid',
  )
}
