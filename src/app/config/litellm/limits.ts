/** Finds the limits in parts of a LiteLLM file that have no effect here, so that none is dropped unnoticed. */
import { isPlainObject } from '../reading/interpolate.ts'
import { formatPath, type ConfigPath } from '../values/problems.ts'
import type { LitellmNote } from './note.ts'
import { ownerAdvice } from './owner-limits.ts'

/** What to write instead, by what a key limits; the first that matches. */
const KINDS: readonly { readonly key: RegExp; readonly instead: string }[] = [
  {
    key: /budget|time_period|soft_limit|spend_limit/,
    instead:
      'Write it as an entry of budgets (docs/budgets.md), which counts what paid routes spend and what keyed ones with prices bill',
  },
  { key: /(?:^|_)rpm(?:_|$)|requests?_per_|request_limit/, instead: 'Set callers[].requests_per_minute' },
  { key: /(?:^|_)tpm(?:_|$)|tokens?_per_/, instead: 'Set callers[].tokens_per_minute' },
  {
    key: /max_parallel|concurren/,
    instead: 'Set callers[].max_parallel_requests or model_list[].max_parallel_requests',
  },
  { key: /_size_mb$/, instead: 'Set body_limit' },
  { key: /^max_(?:completion_|output_)?tokens$/, instead: 'Clients send it in their requests' },
  { key: /^duration$|expire/, instead: 'Set callers[].expires' },
  { key: /^max_|_limit$|rate_limit/, instead: 'Tollway has no such limit' },
]

/** Named like limits, but of pools, timers and switches. */
const NO_LIMIT =
  /^(?:proxy_budget_rescheduler_.*|database_connection_pool_limit|max_(?:retries|fallbacks|connections|redis.*)|.*_retention_period)$/

/** Settings of caches, alerts and logs have sizes of their own, which limit no request. */
const NO_LIMITS_BELOW: ReadonlySet<string> = new Set(['cache_params', 'alerting_args', 'callback_settings'])

/** What a model can do, which LiteLLM only describes. */
const DESCRIPTION = /^max_(?:input_|output_|completion_)?tokens$/

/**
 * The limits at a path and below it.
 * @param path the path of the value in the file
 * @returns a note for each, `limit_dropped`
 */
export function limitsIn(value: unknown, path: ConfigPath): LitellmNote[] {
  return walk(value, path, undefined)
}

/**
 * @param above what the nearest key above limits: its values by model, tag or provider are limits too
 * @param siblings the object that holds the value
 */
function walk(
  value: unknown,
  path: ConfigPath,
  above: string | undefined,
  siblings?: unknown,
): LitellmNote[] {
  if (path.length > 12) return []
  const key = path.findLast((segment) => typeof segment === 'string') ?? ''
  if (NO_LIMIT.test(key) || NO_LIMITS_BELOW.has(key)) return []
  if (path.includes('model_info') && DESCRIPTION.test(key)) return []
  const instead = KINDS.find((kind) => kind.key.test(key.toLowerCase()))?.instead ?? above
  if (Array.isArray(value)) return value.flatMap((item: unknown, at) => walk(item, [...path, at], instead))
  if (isPlainObject(value)) {
    return Object.entries(value).flatMap(([name, item]) => walk(item, [...path, name], instead, value))
  }
  // A switch limits nothing by itself.
  if (instead === undefined || value === undefined || value === null || typeof value === 'boolean') return []
  return [
    {
      kind: 'limit_dropped',
      path: formatPath(path),
      message: `this limit${shown(value)} is not applied. ${ownerAdvice(path, value, siblings) ?? instead}.`,
    },
  ]
}

/** A number or a duration; any other text might be a secret. */
export function shown(value: unknown): string {
  const isPlain =
    typeof value === 'number' || (typeof value === 'string' && /^[\d.]{1,20}[a-z]{0,3}$/.test(value))
  return isPlain ? ` (${value})` : ''
}
