import { mayUse, type Exchange } from '../../src/core/request/exchange.ts'
import { withoutKnownPatterns } from './listed-models.ts'
import type { RouteFacts, RouteTable } from '../../src/core/routing/route.ts'
import type { UpstreamEntry, UpstreamModels } from '../../src/core/routing/upstream-list.ts'

/** The upstream's models that `modelRouter()` would pass there for a caller. */
export interface UpstreamEntries {
  /** The entry under the name that the client asks for; `undefined` for what a route claims or the caller may not use. */
  find(name: string): UpstreamEntry | undefined
  /** All of them, those that aliases of ours lead to first. */
  all(): UpstreamEntry[]
}

/** Decides as `modelRouter()` does: what the caller may use, by its alias or its own name, and no route claims. */
export function upstreamEntries(
  exchange: Exchange,
  routes: RouteTable,
  facts: RouteFacts,
  upstream: UpstreamModels | undefined,
): UpstreamEntries {
  const find = (name: string): UpstreamEntry | undefined => {
    const target = routes.resolve(name)
    const entry = upstream?.entries.get(target)
    if (!entry || !(mayUse(exchange, name) || mayUse(exchange, target))) return undefined
    // A pattern in the upstream's list, as LiteLLM sends them, means all names that it matches.
    const asked = name.replaceAll('*', 'x')
    if (routes.match(asked, facts).length > 0) return undefined
    return { ...entry, id: name }
  }
  return {
    find,
    all() {
      const names = new Set([...routes.aliases.keys(), ...(upstream?.entries.keys() ?? [])])
      const found = [...names].flatMap((name) => find(name) ?? [])
      const ids = found.map(({ id }) => id)
      const shown = new Set(withoutKnownPatterns(ids, ids))
      return found.filter(({ id }) => shown.has(id))
    },
  }
}
