/** Finds the routes that stay what they were when a configuration is read again. */
import type { Route } from './route.ts'

/**
 * The routes, with the object of before in place of every equal one: what is kept per route (health, requests in flight) goes on.
 */
export function keepRoutes(before: readonly Route[], routes: readonly Route[]): Route[] {
  const known = new Map<string, Route[]>()
  for (const route of before) known.set(nameOf(route), [...(known.get(nameOf(route)) ?? []), route])
  return routes.map((route) => known.get(nameOf(route))?.shift() ?? route)
}

function nameOf(route: Route): string {
  return JSON.stringify(route, (_key, value: unknown) => {
    if (typeof value === 'bigint') return `${value}n`
    return value instanceof Map ? [...value] : value
  })
}
