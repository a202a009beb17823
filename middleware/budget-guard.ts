import { z } from 'zod'
import { isBudgetRule, type BudgetRule, type Spend } from '../src/core/budget/budget.ts'
import { systemClock, type Clock } from '../src/core/clock.ts'
import { ConfigError } from '../src/core/errors.ts'
import type { Observer } from '../src/core/telemetry/events.ts'
import type { Exchange, Guard } from '../src/core/request/exchange.ts'
import { RecentQuotes } from '../src/core/budget/recent-quotes.ts'
import type { Candidate } from '../src/core/routing/route.ts'
import type { Ledger } from '../src/io/ledger/ledger.ts'
import { exchangeOf } from './http/exchange-of.ts'
import { asyncHandler, type Handler } from './http/handler.ts'
import { parseOptions } from '../src/io/names/parse-options.ts'
import { functionOption, objectWith } from './http/options.ts'
import { isRouted } from './http/paths.ts'
import { tagOptions, tagsOf, type TagOptions } from '../src/core/budget/tags.ts'
import { termsOf } from '../src/payment/reserve-terms.ts'

/** Options of {@link budgetGuard}. */
export interface BudgetGuardOptions {
  readonly ledger: Ledger
  /** Every matching budget applies; a reservation succeeds in all of them or in none. */
  readonly budgets: readonly BudgetRule[]
  /** Where tags are read, and which of them budgets distinguish; none by default. */
  readonly tags?: TagOptions | undefined
  readonly clock?: Clock | undefined
  readonly observers?: readonly Observer[] | undefined
}

const SCHEMA = z.strictObject({
  ledger: objectWith<Ledger>(
    ['reserve', 'refuseEarly', 'refuseWhileFailing'],
    'give the ledger that openParts() opens',
  ),
  budgets: z.array(
    z.custom<BudgetRule>(
      isBudgetRule,
      'give budgets as parseConfig() returns them, limits in micro-USD as bigint',
    ),
  ),
  tags: tagOptions,
  clock: objectWith<Clock>(['now'], 'give { now() }').default(systemClock),
  observers: z.array(functionOption<Observer>('an observer is a function of one event')).default([]),
})

/**
 * Enforces the budgets before anything pays. Refuses immediately when a recently seen price no longer fits, and
 * gives the payment interceptor its only way to make a reservation: for the exact quote, in all budgets or in
 * none.
 * @throws ConfigError for a mistake in the options
 */
export function budgetGuard(options: BudgetGuardOptions): Handler {
  const { ledger, budgets, tags, clock, observers } = parseOptions('budgetGuard', SCHEMA, options)
  const prices = new RecentQuotes()

  function guardFor(exchange: Exchange): Guard {
    return {
      async reserve(quote, candidate, pin) {
        const terms = { ...termsOf(exchange, quote, candidate), tags: exchange.payment.tags }
        if (quote.microUsd !== undefined) {
          prices.note(priceKey(exchange, candidate), quote.microUsd, clock.now())
          const { microUsd } = quote
          for (const observer of observers) {
            observer({ type: 'quoted', seller: quote.origin, route: candidate.route.modelName, microUsd })
          }
        }
        return await ledger.reserve(terms, budgets, pin, exchange.payment.run?.mark)
      },
    }
  }

  return asyncHandler('budgetGuard', async (req, _res, next) => {
    if (!isRouted(req)) return next()
    const exchange = exchangeOf(req)
    if (exchange.relay.reply) return next()
    const candidate = exchange.routing.candidates?.[0]
    if (!candidate) throw new ConfigError('budgetGuard() found no route: mount modelRouter() before it.')
    exchange.payment.tags = tagsOf(req.headers, tags)
    if (candidate.route.payer !== undefined) {
      await ledger.refuseWhileFailing()
      const price = prices.recall(priceKey(exchange, candidate), clock.now())
      if (price !== undefined) await ledger.refuseEarly(spendOf(exchange, candidate, price), budgets)
    }
    exchange.payment.guard = guardFor(exchange)
    next()
  })
}

/** Sellers price by path and model. */
function priceKey(exchange: Exchange, candidate: Candidate): string {
  return [candidate.route.apiBase, candidate.route.payer, exchange.endpoint, candidate.remoteModel].join('\n')
}

/** What is known before the seller is asked. Its asset is not known yet, so only budgets in USD can refuse early. */
function spendOf(exchange: Exchange, { route }: Candidate, microUsd: bigint): Spend {
  return {
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
