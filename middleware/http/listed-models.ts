import { mayUse, type Exchange } from '../../src/core/request/exchange.ts'
import type { ModelInfo, RouteFacts, RouteTable } from '../../src/core/routing/route.ts'
import { matchesPattern } from '../../src/core/name-pattern.ts'
import type { ModelCatalogue } from '../../src/core/routing/catalogue.ts'

/** What is known about a model; configured values take precedence over the catalogue. */
export function mergedInfo(own: ModelInfo | undefined, listed: ModelInfo | undefined): ModelInfo | undefined {
  if (!own || !listed) return own ?? listed
  return {
    contextWindow: own.contextWindow ?? listed.contextWindow,
    maxOutputTokens: own.maxOutputTokens ?? listed.maxOutputTokens,
    microUsdPerRequest: own.microUsdPerRequest ?? listed.microUsdPerRequest,
    inputUsdPerToken: own.inputUsdPerToken ?? listed.inputUsdPerToken,
    outputUsdPerToken: own.outputUsdPerToken ?? listed.outputUsdPerToken,
  }
}

/** Leaves out the patterns that a known name matches: a pattern is no model that a client could choose. */
export function withoutKnownPatterns(names: readonly string[], known: readonly string[]): string[] {
  const plain = known.filter((name) => !name.includes('*'))
  return names.filter((name) => !name.includes('*') || !plain.some((other) => matchesPattern(name, other)))
}

/**
 * The models a caller may use: the names of the routes (for a pattern with a catalogue, the models in it), their
 * aliases, and names in the caller's own list that a pattern serves. A pattern is listed itself only while none of
 * the names it matches is known.
 */
export function listedModels(
  exchange: Exchange,
  routes: RouteTable,
  facts: RouteFacts,
  catalogue?: ModelCatalogue,
): string[] {
  const serves = (name: string): boolean => routes.match(name, facts).length > 0
  const listed = routes.routes
    .flatMap((route) => {
      const names = route.modelName.includes('*') ? (catalogue?.names(route) ?? []) : []
      return names.length > 0 ? names : [route.modelName]
    })
    .filter((name) => mayUse(exchange, name))
  const aliases = [...(routes.aliases ?? new Map<string, string>())]
    .filter((names) => names.some((name) => mayUse(exchange, name)))
    .map(([alias]) => alias)
  const own = exchange.caller.allowedModels.filter((name) => !name.includes('*'))
  // A route reserved for other callers or for certain headers is not available to this caller.
  const names = [...new Set([...listed, ...aliases, ...own])].filter((name) =>
    serves(name.replaceAll('*', 'x')),
  )
  return withoutKnownPatterns(names, names)
}
