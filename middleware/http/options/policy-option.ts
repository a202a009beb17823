/** The policy of `paymentInterceptor()`: what may be signed (rule 6), written plainly or in micro-USD. */
import { z } from 'zod'
import { BUILT_IN_ASSETS, type Asset } from '../../../src/core/money/assets.ts'
import { ANY_PAYEE, type AllowedPayees } from '../../../src/core/policy/payees.ts'
import { parseUsd } from '../../../src/core/money/money.ts'

/** Limits on what may be signed. Everything has a safe default. */
export interface PolicyOptions {
  /** Ceiling of one payment in USD, as decimal text; default `"0.10"`. */
  readonly maxUsdPerRequest?: string | undefined
  /** The same in micro-USD, instead of {@link maxUsdPerRequest}; `none` only where all that pays is vouchers with a price of their own. */
  readonly maxMicroUsd?: bigint | 'none' | undefined
  /** Longest validity window that is signed, seconds, 10 to 86,400; default 600. */
  readonly maxValiditySeconds?: number | undefined
  /**
   * How far a price may rise above the first one that was paid: a ratio as decimal text (`"0.20"` is 20 %), or millionths
   * as bigint; no limit by default.
   */
  readonly maxPriceChange?: string | bigint | undefined
  /** Whether a payer may sign in at a seller that it paid before, instead of paying again; default `false`. */
  readonly signIn?: boolean | undefined
  /**
   * Whether terms that a seller asked for again and again are paid without asking for them first; default `remember`.
   * `ask`: every payment is preceded by the question what it costs.
   */
  readonly terms?: 'remember' | 'ask' | undefined
  /**
   * What to do where a payment by remembered terms is answered with others; default `fail`. `pay_again`: the new terms are paid as
   * well, once, both together under the ceiling of one request and within the budgets.
   */
  readonly onChangedTerms?: 'fail' | 'pay_again' | undefined
  /** Which of several acceptable offers is paid; default the cheapest in USD. */
  readonly offerOrder?: 'cheapest' | 'seller' | undefined
  /**
   * The addresses that a seller may be paid at, by its origin, or `any`; other sellers are pinned when their first payment
   * settles.
   */
  readonly payTo?: ReadonlyMap<string, AllowedPayees> | Readonly<Record<string, AllowedPayees>> | undefined
  /** Assets that may be spent; default USDC on the built-in networks. */
  readonly assets?: readonly Asset[] | undefined
}

const DEFAULT_MICRO_USD = 100_000n

/** Checks the option `policy`. */
export const policyOption = z
  .strictObject({
    maxUsdPerRequest: z
      .string()
      .transform((text, context) => parseUsd(text) ?? fail(context, 'write USD as decimal text, e.g. "0.10"'))
      .optional(),
    maxMicroUsd: z
      .union([z.bigint(), z.literal('none')], 'give micro-USD as bigint, e.g. 100_000n for $0.10')
      .optional(),
    maxValiditySeconds: z
      .int()
      .min(10, 'give at least 10 seconds')
      .max(86_400, 'give at most 86400 seconds')
      .default(600),
    maxPriceChange: z
      .union(
        [
          z.bigint(),
          z
            .string()
            .transform((text, context) => parseUsd(text) ?? fail(context, 'write a ratio, e.g. "0.20"')),
        ],
        'give a ratio as text, e.g. "0.20", or millionths as bigint',
      )
      .optional(),
    signIn: z.boolean('give true or false').optional(),
    terms: z.enum(['remember', 'ask'], "give 'remember' or 'ask'").optional(),
    onChangedTerms: z.enum(['fail', 'pay_again'], "give 'fail' or 'pay_again'").optional(),
    offerOrder: z.enum(['cheapest', 'seller'], "give 'cheapest' or 'seller'").optional(),
    payTo: z
      .union(
        [z.instanceof(Map), z.record(z.string(), z.union([z.array(z.string()), z.literal(ANY_PAYEE)]))],
        'give payees by origin',
      )
      .default(() => new Map<string, AllowedPayees>())
      .transform(payees),
    assets: z
      .custom<readonly Asset[]>((value) => Array.isArray(value), 'give a list of assets')
      .default(() => BUILT_IN_ASSETS),
  })
  .refine(
    ({ maxUsdPerRequest, maxMicroUsd }) => maxUsdPerRequest === undefined || maxMicroUsd === undefined,
    {
      message: 'give maxUsdPerRequest or maxMicroUsd, not both',
    },
  )
  .transform(({ maxUsdPerRequest, maxMicroUsd, ...rest }) => ({
    ...rest,
    maxMicroUsd: maxUsdPerRequest ?? maxMicroUsd ?? DEFAULT_MICRO_USD,
  }))

function fail(context: z.RefinementCtx, message: string): never {
  context.addIssue(message)
  return z.NEVER
}

/** Addresses of EVM networks are compared in lower case; Solana's are kept as they are. */
function payees(value: unknown, context: z.RefinementCtx): ReadonlyMap<string, AllowedPayees> {
  const entries = value instanceof Map ? [...value] : Object.entries(value ?? {})
  const found = new Map<string, AllowedPayees>()
  for (const [origin, addresses] of entries as [unknown, unknown][]) {
    const url = typeof origin === 'string' && URL.canParse(origin) ? new URL(origin) : undefined
    if (url && addresses === ANY_PAYEE) {
      found.set(url.origin, ANY_PAYEE)
      continue
    }
    if (!url || !Array.isArray(addresses)) {
      return fail(context, 'give payees by origin, e.g. { "https://seller.example.com": ["0x…"] }')
    }
    found.set(
      url.origin,
      addresses.map((address: unknown) => {
        const text = String(address)
        return text.startsWith('0x') ? text.toLowerCase() : text
      }),
    )
  }
  return found
}
