/** Requests that were refused, or failed at a seller: the newest of this process, kept in memory. */
import { ERROR_TABLE } from '../../core/error-table.ts'
import type { RequestSummary, TollwayEvent } from '../../core/telemetry/events.ts'
import { adviceFor, lineToCopy } from './refusal-advice.ts'

/** A request that got no answer of a model. */
export interface Refusal {
  /** `ref_` and a number that increases by one with each of this process. */
  readonly id: string
  /** RFC 3339. */
  readonly time: string
  /** `refused` by policy, a budget or an access check; `failed` at the seller or upstream, or here. */
  readonly state: 'refused' | 'failed'
  /** An error code, or `status_500` for an answer of an upstream. */
  readonly code: string
  /** What happened. */
  readonly why: string
  /** What lifts it. */
  readonly lift: string
  readonly caller: string
  readonly model: string
  readonly route: string
  readonly payer: string
  /** Host of the seller or upstream, or the route's `provider`. */
  readonly seller: string
  readonly budget: string | null
  /** The subject of the budget; `null` for one without subjects. */
  readonly subject: string | null
  /** USD that were wanted, where that is known. */
  readonly usd: string | null
  readonly request: string
  readonly charge: string | null
}

/** Number of refusals that are kept. */
export const KEPT_REFUSALS = 500

/** Those of one gateway. */
export class Refusals {
  /** RFC 3339: earlier ones are in the audit file alone. */
  readonly since: string
  readonly #now: () => number
  readonly #kept: Refusal[] = []
  #number = 0

  /** @param now milliseconds since the epoch */
  constructor(now: () => number) {
    this.#now = now
    this.since = new Date(now()).toISOString()
  }

  /** Number of those since {@link since}, kept or not. */
  get total(): number {
    return this.#number
  }

  /** For the middlewares. */
  readonly observe = (event: TollwayEvent): void => {
    if (event.type !== 'request' || !isModelRequest(event.summary)) return
    const code = codeOf(event.summary)
    if (code === undefined) return
    this.#number += 1
    this.#kept.unshift(refusalOf(event.summary, code, `ref_${this.#number}`, this.#now()))
    if (this.#kept.length > KEPT_REFUSALS) this.#kept.pop()
  }

  /** The newest first. */
  list(): readonly Refusal[] {
    return this.#kept
  }
}

/** Not those for this page and other paths of the gateway. */
function isModelRequest({ method, endpoint }: RequestSummary): boolean {
  return method === 'POST' && endpoint !== 'other' && !/^\/(?:api|admin|dashboard)(?:\/|$)/.test(endpoint)
}

function codeOf({ code, status, route, outcome }: RequestSummary): string | undefined {
  if (code !== undefined) return code
  const isUpstreams = outcome === 'free' || outcome === 'failed'
  return isUpstreams && route !== 'none' && status >= 400 && status !== CLIENT_LEFT
    ? `status_${status}`
    : undefined
}

/** The client left before there was an answer. */
const CLIENT_LEFT = 499

function refusalOf(summary: RequestSummary, code: string, id: string, now: number): Refusal {
  const { details, outcome } = summary
  const detail = (name: string): string | null => (typeof details[name] === 'string' ? details[name] : null)
  return {
    id,
    time: new Date(now).toISOString(),
    state: outcome === 'refused' ? 'refused' : 'failed',
    code,
    why: whyOf(summary, code),
    lift: lineToCopy(summary.advice) ?? adviceFor(code),
    caller: summary.caller,
    model: summary.model ?? '',
    route: summary.route,
    payer: summary.payer,
    seller: summary.provider ?? '',
    budget: detail('budget'),
    subject: detail('subject'),
    usd: detail('wanted_usd') ?? detail('asked_usd'),
    request: summary.requestId,
    charge: summary.charge ?? null,
  }
}

function whyOf({ code, details, status }: RequestSummary, shown: string): string {
  const {
    budget,
    per,
    subject,
    wanted_usd: wanted,
    limit_usd: limit,
    spent_usd: spent,
    pending_usd: pending,
  } = details
  if (code === 'budget_exhausted' && typeof budget === 'string') {
    const whose = typeof per === 'string' ? ` (${per} ${String(subject)})` : ''
    const amounts =
      typeof wanted === 'string'
        ? `: $${wanted} wanted, $${String(spent)} spent and $${String(pending)} pending of $${String(limit)}`
        : ''
    return `Budget ${budget}${whose}${amounts}.`
  }
  if (code === undefined) return `The upstream answered with status ${status} (${shown}).`
  const [meaning = ''] = ERROR_TABLE[code].meaning.split(';')
  const facts = FACTS.flatMap((name) => {
    const value = details[name]
    return value === undefined || value === null ? [] : [`${name.replaceAll('_', ' ')} ${String(value)}`]
  })
  return facts.length === 0 ? `${meaning}.` : `${meaning}: ${facts.join(', ')}.`
}

/** Details of refusals that say more than their code. */
const FACTS = [
  'asked_usd',
  'limit_usd',
  'payee',
  'pay_to',
  'reason',
  'errno',
  'network',
  'asset',
  'seller_message',
] as const
