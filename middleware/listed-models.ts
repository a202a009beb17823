import type { Exchange } from '../src/core/exchange.ts'
import type { RouteFacts, RouteTable } from '../src/core/route.ts'
import { mayUse } from './caller.ts'

/** The models a caller may use: the names of the routes, their aliases, and what the caller's own list names that a pattern serves. */
export function listedModels(exchange: Exchange, routes: RouteTable, facts?: RouteFacts): string[] {
  const serves = (name: string): boolean => routes.match(name, facts).length > 0
  const listed = routes.routes.map(({ modelName }) => modelName).filter((name) => mayUse(exchange, name))
  const aliases = [...(routes.aliases ?? new Map<string, string>())]
    .filter((names) => names.some((name) => mayUse(exchange, name)))
    .map(([alias]) => alias)
  const own = exchange.allowedModels.filter((name) => !name.includes('*'))
  // A route for other callers or headers only is none of this caller's.
  return [...new Set([...listed, ...aliases, ...own])].filter((name) => serves(name.replace('*', () => 'x')))
}
