import type { Candidate, Route } from '../../src/core/routing/route.ts'

/** A route for tests of selection. */
export function route(modelName: string, more: Partial<Route> = {}): Route {
  return {
    modelName,
    model: undefined,
    apiBase: 'http://seller.test/v1',
    payer: 'base',
    apiKey: undefined,
    order: 0,
    ...more,
  }
}

/** A candidate at a host of its own. */
export function candidate(name: string, rank = 0, more: Partial<Route> = {}): Candidate {
  return { route: route('m', { apiBase: `http://${name}.test/v1`, ...more }), remoteModel: 'm', rank }
}
