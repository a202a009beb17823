/** Shares of requests, as LiteLLM's default strategy `simple-shuffle` deals them. */
import { isPlainObject } from '../reading/interpolate.ts'
import { formatPath } from '../values/problems.ts'
import type { Translation } from './translation.ts'

type Fields = Readonly<Record<string, unknown>>

/** The largest weight of a route. */
const MOST = 1_000_000

/**
 * Sets the weights of entries that share a name and have none: LiteLLM then deals by `rpm`, or else by `tpm`, whichever
 * the first entry of the name has; one without it gets no share.
 * @param written the entries as in the file
 * @param entries the translated ones; `written[sources[i]]` is the source of the one at `i`
 */
export function rateWeights(
  written: readonly unknown[],
  entries: readonly unknown[],
  sources: readonly number[],
): unknown[] {
  const paramsOf = (index: number): Fields => {
    const entry = written[sources[index] ?? -1]
    return isPlainObject(entry) && isPlainObject(entry['litellm_params']) ? entry['litellm_params'] : {}
  }
  const groups = new Map<unknown, number[]>()
  for (const [index, entry] of entries.entries()) {
    const name = isPlainObject(entry) ? entry['model_name'] : undefined
    groups.set(name, [...(groups.get(name) ?? []), index])
  }
  const weights = new Map<number, number>()
  for (const group of groups.values()) {
    const first = paramsOf(group[0] ?? -1)
    const key = ['weight', 'rpm', 'tpm'].find((name) => typeof first[name] === 'number')
    if (group.length < 2 || key === undefined || key === 'weight') continue
    const rates = group.map((index) => {
      const rate = paramsOf(index)[key]
      return typeof rate === 'number' && rate > 0 ? rate : 0
    })
    const scale = Math.max(1, Math.max(...rates) / MOST)
    for (const [at, index] of group.entries()) weights.set(index, Math.round((rates[at] ?? 0) / scale))
  }
  return entries.map((entry, index): unknown => {
    const weight = weights.get(index)
    return weight === undefined || !isPlainObject(entry) || entry['weight'] !== undefined
      ? entry
      : { ...entry, weight }
  })
}

/** Takes out the weights where the strategy does not deal by them: LiteLLM does not look at them then. */
export function withoutWeights(
  work: Translation,
  entries: readonly unknown[],
  sources: readonly number[],
): unknown[] {
  return entries.map((entry, index): unknown => {
    if (!isPlainObject(entry) || entry['weight'] === undefined) return entry
    const { weight: _, ...rest } = entry
    work.ignored.push(formatPath(['model_list', sources[index] ?? index, 'litellm_params', 'weight']))
    return rest
  })
}
