import type { Exchange } from '../src/core/exchange.ts'
import type { RouteTable } from '../src/core/route.ts'
import { mayUse } from './caller.ts'

/** The models a caller may use: the names of the routes, and what the caller's own list names that a pattern serves. */
export function listedModels(exchange: Exchange, routes: RouteTable): string[] {
  const listed = routes.routes.map(({ modelName }) => modelName).filter((name) => mayUse(exchange, name))
  const own = exchange.allowedModels.filter((name) => !name.includes('*') && routes.match(name).length > 0)
  return [...new Set([...listed, ...own])]
}
