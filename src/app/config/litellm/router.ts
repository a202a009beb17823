/** LiteLLM's router: `router_settings`, and what `litellm_settings` has of them too. */
import { isPlainObject } from '../reading/interpolate.ts'
import type { ConfigPath } from '../values/problems.ts'
import { keptTargets, translateAliases, translateFallbacks, type IsSkipped } from './fallbacks.ts'
import { shown } from './limits.ts'
import { translateSection, type SectionKeys } from './section.ts'
import type { Translation } from './translation.ts'

type Fields = Readonly<Record<string, unknown>>

/** Fallback lists, by their names there and here. */
const LISTS = ['fallbacks', 'context_window_fallbacks', 'content_policy_fallbacks'] as const

/** Numbers and their names here. */
const NUMBERS: Readonly<Record<string, string>> = {
  num_retries: 'num_retries',
  allowed_fails: 'allowed_fails',
  cooldown_time: 'cooldown_seconds',
}

/** LiteLLM's routing strategies that have an equivalent here. */
const STRATEGIES: Readonly<Record<string, string>> = {
  'simple-shuffle': 'weighted',
  'cost-based-routing': 'cheapest',
}

/** The `router` section, and the default of `max_parallel_requests` per route. */
export interface TranslatedRouter {
  readonly router: Fields
  readonly parallel: unknown
}

export function translateRouter(work: Translation, input: Fields, isSkipped: IsSkipped): TranslatedRouter {
  const router: Record<string, unknown> = {}
  let parallel: unknown
  let defaults: { readonly item: unknown; readonly path: ConfigPath } | undefined
  const defaultFallbacks = (item: unknown, path: ConfigPath): void => {
    if (!Array.isArray(item) || defaults !== undefined) return work.ignore(path, item)
    defaults = { item, path }
  }
  // router_settings takes precedence over litellm_settings.
  translateSection(work, input, 'router_settings', {
    ...common(work, router, isSkipped),
    routing_strategy: (item, path) => {
      const known = typeof item === 'string' && Object.hasOwn(STRATEGIES, item) ? STRATEGIES[item] : undefined
      if (known === undefined) return work.ignore(path, item)
      router['strategy'] = known
    },
    model_group_alias: (item, path) => {
      router['aliases'] = translateAliases(work, item, path, isSkipped)
      work.origin(['router', 'aliases'], path)
    },
    default_fallbacks: defaultFallbacks,
    default_max_parallel_requests: (item, path) => {
      if (typeof item !== 'number') return work.ignore(path, item)
      parallel = item
      work.note('limit_kept', path, `this limit${shown(item)} applies to each route without its own.`)
    },
  })
  translateSection(work, input, 'litellm_settings', {
    ...common(work, router, isSkipped),
    default_fallbacks: defaultFallbacks,
    // Read as one budget, by translate.ts.
    max_budget: () => undefined,
    budget_duration: () => undefined,
    timezone: () => undefined,
  })
  addDefaults(work, router, defaults, isSkipped)
  // LiteLLM's own default strategy, which its weights are meant for.
  const list = input['model_list']
  const isWeighted =
    Array.isArray(list) && list.some((entry) => isPlainObject(entry) && 'litellm_params' in entry)
  if (isWeighted) router['strategy'] ??= 'weighted'
  return { router, parallel }
}

/** What the two sections have in common. */
function common(work: Translation, router: Record<string, unknown>, isSkipped: IsSkipped): SectionKeys {
  const put = (ours: string, item: unknown, path: ConfigPath): void => {
    if (item === null) return
    if (router[ours] !== undefined) return work.ignore(path, item)
    router[ours] = item
    work.origin(['router', ours], path)
  }
  return {
    ...Object.fromEntries(
      LISTS.map((key) => [
        key,
        (item: unknown, path: ConfigPath) =>
          put(key, translateFallbacks(work, item, { path, to: ['router', key], isSkipped }), path),
      ]),
    ),
    ...Object.fromEntries(
      Object.entries(NUMBERS).map(([key, ours]) => [
        key,
        (item: unknown, path: ConfigPath) => put(ours, item, path),
      ]),
    ),
  }
}

/** `default_fallbacks` are those of every model without its own: ours under `*`. */
function addDefaults(
  work: Translation,
  router: Record<string, unknown>,
  found: { readonly item: unknown; readonly path: ConfigPath } | undefined,
  isSkipped: IsSkipped,
): void {
  const lists = router['fallbacks'] ?? []
  if (found === undefined || !Array.isArray(lists)) return
  if (lists.some((entry) => isPlainObject(entry) && Object.hasOwn(entry, '*'))) {
    return work.ignore(found.path, found.item)
  }
  const to = ['router', 'fallbacks', lists.length, '*']
  work.origin(to, found.path)
  const targets = keptTargets(work, found.item, { path: found.path, to, isSkipped })
  if (targets.length > 0) router['fallbacks'] = [...lists, { '*': targets }]
}
