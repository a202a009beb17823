/** Checks each budget against the assets, the tags, the names of the rest of the file, and its own other keys. */
import { BUILT_IN_ASSETS } from '../../../core/money/assets.ts'
import { OTHER_SUBJECT } from '../../../core/budget/scope.ts'
import { parseUsd } from '../../../core/money/money.ts'
import { DEFAULT_SUBJECT } from '../../../core/budget/subject-limits.ts'
import { isPlainObject } from '../reading/interpolate.ts'
import { budgetNames, checkNames, tagsIn, type Tags, tagNames } from './budget-names.ts'
import { matchesPattern } from '../../../core/name-pattern.ts'
import { items, type Fields, type Item } from './config-item.ts'
import { unknownValue } from '../../../io/names/nearest-name.ts'
import type { RouteFinding } from '../reading/explain.ts'

/**
 * @param config the configuration with its references resolved; values of an unexpected form are skipped here and reported by
 * the schema
 */
export function checkBudgets(config: Fields): RouteFinding[] {
  const tags = tagsIn(config)
  const names = budgetNames(config, tags)
  const assets = items(config, 'assets')
  const other = tags.declared.indexOf(OTHER_SUBJECT)
  return [
    ...items(config, 'budgets').flatMap((budget) => [
      ...checkLimit(budget),
      ...checkAsset(budget, assets),
      ...checkSoft(budget),
      ...checkScope(budget, tags),
      ...checkNames(budget, names, tagNames(tags)),
      ...checkRouteTo(budget, config),
    ]),
    ...checkPrices(config),
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

/** What takes over must not pay: it would go on past the refusal of a budget (rule 7). */
function checkRouteTo({ path, fields }: Item, config: Fields): RouteFinding[] {
  const rule = fields['when_exhausted']
  const model = isPlainObject(rule) ? rule['route_to'] : undefined
  if (typeof model !== 'string') return []
  const at = [...path, 'when_exhausted', 'route_to']
  const router = isPlainObject(config['router']) ? config['router'] : {}
  const aliases = isPlainObject(router['aliases']) ? router['aliases'] : {}
  const name = typeof aliases[model] === 'string' ? aliases[model] : model
  const routes = items(config, 'model_list').filter(({ fields: route }) => {
    const pattern = route['model_name']
    return typeof pattern === 'string' && matchesPattern(pattern, name)
  })
  if (routes.length === 0) {
    return [
      { path: at, message: 'is served by no route. Name a model of model_list whose routes have no payer.' },
    ]
  }
  if (routes.every(({ fields: route }) => route['payer'] !== undefined)) {
    const message = 'is a paid route, which a refused request must not lead to. Name a model without a payer.'
    return [{ path: at, message }]
  }
  return []
}

/** Calls of a route without a price would pass every budget in USD. */
function checkPrices(config: Fields): RouteFinding[] {
  const policy = isPlainObject(config['policy']) ? config['policy'] : {}
  const counts = items(config, 'budgets').some(
    ({ fields }) => (fields['limit_usd'] ?? fields['limits']) !== undefined && fields['enforce'] !== false,
  )
  if (policy['require_price'] !== true || !counts) return []
  const unpriced = items(config, 'model_list').filter(({ fields }) => {
    const info = isPlainObject(fields['model_info']) ? fields['model_info'] : {}
    return fields['payer'] === undefined && !PRICES.some((key) => info[key] !== undefined)
  })
  const message =
    'is missing, and policy.require_price asks for it. Add prices, such as model_info: { input_usd_per_token: "0.0000025", output_usd_per_token: "0.00001" }, or zeros for a free model.'
  const upstream = config['upstream'] === undefined ? [] : [{ path: ['upstream'], message: UPSTREAM }]
  return [...unpriced.map(({ path }) => ({ path: [...path, 'model_info'], message })), ...upstream]
}

const PRICES = [
  'usd_per_request',
  'input_usd_per_token',
  'output_usd_per_token',
  'input_usd_per_image',
  'output_usd_per_image',
  'input_usd_per_second',
  'output_usd_per_second',
] as const

const UPSTREAM =
  'has no prices, and policy.require_price asks for them. Give its models routes with model_info, or remove it.'

/** The keys that say how much a budget allows. */
const LIMITS = ['limit_usd', 'limits', 'limit', 'limit_tokens', 'limit_requests'] as const

function checkLimit({ path, fields }: Item): RouteFinding[] {
  const given = LIMITS.filter((key) => fields[key] !== undefined)
  const [first, second] = given
  if (first === undefined) {
    return [{ path: [...path, 'limit_usd'], message: 'is missing. Add it, such as limit_usd: "5.00".' }]
  }
  const isPair = first === 'limit_usd' && second === 'limits' && given.length === 2
  if (second !== undefined && !isPair) {
    const message = `cannot be combined with ${first}: a budget has one limit. Remove one of the two.`
    return [{ path: [...path, second], message }]
  }
  return [...checkSubjectLimits({ path, fields }), ...checkUnit({ path, fields })]
}

function checkSubjectLimits({ path, fields }: Item): RouteFinding[] {
  const { limits, limit_usd: usd, per } = fields
  if (!isPlainObject(limits)) return []
  if (per === undefined) {
    return [{ path: [...path, 'limits'], message: 'belongs to subjects. Add per, such as per: caller.' }]
  }
  if (usd !== undefined && limits[DEFAULT_SUBJECT] !== undefined) {
    const message = 'says the same as limit_usd: what all other subjects may spend. Remove one of the two.'
    return [{ path: [...path, 'limits', DEFAULT_SUBJECT], message }]
  }
  if (Object.keys(limits).length === 0) {
    return [{ path: [...path, 'limits'], message: 'is empty. Name a subject, such as default: "0.50".' }]
  }
  return []
}

function checkUnit({ path, fields }: Item): RouteFinding[] {
  const { limit, asset } = fields
  if (limit !== undefined && asset === undefined) {
    const message = 'is missing. Name the token whose smallest units limit counts, such as asset: USDC.'
    return [{ path: [...path, 'asset'], message }]
  }
  if (limit === undefined && asset !== undefined) {
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

function checkScope({ path, fields }: Item, { declared, open }: Tags): RouteFinding[] {
  if (fields['per'] !== 'tag' || declared.length + open.length > 0) return []
  return [
    {
      path: [...path, 'per'],
      message:
        'is tag, and no tag is declared: all requests would share one limit. List tags under tags.declared, or their kind under tags.open.',
    },
  ]
}
