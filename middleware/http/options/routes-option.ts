/** Routes as the option of a middleware: a plain list, or a table that `compileRoutes()` made. */
import { z } from 'zod'
import { ConfigError } from '../../../src/core/errors.ts'
import { property } from '../../../src/core/property.ts'
import { nearestName } from '../../../src/io/names/nearest-name.ts'
import { compileRoutes, type Route, type RouteTable } from '../../../src/core/routing/route.ts'

/** A route: what it is called and where it leads; everything else of {@link Route} where it is wanted. */
export type PlainRoute = Pick<Route, 'modelName' | 'apiBase'> & Partial<Route>

const KEYS = Object.keys({
  modelName: true,
  model: true,
  apiBase: true,
  payer: true,
  provider: true,
  apiKey: true,
  forwardCredentials: true,
  sendEncoded: true,
  pin: true,
  userAgent: true,
  paymentHeader: true,
  paidEndpoints: true,
  order: true,
  weight: true,
  timeouts: true,
  maxParallel: true,
  maxRetries: true,
  dropParams: true,
  onDisconnect: true,
  alwaysStream: true,
  earlyKeepalive: true,
  eventsPerSecond: true,
  when: true,
  info: true,
  catalogue: true,
  reduceMaxTokens: true,
  defaultMaxTokens: true,
  sendTraceparent: true,
  terms: true,
  onChangedTerms: true,
} satisfies Record<keyof Route, true>)

const text = (message: string): z.ZodString => z.string(message).min(1, message)

/** Only what nearly every route has is checked; the rest has the types of {@link Route}. */
const PLAIN = z
  .looseObject({
    modelName: text('name the model that clients ask for, e.g. "paid/*"'),
    apiBase: z
      .url({
        protocol: /^https?$/,
        error: 'give the base URL of the seller, e.g. "https://seller.example.com/v1"',
      })
      .transform((url) => url.replace(/\/+$/, '')),
    model: text('name the model at the seller').optional(),
    payer: text('name the payer, as in the payers of paymentInterceptor()').optional(),
    apiKey: text('give the key of the upstream').optional(),
    order: z.int('give a whole number').optional(),
  })
  .refine((route) => route.payer === undefined || route.apiKey === undefined, {
    message: 'a route is paid by a payer or has a key (apiKey), not both',
  })

/** Checks an option that holds routes. */
export const routesOption = z.unknown().transform((value, context): RouteTable => {
  if (isTable(value)) return value
  if (!Array.isArray(value)) {
    context.addIssue(
      'give a list of routes, e.g. [{ modelName, apiBase, payer }], or what compileRoutes() makes',
    )
    return z.NEVER
  }
  const routes: Route[] = []
  for (const [index, entry] of value.entries()) {
    for (const key of unknownKeys(entry)) {
      const nearest = nearestName(key, KEYS)
      const hint = nearest === undefined ? `Known: ${KEYS.join(', ')}` : `Did you mean "${nearest}"?`
      context.addIssue(`${index}: "${key}" is not a key of a route. ${hint}`)
    }
    const parsed = PLAIN.safeParse(entry)
    if (parsed.success) routes.push(routeOf(entry, parsed.data))
    for (const { message, path } of parsed.error?.issues ?? []) {
      context.addIssue(`${[index, ...path].map(String).join('.')}: ${message}`)
    }
  }
  try {
    return compileRoutes(routes)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    context.addIssue(error.message)
    return z.NEVER
  }
})

function routeOf(entry: Partial<Route>, checked: z.output<typeof PLAIN>): Route {
  const { modelName, apiBase, model, payer, apiKey, order = 0 } = checked
  return { ...entry, modelName, apiBase, model, payer, apiKey, order }
}

function unknownKeys(entry: unknown): string[] {
  return typeof entry === 'object' && entry !== null
    ? Object.keys(entry).filter((key) => !KEYS.includes(key))
    : []
}

function isTable(value: unknown): value is RouteTable {
  return typeof property(value, 'match') === 'function'
}
