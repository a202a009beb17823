/**
 * Reads LiteLLM's config.yaml: translates the settings that mean the same here, skips what only LiteLLM can serve, and
 * lists every key that has no effect.
 */
import { matchesPattern } from '../../../core/name-pattern.ts'
import { nearestName } from '../../../io/names/nearest-name.ts'
import type { RouteFinding } from '../reading/explain.ts'
import { isPlainObject } from '../reading/interpolate.ts'
import { configSchema } from '../schema/schema.ts'
import { isLoopbackHost, parseListen } from '../values/addresses.ts'
import type { Environment } from '../values/secrets.ts'
import { formatPath, printable, type ConfigPath } from '../values/problems.ts'
import { translateEntry } from './entry.ts'
import { entryBudgets } from './entry-limits.ts'
import { GLOBAL_BUDGET, globalBudget } from './global-budget.ts'
import { shown } from './limits.ts'
import type { LitellmNote } from './note.ts'
import { isPlaceholder } from './placeholder.ts'
import { translateRouter } from './router.ts'
import { secret } from './secret.ts'
import { translateSection } from './section.ts'
import { Translation } from './translation.ts'
import { rateWeights, withoutWeights } from './weights.ts'

type Fields = Readonly<Record<string, unknown>>

/** A configuration in our form. */
export interface Translated {
  readonly value: unknown
  /** Keys that have no effect here, as paths of the file. */
  readonly ignored: readonly string[]
  /** What works differently here. */
  readonly notes: readonly LitellmNote[]
  /** What cannot be translated. */
  readonly findings: readonly RouteFinding[]
  /** Maps a path of the translated form to its path in the file. */
  readonly origin: (path: ConfigPath) => ConfigPath
  /** Whether a plain text at a path of the translated form is known to be no secret. */
  readonly isPlaceholder: (path: ConfigPath) => boolean
}

/** Sections that only LiteLLM has and that are read. */
const SECTIONS = ['litellm_settings', 'router_settings', 'general_settings', 'environment_variables'] as const

/** Further sections of LiteLLM, which have no effect here; some are spelled nearly like ours. */
const PASSED_OVER: ReadonlySet<string> = new Set([
  'access_groups',
  'agent_list',
  'assistant_settings',
  'callback_settings',
  'credential_list',
  'files_settings',
  'finetune_settings',
  'guardrails',
  'mcp_aliases',
  'mcp_servers',
  'mcp_tools',
  'policies',
  'policy_attachments',
  'prompts',
  'sandbox_tools',
  'search_tools',
  'skills',
  'teams',
  'users',
  'virtual_keys',
  'vector_store_registry',
  'worker_config',
])

/** The line to write so that LiteLLM itself serves what Tollway cannot. */
const UPSTREAM_LINE =
  'upstream: { api_base: "http://127.0.0.1:4000/v1", api_key: "${env:LITELLM_MASTER_KEY}" }'

/** Whether a configuration is LiteLLM's, or contains parts of one. */
function isLitellm(input: unknown): input is Fields {
  if (!isPlainObject(input)) return false
  const list = input['model_list']
  return (
    SECTIONS.some((section) => Object.hasOwn(input, section)) ||
    (Array.isArray(list) && list.some((entry) => isPlainObject(entry) && 'litellm_params' in entry))
  )
}

/**
 * @param env for keys that LiteLLM would look up by itself
 * @returns the input itself, unchanged, if it contains nothing of LiteLLM's
 */
export function fromLitellm(input: unknown, env: Environment): Translated {
  if (!isLitellm(input)) {
    return {
      value: input,
      ignored: [],
      notes: [],
      findings: [],
      origin: (path) => path,
      isPlaceholder: () => false,
    }
  }
  const work = new Translation()
  const value = translate(work, input, env)
  return {
    value,
    ignored: work.ignored,
    notes: work.notes,
    findings: work.findings,
    origin: (path) => work.originOf(path),
    isPlaceholder: (path) => work.placeholders.has(formatPath(path)),
  }
}

function translate(work: Translation, input: Fields, env: Environment): Fields {
  const value: Record<string, unknown> = topLevel(work, input)
  const list: unknown = input['model_list']
  const written: readonly unknown[] = Array.isArray(list) ? list : []
  const entries: unknown[] = []
  const sources: number[] = []
  for (const [at, entry] of written.entries()) {
    const translated = translateEntry(work, entry, at, entries.length, env)
    if (translated === undefined) continue
    entries.push(translated)
    sources.push(at)
  }
  if (Array.isArray(list)) value['model_list'] = entries
  const names = namesIn(value['model_list'])
  tellSkipped(work, names, value['upstream'] !== undefined)
  const isSkipped = (model: string): boolean =>
    work.skipped.some(({ name }) => name === model) && !names.some((name) => matchesPattern(name, model))
  const { router, parallel } = translateRouter(work, input, isSkipped)
  if (Object.keys(router).length > 0) {
    value['router'] = { ...router, ...(isPlainObject(value['router']) ? value['router'] : {}) }
  }
  if (Array.isArray(list)) {
    value['model_list'] =
      router['strategy'] === 'weighted'
        ? rateWeights(written, entries, sources)
        : withoutWeights(work, entries, sources)
  }
  const limits = entryBudgets(work, written, entries, sources, value['upstream'] !== undefined)
  general(work, input, value, parallel)
  addBudgets(value, limits)
  budget(work, input, value)
  translateSection(work, input, 'environment_variables', {})
  return value
}

