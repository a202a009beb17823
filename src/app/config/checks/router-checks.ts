/** Checks routes and the router against each other. */
import { matchesPattern } from '../../../core/name-pattern.ts'
import type { Item } from './config-item.ts'
import type { RouteFinding } from '../reading/explain.ts'
import { unknownValue } from '../../../io/names/nearest-name.ts'
import { isPlainObject } from '../reading/interpolate.ts'
import type { ConfigPath } from '../values/problems.ts'

type Fields = Readonly<Record<string, unknown>>

/** The fallback lists of the `router` section. */
const FALLBACK_KEYS = ['fallbacks', 'context_window_fallbacks', 'content_policy_fallbacks'] as const

/**
 * @param routes the entries of `model_list`
 * @param callers the entries of `callers`
 * @param names the names of the routes as written, for messages
 */
export function checkRouter(
  config: Fields,
  routes: readonly Item[],
  callers: readonly Item[],
  names: readonly string[],
): RouteFinding[] {
  const router = isPlainObject(config['router']) ? config['router'] : {}
  const patterns = routes.flatMap(({ fields }) => text(fields['model_name']))
  const aliases = isPlainObject(router['aliases']) ? router['aliases'] : {}
  const claimed = (model: string): boolean =>
    Object.hasOwn(aliases, model) || patterns.some((pattern) => matchesPattern(pattern, model))
  const known = [...names, ...Object.keys(aliases)]
  return [
    ...routes.flatMap((item) => checkRoute(item, router['strategy'])),
    ...routes.flatMap((item) => checkCallersOf(item, callers, config['keys'] !== undefined)),
    ...Object.entries(aliases).flatMap(([alias, target]) =>
      checkAlias(alias, target, { aliases, patterns, claimed, known }),
    ),
    ...FALLBACK_KEYS.flatMap((key) => checkFallbacks(router[key], key, { patterns, claimed, known })),
  ]
}

function checkRoute({ path, fields }: Item, strategy: unknown): RouteFinding[] {
  const findings: RouteFinding[] = []
  if (fields['weight'] !== undefined && strategy !== 'weighted') {
    findings.push({
      path: [...path, 'weight'],
      message: 'does nothing while router.strategy is not weighted. Set strategy: weighted, or remove it.',
    })
  }
  const dropped = fields['drop_params']
  if (Array.isArray(dropped) && dropped.includes('model')) {
    findings.push({
      path: [...path, 'drop_params', dropped.indexOf('model')],
      message: 'cannot be dropped: the seller needs it. Name another field, or set model to rename it.',
    })
  }
  const when = fields['when']
  if (isPlainObject(when) && Object.keys(when).length === 0) {
    findings.push({
      path: [...path, 'when'],
      message: 'holds no condition. Add callers or headers, or remove it.',
    })
  }
  return findings
}

/** An unknown caller id is a typo, unless the caller may be in the keys file. */
function checkCallersOf(
  { path, fields }: Item,
  callers: readonly Item[],
  hasKeysFile: boolean,
): RouteFinding[] {
  const when = fields['when']
  const wanted = isPlainObject(when) && Array.isArray(when['callers']) ? when['callers'] : []
  if (hasKeysFile || callers.length === 0) return []
  const ids = callers.flatMap(({ fields: caller }) => text(caller['id']))
  return wanted.flatMap((pattern: unknown, at): RouteFinding[] =>
    typeof pattern !== 'string' || ids.some((id) => matchesPattern(pattern, id))
      ? []
      : [
          {
            path: [...path, 'when', 'callers', at],
            message: unknownValue('caller', pattern, ids),
          },
        ],
  )
}

interface Known {
  readonly patterns: readonly string[]
  readonly known: readonly string[]
  readonly claimed: (model: string) => boolean
}

function checkAlias(
  alias: string,
  target: unknown,
  { aliases, patterns, claimed, known }: Known & { readonly aliases: Fields },
): RouteFinding[] {
  const path: ConfigPath = ['router', 'aliases', alias]
  if (alias.includes('*')) return [{ path, message: 'must be one name, without *.' }]
  if (patterns.includes(alias)) {
    return [{ path, message: 'is the model_name of a route too. Give the alias another name.' }]
  }
  if (typeof target !== 'string') return []
  if (target.includes('*')) return [{ path, message: 'must name one model, without *.' }]
  if (Object.hasOwn(aliases, target)) {
    return [{ path, message: 'names another alias. Name the model itself.' }]
  }
  return claimed(target) ? [] : [{ path, message: unknownValue('model', target, known) }]
}

function checkFallbacks(
  list: unknown,
  key: (typeof FALLBACK_KEYS)[number],
  { patterns, claimed, known }: Known,
): RouteFinding[] {
  if (!Array.isArray(list)) return []
  const seen = new Set<string>()
  return list.flatMap((entry: unknown, index): RouteFinding[] => {
    if (!isPlainObject(entry)) return []
    return Object.entries(entry).flatMap(([model, targets]): RouteFinding[] => {
      const path: ConfigPath = ['router', key, index, model]
      const findings: RouteFinding[] = []
      if (seen.has(model))
        findings.push({ path, message: 'has its fallbacks twice. Put them into one list.' })
      seen.add(model)
      // `*` stands for every model without fallbacks of its own.
      if (model !== '*' && !claimed(model) && !patterns.includes(model)) {
        findings.push({ path, message: unknownValue('model', model, known) })
      }
      for (const [at, target] of (Array.isArray(targets) ? targets : []).entries()) {
        if (typeof target !== 'string') continue
        const place = [...path, at]
        if (target.includes('*')) findings.push({ path: place, message: 'must be one model, without *.' })
        else if (target === model) findings.push({ path: place, message: 'falls back to itself. Remove it.' })
        else if (!claimed(target))
          findings.push({ path: place, message: unknownValue('model', target, known) })
      }
      return findings
    })
  })
}

function text(value: unknown): string[] {
  return typeof value === 'string' ? [value] : []
}
