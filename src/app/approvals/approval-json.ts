/** How a call that waits for approval is shown: in `/admin/approvals`, on the spend page, in records and messages. */
import { formatUnits, formatUsd } from '../../core/money/money.ts'
import type { NotificationContent } from '../notify/notifier.ts'
import type { Notice } from '../../io/store/contracts/notices.ts'
import type { WaitingCall } from './waiting-call.ts'

/** A call that waits. */
export interface ApprovalJson {
  readonly approval: string
  readonly request: string
  readonly caller: string
  readonly route: string
  /** As the client named it. */
  readonly model: string
  readonly payer: string | null
  readonly seller: string
  /** The most that it may cost. */
  readonly max_usd: string | null
  /** The payment, as in `2.5 USDC`; `null` for a call that is billed to a key. */
  readonly pays: string | null
  /** RFC 3339. */
  readonly since: string
  readonly until: string
}

const MAX_MODEL = 200

export function approvalJson({
  id,
  call,
  since,
  until,
}: WaitingCall): ApprovalJson & Record<string, string | null> {
  const { payment, microUsd } = call
  return {
    approval: id,
    request: call.requestId,
    caller: call.caller,
    route: call.route,
    model: call.model.slice(0, MAX_MODEL),
    payer: call.payer ?? null,
    seller: call.seller,
    max_usd: microUsd === undefined ? null : formatUsd(microUsd),
    pays: payment ? `${formatUnits(payment.amount, payment.decimals)} ${payment.symbol}` : null,
    since: new Date(since).toISOString(),
    until: new Date(until).toISOString(),
  }
}

/** A call that waited, as the ledger keeps it. */
export function endedJson({ body, result, endedAt }: Notice): object {
  return {
    ...callOf(body),
    result: result ?? null,
    ended_at: endedAt === undefined ? null : new Date(endedAt).toISOString(),
  }
}

/** What the ledger keeps of a call that waits. */
export function callOf(body: string): Readonly<Record<string, unknown>> {
  const value: unknown = JSON.parse(body)
  return typeof value === 'object' && value !== null ? { ...value } : {}
}

/** The message to a webhook. @param page where a person can decide */
export function requestedMessage(waiting: WaitingCall, page: string): NotificationContent {
  const json = approvalJson(waiting)
  const price = json.max_usd === null ? (json.pays ?? '') : `$${json.max_usd}`
  return {
    type: 'approval.requested',
    at: waiting.since,
    text: `A call of up to ${price} by ${json.caller} to ${json.route} (${json.seller}) waits for approval until ${json.until}: ${page}, or tollway approve ${json.approval}`,
    data: { ...json, page },
  }
}
