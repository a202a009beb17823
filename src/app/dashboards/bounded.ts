/** Keeps legends readable: of labels with many values the ten that matter, and the rest together; sellers by their host. */
import type { PanelSpec, Query } from './panel.ts'

/** Series of one query that get a line of their own. */
export const SHOWN_SERIES = 10

/** Labels whose values grow with the traffic or the configuration. */
const MANY = [
  'route',
  'model',
  'seller',
  'caller',
  'payer',
  'subject',
  'gen_ai_request_model',
  'to',
  'address',
  'budget',
]

/** The queries that ask for a bounded number of series. */
export function bounded(query: Query, { kind, lowest }: Pick<PanelSpec, 'kind' | 'lowest'>): Query[] {
  const { expr, legend } = query
  if (!MANY.some((label) => legend.includes(`{{${label}}}`))) return [query]
  const pick = lowest === true ? 'bottomk' : 'topk'
  const chosen =
    kind === 'timeseries'
      ? // By the whole time that is shown: chosen anew at each moment, there would be more.
        `(${expr}) and ${pick}(${SHOWN_SERIES}, avg_over_time((${expr})[$__range:] @ end()))`
      : `${pick}(${SHOWN_SERIES}, ${expr})`
  const rest = `sum(${expr}) - sum(${chosen}) > 1e-9`
  return [
    { expr: withHost(chosen, legend), legend },
    // What does not add up has no rest: a quantile, a price, a state.
    ...(addsUp(query) ? [{ expr: rest, legend: 'rest' }] : []),
  ]
}

function addsUp({ expr }: Query): boolean {
  return /^(?:max by \([a-z_, ]+\) \()?sum by \(/.test(expr) && !expr.includes(' / ')
}

/** A seller is told apart by its host: the scheme takes room that the name needs. */
function withHost(expr: string, legend: string): string {
  return legend.includes('{{seller}}')
    ? `label_replace(${expr}, "seller", "$1", "seller", "https?://(.+)")`
    : expr
}
