import type { ServerResponse } from 'node:http'
import { z } from 'zod'
import { callerRules } from '../src/core/budget/caller-budgets.ts'
import type { BudgetRule, Spend } from '../src/core/budget/budget.ts'
import { systemClock, type Clock } from '../src/core/clock.ts'
import type { Observer } from '../src/core/telemetry/events.ts'
import type { Hooks } from '../src/core/hooks/hooks.ts'
import type { Exchange, Guard } from '../src/core/request/exchange.ts'
import { RecentQuotes } from '../src/core/budget/recent-quotes.ts'
import type { RequestMark } from '../src/core/request/idempotency.ts'
import type { Candidate } from '../src/core/routing/route.ts'
import { exchangeOf } from './http/exchange-of.ts'
import { takeOver } from '../src/core/request/when-exhausted.ts'
import { parseOptions } from '../src/io/names/parse-options.ts'
import { budgetsOption, type PlainBudget } from './http/options/budget-option.ts'
import { closable, type ClosableHandler } from './http/closable.ts'
import { asyncHandler } from './http/handler.ts'
import { ledgerOption, LedgerSource, storeOption, type LedgerOptions } from './http/chain/ledger-source.ts'
import { functionOption, objectWith } from './http/options.ts'
import { hooksSchema } from './http/options/hooks-option.ts'
import { isRouted } from './http/paths.ts'
import { joinHooks, runnerOf } from './http/chain/request-hooks.ts'
import { setupError } from './http/setup-error.ts'
import { sharedContext } from './http/chain/shared-context.ts'
import { tagOptions, tagsOf, type TagOptions } from '../src/core/budget/tags.ts'
import { pricesOption, type PlainPrices } from './http/options/prices-option.ts'
import { withFacts } from './http/chain/part-facts.ts'
import type { Request } from './http/handler.ts'
import { addReported, holdOwnCall } from './budget-guard/own-call.ts'
import {
  countsTokens,
  reserveMetered,
  settleMetered,
  settleTokens,
  tokensOf,
  type GuardLedger,
} from './budget-guard/metered.ts'
import { namesOf, termsOf } from '../src/payment/reserve-terms.ts'

/** Options of {@link budgetGuard}. */
export interface BudgetGuardOptions extends LedgerOptions {
  /**
   * Every matching budget applies; a reservation succeeds in all of them or in none. An empty list sets no limit but
   * that of `paymentInterceptor()` on one request.
   */
  readonly budgets: readonly (PlainBudget | BudgetRule)[]
  /**
   * For requests that no route claims and a handler of yours sends itself: what its provider bills, by model or pattern such as
   * `gpt-4o*`. The most that a request may cost is reserved before the handler runs, and settled by the usage of
   * its answer, or of {@link reportUsage}. A model without a price is refused where a budget in USD applies. Give `{}`
   * where budgets count tokens or requests alone. Then `modelRouter()` is not needed.
   */
  readonly prices?: Readonly<Record<string, PlainPrices>> | undefined
  /** Where tags are read, and which of them budgets distinguish; none by default. */
  readonly tags?: TagOptions | undefined
  readonly clock?: Clock | undefined
  readonly observers?: readonly Observer[] | undefined
  /** Functions of yours, called by this middleware and those behind. */
  readonly hooks?: Hooks | undefined
}

const SCHEMA = z.strictObject({
  ledger: ledgerOption.optional(),
  store: storeOption.optional(),
  budgets: budgetsOption,
  prices: pricesOption.optional(),
  tags: tagOptions,
  clock: objectWith<Clock>(['now'], 'give { now() }').default(systemClock),
  observers: z.array(functionOption<Observer>('an observer is a function of one event')).default([]),
  hooks: hooksSchema.optional(),
})

/**
 * Enforces the budgets before anything pays. Refuses immediately when a recently seen price no longer fits, and
 * gives the payment interceptor its only way to make a reservation: for the exact quote, in all budgets or in
 * none.
 * @throws ConfigError for a mistake in the options
 */
