/** Checks each budget against the assets, the declared tags and its own other keys. */
import { BUILT_IN_ASSETS } from '../../../core/money/assets.ts'
import { OTHER_TAG } from '../../../core/budget/budget.ts'
import { parseUsd } from '../../../core/money/money.ts'
import type { Item } from './config-item.ts'
import { unknownValue } from '../../../io/names/nearest-name.ts'
import type { RouteFinding } from '../reading/explain.ts'

/**
 * @param budgets the items of `budgets`; values of an unexpected form are skipped here and reported by the schema
 * @param assets the items of `assets`
 * @param declared the value of `tags.declared`
 */
export function checkBudgets(
  budgets: readonly Item[],
  assets: readonly Item[],
  declared: unknown,
): RouteFinding[] {
  const tags: readonly unknown[] = Array.isArray(declared) ? declared : []
  const other = tags.indexOf(OTHER_TAG)
  return [
    ...budgets.flatMap((budget) => [
      ...checkLimit(budget),
      ...checkAsset(budget, assets),
      ...checkSoft(budget),
      ...checkScope(budget, tags),
    ]),
    ...(other < 0
      ? []
      : [
          {
            path: ['tags', 'declared', other],
            message: 'is what every undeclared tag counts as. Remove it.',
          },
        ]),
  ]
}

function checkLimit({ path, fields }: Item): RouteFinding[] {
  const { limit_usd: usd, limit, asset } = fields
  if (usd === undefined && limit === undefined) {
    return [{ path: [...path, 'limit_usd'], message: 'is missing. Add it, such as limit_usd: "5.00".' }]
  }
  if (usd !== undefined && limit !== undefined) {
    const message = 'cannot be combined with limit_usd: a budget has one limit. Remove one of the two.'
    return [{ path: [...path, 'limit'], message }]
  }
  if (limit !== undefined && asset === undefined) {
    const message = 'is missing. Name the token whose smallest units limit counts, such as asset: USDC.'
    return [{ path: [...path, 'asset'], message }]
  }
  if (usd !== undefined && asset !== undefined) {
    const message =
      'cannot be combined with limit_usd. Replace limit_usd by limit in the smallest units of the asset, or remove asset.'
    return [{ path: [...path, 'asset'], message }]
  }
  return []
}

function checkAsset({ path, fields }: Item, assets: readonly Item[]): RouteFinding[] {
  const { asset } = fields
  if (typeof asset !== 'string') return []
  const known = [...BUILT_IN_ASSETS, ...assets.map((item) => item.fields)]
  const decimals = new Set(known.filter(({ symbol }) => symbol === asset).map((found) => found['decimals']))
  if (decimals.size === 1) return []
  if (decimals.size > 1) {
    const message =
      'is the symbol of tokens with different decimals. Give one of them another symbol under assets.'
    return [{ path: [...path, 'asset'], message }]
  }
  const symbols = [...new Set(known.map(({ symbol }) => symbol))].filter(
    (symbol) => typeof symbol === 'string',
  )
  return [{ path: [...path, 'asset'], message: unknownValue('asset', asset, symbols) }]
}

function checkSoft({ path, fields }: Item): RouteFinding[] {
  const { soft_usd: soft, limit_usd: limit, window } = fields
  if (soft === undefined) return []
  const refuse = (message: string): RouteFinding[] => [{ path: [...path, 'soft_usd'], message }]
  if (limit === undefined) return refuse('belongs to a limit in USD. Remove it, or use limit_usd.')
  if (window === 'request')
    return refuse('has no effect with window: request, where nothing adds up. Remove it.')
  const [softValue, limitValue] = [parseUsd(soft), parseUsd(limit)]
  if (softValue === undefined || limitValue === undefined || softValue < limitValue) return []
  return refuse('is not below limit_usd, so it would never be reached first. Lower it, or remove it.')
}

function checkScope({ path, fields }: Item, tags: readonly unknown[]): RouteFinding[] {
  if (fields['per'] !== 'tag' || tags.length > 0) return []
  return [
    {
      path: [...path, 'per'],
      message:
        'is tag, and no tag is declared: all requests would share one limit. List tags under tags.declared.',
    },
  ]
}
