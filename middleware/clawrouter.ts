/** The endpoints that OpenClaw's ClawRouter provider requests: `GET /v1/catalog` and `GET /v1/usage`. */
import { z } from 'zod'
import { counted, ALL_SUBJECTS, type BudgetRule } from '../src/core/budget/budget.ts'
import { limitFor } from '../src/core/budget/subject-limits.ts'
import { systemClock, type Clock } from '../src/core/clock.ts'
import type { Exchange } from '../src/core/request/exchange.ts'
import type { ModelInfo, RouteFacts, RouteTable } from '../src/core/routing/route.ts'
import { windowAt } from '../src/core/budget/window.ts'
import type { BudgetStatus } from '../src/io/ledger/budget-status.ts'
import type { Ledger } from '../src/io/ledger/ledger.ts'
import type { LedgerUse } from '../src/io/ledger/ledger-use.ts'
import { exchangeOf } from './http/exchange-of.ts'
import { asyncHandler } from './http/handler.ts'
import { budgetsOption, type PlainBudget } from './http/options/budget-option.ts'
import { closable, type ClosableHandler } from './http/closable.ts'
import { ledgerOption, LedgerSource, storeOption, type LedgerOptions } from './http/chain/ledger-source.ts'
import { routesOption, type PlainRoute } from './http/options/routes-option.ts'
import { listedModels, mergedInfo } from './http/listed-models.ts'
import { type ModelCatalogue } from '../src/core/routing/catalogue.ts'
import { parseOptions } from '../src/io/names/parse-options.ts'
import { objectWith } from './http/options.ts'
import { findPath, headersOf } from './http/paths.ts'
import { sendJson } from './http/send-json.ts'

/** Options of {@link clawrouter}. */
export interface ClawrouterOptions {
  /** As `modelRouter()` takes them. */
  readonly routes: readonly PlainRoute[] | RouteTable
  /** Where spending is read; default the ledger of the middlewares before it, or `store`. */
  readonly ledger?: Ledger | undefined
  readonly store?: LedgerOptions['store']
  readonly budgets?: readonly (PlainBudget | BudgetRule)[] | undefined
  /** The sellers' model lists; without them only exact names are listed. */
  readonly catalogue?: ModelCatalogue | undefined
  readonly clock?: Clock | undefined
}

const SCHEMA = z.strictObject({
  routes: routesOption,
  ledger: ledgerOption.optional(),
  store: storeOption.optional(),
  budgets: budgetsOption.default([]),
  catalogue: objectWith<ModelCatalogue>(
    ['names', 'find'],
    'give the catalogues that openParts() opens',
  ).optional(),
  clock: objectWith<Clock>(['now'], 'a clock is an object with now()').default(systemClock),
})

/** OpenClaw lists only models that it could call natively; ours are all called through OpenAI's API. */
const NATIVE_BASE = '/v1/native/tollway'

const ROUTES = [
  { path: '/chat/completions', requestFormat: 'openai.chat', methods: ['POST'] },
  { path: '/responses', requestFormat: 'openai.responses', methods: ['POST'] },
]

/**
 * Lists the caller's models, and the caller's spending this month with its monthly budget. Mount it after `caller()`.
 * OpenClaw calls every budget a monthly one, so budgets with other windows are left out.
 * @throws ConfigError for a mistake in the options
 */
export function clawrouter(options: ClawrouterOptions): ClosableHandler {
  const settings = parseOptions('clawrouter', SCHEMA, options)
  const source = new LedgerSource('clawrouter', settings)
  const handler = asyncHandler('clawrouter', async (req, res, next) => {
    if (req.method !== 'GET' && req.method !== 'HEAD') return next()
    const path = findPath(req, (at) => at === '/catalog' || at === '/usage')
    if (path === undefined) return next()
    const exchange = exchangeOf(req)
    exchange.endpoint = path
    if (path === '/usage') {
      const { ledger } = await source.of(exchange)
      return sendJson(res, exchange, 200, await usageOf(exchange, ledger, settings))
    }
    await settings.catalogue?.load()
    const facts: RouteFacts = { caller: exchange.caller.id, header: headersOf(req) }
    sendJson(res, exchange, 200, catalogOf(exchange, settings, facts))
  })
  return closable(handler, () => source.close())
}

