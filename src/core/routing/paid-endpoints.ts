/** Which endpoints of a paid route are paid for. */
import type { Route } from './route.ts'

/** Endpoints that only count: clients call them without a thought, so they are paid for only where a route says so. */
export const COUNTING_ENDPOINTS: ReadonlySet<string> = new Set([
  '/messages/count_tokens',
  '/responses/input_tokens',
])

/** Reads of a list of models, or of a model, below a seller's own path. */
const MODEL_LIST = /\/models(?:\/[^?#]*)?(?:[?#]|$)/

/** What of a request decides whether it is paid for. */
export interface PaidQuestion {
  readonly method: string
  /** Without `/v1`. */
  readonly endpoint: string
  /** Where the client itself named the seller: its address. */
  readonly direct: { readonly url: string } | undefined
}

/** Whether a route pays when its seller asks for a payment at this endpoint. */
export function paysFor(route: Pick<Route, 'paidEndpoints'>, question: PaidQuestion): boolean {
  const { method, endpoint, direct } = question
  if (direct && (method === 'GET' || method === 'HEAD') && MODEL_LIST.test(direct.url)) return false
  if (direct && !COUNTING_ENDPOINTS.has(endpoint)) return true
  return route.paidEndpoints?.includes(endpoint) ?? !COUNTING_ENDPOINTS.has(endpoint)
}
