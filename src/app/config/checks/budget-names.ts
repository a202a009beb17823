/** Finds names in budgets that nothing in the file has: a misspelt one would silently limit nothing. */
import { matchesPattern } from '../../../core/name-pattern.ts'
import { MATCH_KEYS } from '../../../core/budget/budget-match.ts'
import { isTagScope, OTHER_SUBJECT, tagNameOf } from '../../../core/budget/scope.ts'
import { KEYED_PAYER } from '../../../core/charge/metered.ts'
import { DEFAULT_SUBJECT } from '../../../core/budget/subject-limits.ts'
import { nearestName, unknownValue } from '../../../io/names/nearest-name.ts'
import type { RouteFinding } from '../reading/explain.ts'
import { isPlainObject } from '../reading/interpolate.ts'
import { parseApiBase } from '../values/addresses.ts'
import { items, type Fields, type Item } from './config-item.ts'

/** The tags that requests can carry. */
export interface Tags {
  readonly declared: readonly string[]
  readonly open: readonly string[]
}

/** The names that subjects of a budget may have, by what it is kept per or matched by; `undefined`: any. */
export type BudgetNames = (scope: string) => readonly string[] | undefined

/** Reads `tags`. */
export function tagsIn(config: Fields): Tags {
  const tags = isPlainObject(config['tags']) ? config['tags'] : {}
  return { declared: texts(tags['declared']), open: texts(tags['open']) }
}

/** The names in a configuration. Callers and teams are open where `tollway keys` may add some. */
export function budgetNames(config: Fields, { declared, open }: Tags): BudgetNames {
  const routes = items(config, 'model_list')
  const callers = items(config, 'callers')
  const isOpen = config['keys'] !== undefined
  const models = fieldsOf(routes, 'model_name')
  const payers = isPlainObject(config['payers']) ? config['payers'] : {}
  // Each upstream in the files of a pool is a route by itself.
  const hasPools = Object.values(payers).some((payer) => isPlainObject(payer) && payer['kind'] === 'obol')
  const upstream = isPlainObject(config['upstream']) ? texts([config['upstream']['api_base']]) : []
  const known: Readonly<Record<string, readonly string[] | undefined>> = {
    caller: isOpen ? undefined : callers.length === 0 ? ['anonymous'] : fieldsOf(callers, 'id'),
    team: isOpen ? undefined : [...fieldsOf(callers, 'team'), OTHER_SUBJECT],
    route: hasPools ? undefined : models,
    payer: [...Object.keys(payers), KEYED_PAYER],
    seller: hasPools ? undefined : [...fieldsOf(routes, 'api_base'), ...upstream].flatMap(sellerNames),
    tag: open.length > 0 ? undefined : [...declared, OTHER_SUBJECT],
  }
  return (scope) => {
    if (!isTagScope(scope)) return known[scope]
    const kind = tagNameOf(scope)
    if (open.includes(kind)) return undefined
    return declared.flatMap((tag) => (tag.startsWith(`${kind}:`) ? [tag.slice(kind.length + 1)] : []))
  }
}

/** The names before the colon that tags of requests can have. */
export function tagNames({ declared, open }: Tags): readonly string[] {
  return [...new Set([...open, ...declared.flatMap((tag) => tag.split(':', 1))])]
}

/**
 * The names under `per`, `limits` and `match` of one budget that nothing has.
 * @param tags see {@link tagNames}
 */
export function checkNames(
  { path, fields }: Item,
  names: BudgetNames,
  tags: readonly string[],
): RouteFinding[] {
  const { per, limits, match } = fields
  const scope = per === 'model' ? 'route' : per
  return [
    ...(typeof scope === 'string' ? checkKind(scope, names, tags, [...path, 'per']) : []),
    ...(isPlainObject(limits) && typeof scope === 'string'
      ? Object.keys(limits).flatMap((name) =>
          name === DEFAULT_SUBJECT ? [] : checkName(scope, name, names, [...path, 'limits', name]),
        )
      : []),
    ...Object.entries(isPlainObject(match) ? match : {}).flatMap(([key, value]) => {
      const at = [...path, 'match', key]
      if (!isTagScope(key) && !MATCH_KEYS.some((known) => known === key)) return []
      const list: readonly unknown[] = Array.isArray(value) ? value : [value]
      return [
        ...checkKind(key, names, tags, at),
        ...list.flatMap((name) => (typeof name === 'string' ? checkName(key, name, names, at) : [])),
      ]
    }),
  ]
}

/** A kind of tags that no request can carry. */
function checkKind(
  scope: string,
  names: BudgetNames,
  tags: readonly string[],
  path: RouteFinding['path'],
): RouteFinding[] {
  if (!isTagScope(scope) || names(scope)?.length !== 0) return []
  const kind = tagNameOf(scope)
  const message = `names tags that no request can carry: list ${kind} under tags.open, or tags such as ${kind}:name under tags.declared.`
  const near = nearestName(kind, tags)
  const hint = near === undefined ? '' : ` Did you mean "tag.${near}"?`
  return [{ path, message: `${message}${hint}` }]
}

function checkName(
  scope: string,
  name: string,
  names: BudgetNames,
  path: RouteFinding['path'],
): RouteFinding[] {
  const known = names(scope)
  if (known === undefined || known.length === 0) return []
  if (name === '*' || known.some((each) => each === name || matchesPattern(name, each))) return []
  return [{ path, message: unknownValue(isTagScope(scope) ? 'tag' : scope, name, known) }]
}

function fieldsOf(list: readonly Item[], key: string): string[] {
  return list.flatMap(({ fields }) => texts([fields[key]]))
}

function sellerNames(base: string): string[] {
  const parsed = parseApiBase(base)
  return 'url' in parsed ? [parsed.url.origin, parsed.url.host] : []
}

function texts(list: unknown): string[] {
  return Array.isArray(list) ? list.filter((item) => typeof item === 'string') : []
}