function catalogOf(
  exchange: Exchange,
  { routes, catalogue }: z.output<typeof SCHEMA>,
  facts: RouteFacts,
): object {
  const models = listedModels(exchange, routes, facts, catalogue).filter((id) => !id.includes('*'))
  return {
    providers: [
      {
        id: 'tollway',
        displayName: 'Tollway',
        openaiCompatible: true,
        nativeBaseUrl: NATIVE_BASE,
        routes: ROUTES,
        models: models.map((id) => {
          const first = routes.match(id, facts)[0]
          return {
            id,
            upstream: id,
            displayName: id,
            capabilities: ['llm.chat'],
            ...pricingOf(mergedInfo(first?.route.info, first && catalogue?.find(first))),
          }
        }),
      },
    ],
  }
}

/** Unknown prices are omitted: what a request cost is in its answer. */
function pricingOf(info: ModelInfo | undefined): object {
  const pricing = {
    inputMicrosPerMillion: microsPerMillion(info?.inputUsdPerToken),
    outputMicrosPerMillion: microsPerMillion(info?.outputUsdPerToken),
    maxInputTokens: info?.contextWindow,
    defaultMaxOutputTokens: info?.maxOutputTokens,
  }
  const known = Object.entries(pricing).filter(([, value]) => value !== undefined)
  return known.length === 0 ? {} : { pricing: Object.fromEntries(known) }
}

/** For display in OpenClaw only: it expects a number, and no money is calculated from it. */
function microsPerMillion(usdPerToken: string | undefined): number | undefined {
  return usdPerToken === undefined ? undefined : Math.round(Number(usdPerToken) * 1e12)
}

async function usageOf(
  exchange: Exchange,
  ledger: LedgerUse<'budgets', 'consumption'>,
  { budgets, clock }: z.output<typeof SCHEMA>,
): Promise<object> {
  const { start } = windowAt('month', 'UTC', clock.now())
  const bought = await ledger.store.consumption({ caller: exchange.caller.id, since: start })
  const monthly = budgets.filter(isMonthly)
  const budget = tightest(monthly, await ledger.budgets(monthly), exchange.caller.id)
  const month = new Date(start).toISOString().slice(0, 7)
  return {
    budget:
      budget === undefined
        ? { configured: false }
        : {
            configured: true,
            limitMicros: Number(budget.limit),
            spentMicros: Number(budget.spent),
            windowKey: `${budget.rule.name}/${month}`,
          },
    usage: {
      summary: {
        requestCount: bought.charges,
        totalTokens: bought.inputTokens + bought.outputTokens,
        actualCostMicros: Number(bought.microUsd),
      },
    },
  }
}

/** Of the budgets that limit this caller, the one with the least left. */
function tightest(
  rules: readonly BudgetRule[],
  statuses: readonly BudgetStatus[],
  caller: string,
): { readonly rule: BudgetRule; readonly limit: bigint; readonly spent: bigint } | undefined {
  return rules
    .flatMap((rule) => {
      const subject = rule.per === undefined ? ALL_SUBJECTS : caller
      const limit = limitFor(rule, subject)
      if (limit === undefined && rule.namedOnly === true) return []
      const status = statuses.find((entry) => entry.rule === rule && entry.claim.subject === subject)
      return { rule, limit: limit ?? rule.limit, spent: status === undefined ? 0n : counted(status.totals) }
    })
    .toSorted((a, b) => (a.limit - a.spent < b.limit - b.spent ? -1 : 1))[0]
}

/** Whether a budget is in USD, by calendar month, and either shared by all callers for all requests or per caller. */
function isMonthly(rule: BudgetRule): boolean {
  return (
    rule.window === 'month' &&
    rule.asset === undefined &&
    rule.enforce !== false &&
    rule.match === undefined &&
    (rule.per === undefined || rule.per === 'caller')
  )
}
