import type { Exchange } from '../../src/core/request/exchange.ts'
import type { ModelInfo, RouteFacts, RouteTable } from '../../src/core/routing/route.ts'
import { mayUse } from '../../src/core/request/exchange.ts'
import type { ModelCatalogue } from '../../src/core/routing/catalogue.ts'

/** What is known of a model: the configuration's word goes before the catalogue's. */
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

/** The models a caller may use: the names of the routes (of a pattern with a catalogue its models'), their aliases, and what the caller's own list names that a pattern serves. */
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
  // A route for other callers or headers only is none of this caller's.
  return [...new Set([...listed, ...aliases, ...own])].filter((name) => serves(name.replace('*', () => 'x')))
}