export function budgetGuard(options: BudgetGuardOptions): ClosableHandler {
  const parsed = parseOptions('budgetGuard', SCHEMA, options)
  const { budgets, prices: handlerPrices, tags, clock, observers } = parsed
  const source = new LedgerSource('budgetGuard', parsed)
  const runner = runnerOf(parsed.hooks, parsed)
  const prices = new RecentQuotes()
  const rulesFor = ({ caller: { id, budgets: own } }: Exchange): readonly BudgetRule[] =>
    own === undefined || own.length === 0 ? budgets : [...budgets, ...callerRules([{ id, budgets: own }])]

  function guardFor(exchange: Exchange, ledger: GuardLedger, res: ServerResponse): Guard {
    return {
      async reserve(quote, candidate, pin) {
        const rules = rulesFor(exchange)
        const tokens = rules.some(countsTokens) ? tokensOf(exchange, candidate.route.info) : undefined
        const terms = { ...termsOf(exchange, quote, candidate), tags: exchange.payment.tags, tokens }
        if (quote.microUsd !== undefined) {
          prices.note(priceKey(exchange, candidate), quote.microUsd, clock.now())
          const { microUsd } = quote
          for (const observer of new Set([...observers, ...sharedContext(exchange).observers])) {
            observer({ type: 'quoted', seller: quote.origin, route: candidate.route.modelName, microUsd })
          }
        }
        const charge = await ledger.reserve(terms, rules, pin, markOf(exchange))
        if (tokens !== undefined) settleTokens(res, exchange, ledger)
        return charge
      },
      async check(quote, candidate) {
        await ledger.refuseEarly(
          { ...termsOf(exchange, quote, candidate), tags: exchange.payment.tags },
          rulesFor(exchange),
        )
      },
      async meter(candidate, body, info, approval) {
        const all = new Set([...observers, ...sharedContext(exchange).observers])
        const rules = rulesFor(exchange)
        const call = { exchange, candidate, body, info, rules, now: clock.now(), observers: all, approval }
        const hold = await reserveMetered(ledger, call)
        if (!hold) return undefined
        const answered = settleMetered(res, exchange, ledger, () => clock.now())
        return { ...hold, answered }
      },
    }
  }

  const handler = asyncHandler('budgetGuard', async (req, res, next) => {
    if (!isRouted(req)) return next()
    const exchange = exchangeOf(req)
    joinHooks(runner, { req, res, exchange }, () => clock.now())
    if (exchange.relay.reply) return next()
    const { candidates } = exchange.routing
    if (!candidates && !handlerPrices) {
      throw setupError(
        'budgetGuard() found no route for the request. Nothing was paid.',
        'Mount readBody() and modelRouter() before budgetGuard(). Where a handler of yours sends the request itself, give budgetGuard({ prices }) what its provider bills.',
      )
    }
    const [candidate] = candidates ?? []
    if (!candidate && !handlerPrices) return next()
    const { ledger } = await source.of(exchange)
    exchange.payment.tags = tagsOf(req.headers, tags)
    if (!candidate) {
      const call = { exchange, res, ledger, rules: rulesFor(exchange), clock }
      if (handlerPrices && (await holdOwnCall(call, handlerPrices))) next()
      return
    }
    if (candidate.route.payer !== undefined) {
      await ledger.refuseWhileFailing()
      const price = prices.recall(priceKey(exchange, candidate), clock.now())
      if (price !== undefined) {
        const spend = spendOf(exchange, candidate, price)
        await ledger.refuseEarly(spend, rulesFor(exchange)).catch((error: unknown) => {
          const others = takeOver(exchange, error)
          const [first] = others
          if (!first) throw error
          exchange.routing.attempts?.movedOn(candidate, first, 'budget_exhausted')
          exchange.routing.candidates = others
        })
      }
    }
    exchange.payment.guard = guardFor(exchange, ledger, res)
    next()
  })
  if (handlerPrices) withFacts(handler, { metersHandlers: true })
  return closable(handler, () => source.close())
}

/**
 * Reports what the calls used that a handler of yours sent for a request, for `budgetGuard({ prices })`, records and
 * limits. Needed where the answer that the client gets does not show it; several reports of one request add up. Without
 * a report the usage of the answer counts, and without that the most that was reserved. Report zeros when the provider billed nothing.
 * Report before the response is closed: what comes later is not booked.
 *
 * @example
 *   const completion = await openai.chat.completions.create(req.body)
 *   reportUsage(req, completion.usage)
 *   res.json({ text: completion.choices[0].message.content })
 * @param usage in OpenAI's, Anthropic's or another provider's form, or `{ inputTokens, outputTokens }`; `undefined` and `null`
 * report nothing
 * @throws TypeError for anything else
 */
export function reportUsage(req: Request, usage: object | null | undefined): void {
  addReported(exchangeOf(req), usage)
}

/** A second charge of the same request takes its name over. */
function markOf({ payment: { run, earlier } }: Exchange): RequestMark | undefined {
  return run?.mark && earlier ? { ...run.mark, after: earlier.id } : run?.mark
}

/** Sellers price by path and model. */
function priceKey(exchange: Exchange, candidate: Candidate): string {
  return [candidate.route.apiBase, candidate.route.payer, exchange.endpoint, candidate.remoteModel].join('\n')
}

/** What is known before the seller is asked. Its asset is not known yet, so only budgets in USD can refuse early. */
function spendOf(exchange: Exchange, { route, remoteModel }: Candidate, microUsd: bigint): Spend {
  return {
    ...namesOf(exchange, { route, remoteModel }),
    caller: exchange.caller.id,
    route: route.modelName,
    payer: route.payer ?? '',
    seller: new URL(route.apiBase).origin,
    tags: exchange.payment.tags,
    symbol: '',
    amount: 0n,
    microUsd,
  }
}
