/** The limits of single entries of LiteLLM's `model_list`, as budgets of ours that match the route. */
import { matchesPattern } from '../../../core/name-pattern.ts'
import { isPlainObject } from '../reading/interpolate.ts'
import type { ConfigPath } from '../values/problems.ts'
import { microDecimal, windowOf } from './global-budget.ts'
import { shown } from './limits.ts'
import type { Translation } from './translation.ts'

type Fields = Readonly<Record<string, unknown>>

/** The keys of `litellm_params` and `model_info` that are read here. */
export const ENTRY_LIMITS: ReadonlySet<string> = new Set([
  'rpm',
  'rpm_limit',
  'tpm',
  'tpm_limit',
  'max_budget',
  'budget_duration',
  'soft_budget',
])

const MINUTE = '1m'

/** One limit in the file. */
interface Written {
  readonly path: ConfigPath
  readonly value: unknown
}

/** The limits of one entry; those in `litellm_params` take precedence. */
type EntryLimits = ReadonlyMap<string, Written>

/** The translated entries of one name. */
interface Group {
  readonly name: string
  readonly limits: readonly EntryLimits[]
  /** Whether every call of it costs something here: it is paid, or its model has prices. */
  readonly costs: boolean
}

/**
 * Makes the budgets. LiteLLM limits each deployment and goes on with the next; here the deployments of a name share the sum of
 * their limits, so that as much is served and never more. A limit that cannot be kept like that is told as not applied.
 * @param written the entries as in the file
 * @param entries the translated ones; `written[sources[i]]` is the source of the one at `i`
 * @param hasUpstream whether other models go to a default upstream
 */
export function entryBudgets(
  work: Translation,
  written: readonly unknown[],
  entries: readonly unknown[],
  sources: readonly number[],
  hasUpstream: boolean,
): object[] {
  const groups = groupsOf(written, entries, sources)
  const names = [...groups.map(({ name }) => name), ...(hasUpstream ? ['upstream'] : [])]
  return groups.flatMap((group, at) => {
    const others = names.filter((name) => name !== group.name)
    const isOwn = !others.some((name) => matchesPattern(group.name, name))
    const make = new GroupBudgets(work, group, `litellm-${at + 1}`, isOwn)
    return [
      make.count('requests', ['rpm', 'rpm_limit'], 'limit_requests'),
      make.count('tokens', ['tpm', 'tpm_limit'], 'limit_tokens'),
      make.usd(),
    ].flatMap((budget) => budget ?? [])
  })
}

class GroupBudgets {
  readonly #work: Translation
  readonly #group: Group
  readonly #prefix: string
  readonly #isOwn: boolean

  /** @param isOwn whether no other route's name fits the pattern of this one: a budget that matches it counts nothing else */
  constructor(work: Translation, group: Group, prefix: string, isOwn: boolean) {
    this.#work = work
    this.#group = group
    this.#prefix = prefix
    this.#isOwn = isOwn
  }

  /** A limit per minute. */
  count(what: string, keys: readonly string[], limit: 'limit_requests' | 'limit_tokens'): object | undefined {
    const found = this.#group.limits.map((limits) => keys.flatMap((key) => limits.get(key) ?? [])[0])
    const values = found.map((one) => one?.value)
    const all = found.filter((one) => one !== undefined)
    if (all.length === 0) return undefined
    if (!this.#isOwn || !values.every(isCount)) return this.#drop(all)
    const name = `${this.#prefix}-${what}`
    const sum = values.reduce((total, value) => total + value, 0)
    this.#keep(all, `${name} here (${sum} ${what} in any minute for ${this.#group.name})`)
    return { name, match: this.#match(), [limit]: sum, window: MINUTE }
  }

  /** `max_budget` with its duration and its soft limit. */
  usd(): object | undefined {
    const { limits, costs } = this.#group
    const all = limits.flatMap((one) =>
      ['max_budget', 'budget_duration', 'soft_budget'].flatMap((key) => one.get(key) ?? []),
    )
    if (all.length === 0) return undefined
    const [first] = limits
    const max = microDecimal(first?.get('max_budget')?.value)
    // Windows and soft limits of several deployments have no sum.
    if (!this.#isOwn || !costs || limits.length > 1 || max === undefined) return this.#drop(all)
    const window = windowOf(first?.get('budget_duration')?.value)
    const soft = microDecimal(first?.get('soft_budget')?.value)
    const name = `${this.#prefix}-usd`
    this.#keep(all, `${name} here (${max} USD, window ${window}, for ${this.#group.name})`)
    return {
      name,
      match: this.#match(),
      limit_usd: max,
      window,
      ...(soft === undefined || Number(soft) > Number(max) ? {} : { soft_usd: soft }),
    }
  }

  #match(): object {
    return { route: this.#group.name }
  }

  #keep(all: readonly Written[], budget: string): void {
    for (const { path, value } of all) {
      this.#work.note('limit_kept', path, `this limit${shown(value)} is the budget ${budget}.`)
    }
  }

  #drop(all: readonly Written[]): undefined {
    for (const { path, value } of all) this.#work.ignore(path, value)
    return undefined
  }
}

function groupsOf(
  written: readonly unknown[],
  entries: readonly unknown[],
  sources: readonly number[],
): Group[] {
  const groups = new Map<string, { limits: EntryLimits[]; costs: boolean }>()
  for (const [index, entry] of entries.entries()) {
    const name = isPlainObject(entry) ? entry['model_name'] : undefined
    if (!isPlainObject(entry) || typeof name !== 'string') continue
    const at = sources[index] ?? -1
    const group = groups.get(name) ?? { limits: [], costs: true }
    group.limits.push(limitsOf(written[at], at))
    group.costs &&= entry['payer'] !== undefined || hasPrice(entry['model_info'])
    groups.set(name, group)
  }
  return [...groups].map(([name, group]) => ({ name, ...group }))
}

function limitsOf(entry: unknown, at: number): EntryLimits {
  const found = new Map<string, Written>()
  for (const part of ['model_info', 'litellm_params'] as const) {
    const fields: unknown = isPlainObject(entry) ? entry[part] : undefined
    for (const [key, value] of Object.entries<unknown>(
      isPlainObject(fields) ? (fields satisfies Fields) : {},
    )) {
      if (ENTRY_LIMITS.has(key) && value !== null && value !== '') {
        found.set(key, { path: ['model_list', at, part, key], value })
      }
    }
  }
  return found
}

function hasPrice(info: unknown): boolean {
  return (
    isPlainObject(info) &&
    Object.keys(info).some((key) => key.includes('usd_per_') || key.endsWith('_usd_per_token'))
  )
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value > 0 && value <= 1_000_000_000
}