/** Unknown sections are LiteLLM's or a plugin's; one spelled nearly like ours stays, and is refused as a mistake. */
function topLevel(work: Translation, input: Fields): Record<string, unknown> {
  const ours = Object.keys(configSchema.shape)
  const value: Record<string, unknown> = {}
  for (const [key, item] of Object.entries(input)) {
    if (SECTIONS.some((section) => section === key)) continue
    if (ours.includes(key)) value[key] = item
    else if (PASSED_OVER.has(key) || nearestName(key, ours) === undefined) work.ignore([key], item)
    else value[key] = item
  }
  return value
}

function tellSkipped(work: Translation, names: readonly string[], hasUpstream: boolean): void {
  for (const { name, path, reason } of work.skipped) {
    const other = names.find((pattern) => matchesPattern(pattern, name))
    const then =
      other !== undefined
        ? `Requests for it go to the route ${printable(other)}.`
        : hasUpstream
          ? 'Requests for it go to upstream.'
          : 'Requests for it are refused.'
    const advice = hasUpstream
      ? ''
      : ` To leave it to LiteLLM, run that as before and write here: ${UPSTREAM_LINE}`
    work.note('entry_skipped', path, `the model ${name} is skipped: ${reason}. ${then}${advice}`)
  }
}

/** The master key is the only one in the file; LiteLLM keeps the others in its database. */
function general(work: Translation, input: Fields, value: Record<string, unknown>, parallel: unknown): void {
  const hasCallers = value['callers'] !== undefined || value['keys'] !== undefined
  const here = 'general_settings'
  let most = parallel
  translateSection(work, input, here, {
    master_key: (item, path) => {
      if (item === null || item === '') return
      if (hasCallers) return work.ignore(path, item)
      value['callers'] = [{ id: 'litellm-master', key: secret(item) }]
      work.origin(['callers', 0, 'key'], path)
      if (typeof item !== 'string' || !isPlaceholder(item)) return
      work.placeholder(['callers', 0, 'key'])
      if (isReachable(input['listen'])) {
        work.findings.push({
          path: ['callers', 0, 'key'],
          message:
            'is a placeholder that everyone knows, and listen is reachable from other machines: anyone could spend. ' +
            'Write master_key: os.environ/LITELLM_MASTER_KEY, or listen on 127.0.0.1.',
        })
      }
      work.note(
        'placeholder',
        path,
        'is a placeholder that everyone knows. Write master_key: os.environ/LITELLM_MASTER_KEY.',
      )
    },
    max_parallel_requests: (item, path) => {
      if (typeof item !== 'number' || most !== undefined) return work.ignore(path, item)
      most = item
      work.note('limit_kept', path, `this limit${shown(item)} applies to each route without its own.`)
    },
    max_request_size_mb: (item, path) => {
      if (typeof item !== 'number' || value['body_limit'] !== undefined) return work.ignore(path, item)
      value['body_limit'] = `${item}mb`
      work.origin(['body_limit'], path)
      work.note('limit_kept', path, `this limit${shown(item)} is body_limit here.`)
    },
  })
  const list = value['model_list']
  if (most === undefined || !Array.isArray(list)) return
  value['model_list'] = list.map((entry: unknown): unknown =>
    isPlainObject(entry) && entry['max_parallel_requests'] === undefined
      ? { ...entry, max_parallel_requests: most }
      : entry,
  )
}

/** The budget of the whole proxy also holds here, for what paid routes spend. */
function budget(work: Translation, input: Fields, value: Record<string, unknown>): void {
  const settings = input['litellm_settings']
  if (!isPlainObject(settings)) return
  const { max_budget: max, budget_duration: duration, timezone } = settings
  const list = value['model_list']
  const isPaid =
    Array.isArray(list) && list.some((entry) => isPlainObject(entry) && entry['payer'] !== undefined)
  const made = isPaid ? globalBudget(max, duration, timezone) : undefined
  const own = value['budgets']
  for (const key of ['max_budget', 'budget_duration', 'timezone']) {
    if (settings[key] === undefined) continue
    const path = ['litellm_settings', key]
    if (made === undefined || (own !== undefined && !Array.isArray(own))) work.ignore(path, settings[key])
    else if (key !== 'timezone') {
      work.note(
        'limit_kept',
        path,
        `this limit${shown(settings[key])} is the budget ${GLOBAL_BUDGET} here (${made.limit_usd} USD, window ${made.window}). ` +
          'It counts what paid routes spend and what keyed ones with prices bill.',
      )
    }
  }
  if (made === undefined || (own !== undefined && !Array.isArray(own))) return
  const before: readonly unknown[] = own ?? []
  value['budgets'] = [...before, made]
  work.origin(['budgets', before.length], ['litellm_settings', 'max_budget'])
}

/** What is written as `budgets` comes first; where that is no list, the schema says so. */
function addBudgets(value: Record<string, unknown>, more: readonly object[]): void {
  const own: unknown = value['budgets']
  if (more.length === 0 || (own !== undefined && !Array.isArray(own))) return
  const before: readonly unknown[] = own ?? []
  value['budgets'] = [...before, ...more]
}

function isReachable(listen: unknown): boolean {
  const address = typeof listen === 'string' ? parseListen(listen) : undefined
  return address !== undefined && !isLoopbackHost(address.host)
}

function namesIn(list: unknown): string[] {
  return Array.isArray(list)
    ? list.flatMap((entry: unknown) =>
        isPlainObject(entry) && typeof entry['model_name'] === 'string' ? [entry['model_name']] : [],
      )
    : []
}
