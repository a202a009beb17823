/// <reference lib="dom" />
/** The types of `/api` responses, and how to request them. */
import type { ApprovalJson } from '../../approvals/approval-json.ts'
import type { ChargeJson } from '../charge-json.ts'
import type { Refusal } from '../refusals.ts'

export type ChargeView = ChargeJson

export type RefusalView = Refusal

/** A row of `/api/budgets`: amounts with the suffix `_usd`, or in smallest units of the asset. */
export interface Budget {
  readonly budget: string
  readonly per: string | null
  readonly subject: string | null
  readonly window: string
  readonly window_end: string | null
  readonly enforce: boolean
  readonly asset?: string
  readonly decimals?: number
  readonly [amount: string]: string | number | boolean | null | undefined
}

export interface Series {
  readonly group: string
  readonly total_usd: string
  readonly charges: number
  readonly usd: readonly string[]
  readonly usd_per_1k_tokens: string | null
}

export interface StateSum {
  readonly state: ChargeView['state']
  readonly charges: number
  readonly unpriced: number
  readonly usd: string
}

export interface SpendView {
  readonly starts: readonly string[]
  readonly bucket: 'minute' | 'hour' | 'day' | 'month'
  readonly series: readonly Series[]
  readonly states: readonly StateSum[]
  readonly total_usd: string
  readonly usd_per_1k_tokens: string | null
}

export interface FacetsView {
  readonly states: readonly string[]
  readonly routes: readonly string[]
  readonly payers: readonly string[]
  readonly sellers: readonly string[]
  readonly callers: readonly string[]
  readonly tags: readonly string[]
  readonly sign_out: boolean
}

export interface FundsView {
  readonly wallets:
    | readonly {
        readonly payer: string
        readonly network: string
        readonly network_name: string
        readonly address: string | null
        readonly asset: string | null
        readonly usd: string | null
      }[]
    | null
  readonly pools:
    | readonly {
        readonly payer: string
        readonly pool: string
        readonly seller: string
        readonly vouchers: Readonly<Record<string, number>>
        readonly exposure_usd: string
      }[]
    | null
}

export interface Trail {
  readonly charge: ChargeView
  readonly records: readonly {
    readonly intact: boolean
    readonly record: Readonly<Record<string, unknown>>
  }[]
}

/** A call that waits for approval. */
export type ApprovalView = ApprovalJson

/** The response types, by path. */
interface Answers {
  '/api/budgets': { readonly time: string; readonly budgets: readonly Budget[] }
  '/api/charges': { readonly charges: readonly ChargeView[]; readonly next: string | null }
  '/api/spend': SpendView
  '/api/facets': FacetsView
  '/api/funds': FundsView
  '/api/approvals': { readonly approvals: readonly ApprovalView[] }
  '/api/audit': Trail
  '/api/refusals': {
    readonly since: string
    readonly total: number
    readonly refusals: readonly RefusalView[]
  }
}

/** The gateway is down, or cannot be reached: what is shown is old. */
export class UnreachableError extends Error {
  override readonly name = 'UnreachableError'
}

/** Requests one path. @throws Error with the gateway's message */
export async function load<K extends keyof Answers>(
  path: K,
  query: URLSearchParams = new URLSearchParams(),
): Promise<Answers[K]> {
  const text = query.toString()
  const answer = await fetch(text === '' ? path : `${path}?${text}`, { cache: 'no-store' }).catch(() => {
    throw new UnreachableError('The gateway cannot be reached. The page tries again by itself.')
  })
  // What a proxy in front of the gateway says while that is down.
  if (answer.status === 502 || answer.status === 504)
    throw new UnreachableError(`The gateway cannot be reached (status ${answer.status}).`)
  if (answer.status === 401) {
    location.reload()
    throw new Error('The session has ended.')
  }
  if (!answer.ok) throw new Error(await wordsOf(answer))
  // The responses come from the gateway that served this page; tests check them against docs/dashboard.md.
  const body: Answers[K] = await answer.json()
  return body
}

/** Decides about a call that waits. @throws Error with the gateway's message */
export async function decide(id: string, decision: 'approved' | 'refused'): Promise<void> {
  const answer = await fetch(`/api/approvals/${encodeURIComponent(id)}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ decision }),
  })
  if (!answer.ok) throw new Error(await wordsOf(answer))
}

async function wordsOf(answer: Response): Promise<string> {
  const body: unknown = await answer.json().catch(() => undefined)
  return messageOf(body) ?? `The gateway answered with status ${answer.status}.`
}

function messageOf(body: unknown): string | undefined {
  if (typeof body !== 'object' || body === null || !('error' in body)) return undefined
  const { error } = body
  if (typeof error !== 'object' || error === null || !('message' in error)) return undefined
  return typeof error.message === 'string' ? error.message : undefined
}
