/** Refuses names that no seller has, before anything is paid for them. */
import type { Exchange } from '../../src/core/request/exchange.ts'
import type { ModelCatalogue } from '../../src/core/routing/catalogue.ts'
import { isImpossibleName, variantsOf } from '../../src/core/routing/known-name.ts'
import { matchesPattern } from '../../src/core/name-pattern.ts'
import type { Candidate, RouteFacts, RouteTable } from '../../src/core/routing/route.ts'
import { nearestNames } from '../../src/io/names/nearest-name.ts'
import { listedModels } from '../http/listed-models.ts'

/** What {@link vetName} looks at. */
export interface NameContext {
  readonly exchange: Exchange
  readonly routes: RouteTable
  readonly facts: RouteFacts
  readonly catalogue: ModelCatalogue | undefined
}

/** The names that are known to exist and that the caller may use. */
export function knownNames({ exchange, routes, facts, catalogue }: NameContext): string[] {
  return listedModels(exchange, routes, facts, catalogue).filter((name) => !name.includes('*'))
}

/** Up to three known names that may have been meant: spelled alike, matched by the requested name, or close to it. */
export function meantNames(model: string, known: readonly string[]): string[] {
  const matched = model.includes('*') ? known.filter((name) => matchesPattern(model, name)) : []
  return [...new Set([...variantsOf(model, known), ...matched, ...nearestNames(model, known)])].slice(0, 3)
}

/**
 * The candidates that may serve a name; none where the name is a pattern, has blanks around it, or differs from a known
 * name only in case or blanks, and none that leads to a model outside a catalogue that was read. Names that a route
 * or an alias has exactly are the operator's word.
 */
export async function vetName(
  model: string,
  candidates: readonly Candidate[],
  context: NameContext,
): Promise<readonly Candidate[]> {
  const { routes, catalogue } = context
  if (candidates.length === 0) return candidates
  const target = routes.resolve(model)
  const isExact = routes.aliases.has(model) || routes.routes.some(({ modelName }) => modelName === target)
  if (isExact && !target.includes('*')) return candidates
  const isPaid = candidates.some(({ route }) => route.payer !== undefined)
  if (candidates.some(({ route }) => route.catalogue === true)) await catalogue?.load()
  if (isImpossibleName(model, isPaid)) return []
  const known = knownNames(context)
  if (!known.includes(model) && variantsOf(model, known).length > 0) return []
  const lacking = new Set<Candidate>()
  for (const candidate of candidates) if (await catalogue?.lacks?.(candidate)) lacking.add(candidate)
  if (lacking.size === 0) return candidates
  const left = candidates.filter((candidate) => !lacking.has(candidate))
  // A fallback for the model does not make it a known model.
  return left.some(({ route }) => matchesPattern(route.modelName, target)) ? left : []
}
