/** LiteLLM's fallback lists and aliases, as far as their models are served here. */
import { isPlainObject } from '../reading/interpolate.ts'
import type { ConfigPath } from '../values/problems.ts'
import type { Translation } from './translation.ts'

/** Whether a model is only that of a skipped entry. */
export type IsSkipped = (model: string) => boolean

/** The path of a list in the file and in the translated form. */
interface Place {
  readonly path: ConfigPath
  readonly to: ConfigPath
  readonly isSkipped: IsSkipped
}

const SKIPPED = 'is dropped: the entry of this model was skipped.'

/**
 * Translates lists such as `[{gpt-4o: [local]}, {"*": [spare]}]`: the first for a model counts, as in LiteLLM. What
 * names a skipped entry is dropped and reported; unknown names stay, and are refused as such.
 */
export function translateFallbacks(work: Translation, list: unknown, place: Place): unknown {
  if (!Array.isArray(list)) return list
  const seen = new Set<string>()
  const out: unknown[] = []
  for (const [at, entry] of list.entries()) {
    if (!isPlainObject(entry)) out.push(entry)
    for (const [model, targets] of Object.entries(isPlainObject(entry) ? entry : {})) {
      const path = [...place.path, at, model]
      const to = [...place.to, out.length, model]
      if (seen.has(model)) {
        const message = 'is dropped: this model has its fallbacks above, and LiteLLM uses those.'
        work.note('fallback_dropped', path, message)
        continue
      }
      seen.add(model)
      if (place.isSkipped(model)) {
        work.note('fallback_dropped', path, SKIPPED)
        continue
      }
      work.origin(to, path)
      const kept = keptTargets(work, targets, { ...place, path, to })
      if (kept.length > 0) out.push({ [model]: kept })
    }
  }
  return out
}

/** The models of one list that are served here. */
export function keptTargets(work: Translation, written: unknown, place: Place): readonly unknown[] {
  const targets: readonly unknown[] = Array.isArray(written) ? written : [written]
  const out: unknown[] = []
  for (const [at, target] of targets.entries()) {
    const path = [...place.path, at]
    // LiteLLM takes a model with parameters of its own; only the model means the same here.
    const { model, ...rest } = isPlainObject(target) ? target : { model: target }
    for (const [key, item] of Object.entries(rest)) work.ignore([...path, key], item)
    if (typeof model === 'string' && place.isSkipped(model)) {
      work.note('fallback_dropped', path, SKIPPED)
      continue
    }
    work.origin([...place.to, out.length], path)
    out.push(model)
  }
  return out
}

/** LiteLLM's `model_group_alias`: names, or mappings with a name. */
export function translateAliases(
  work: Translation,
  item: unknown,
  path: ConfigPath,
  isSkipped: IsSkipped,
): unknown {
  if (!isPlainObject(item)) return item
  return Object.fromEntries(
    Object.entries(item).flatMap(([alias, written]): [string, unknown][] => {
      const target = isPlainObject(written) ? written['model'] : written
      if (typeof target !== 'string' || !isSkipped(target)) return [[alias, target]]
      work.note('fallback_dropped', [...path, alias], SKIPPED)
      return []
    }),
  )
}
