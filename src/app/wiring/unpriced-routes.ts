import { needsUsd } from '../../core/budget/budget.ts'
import { isPriced } from '../../core/metering/token-prices.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'

/** What the default upstream is called beside routes. */
const UPSTREAM = 'upstream'

/**
 * The routes whose calls pass budgets in USD uncounted: without a payer and without a price.
 * @returns none while no budget in USD is enforced
 */
export function unpricedRoutes({
  routes,
  upstream,
  budgets,
}: Pick<ResolvedConfig, 'routes' | 'upstream' | 'budgets'>): string[] {
  if (!budgets.some(needsUsd)) return []
  const names = routes.flatMap(({ modelName, payer, info }) =>
    payer === undefined && !isPriced(info) ? [modelName] : [],
  )
  return [...new Set(names), ...(upstream ? [UPSTREAM] : [])]
}
