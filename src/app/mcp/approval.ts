/** Whether a call may be paid without asking a person. */
import type { CallToApprove } from '../../core/approval/approval.ts'
import { formatUsd } from '../../core/money/money.ts'
import { AgentFailure } from './agent-failure.ts'
import type { AgentCall } from './agent-input.ts'

/** How POSTs are approved. A GET within its cap never asks. */
export interface ApprovalPolicy {
  /** Every call is approved: `--yes`. */
  readonly always: boolean
  /** POSTs with a cap up to this are approved, micro-USDC: `--approve-above`. */
  readonly upTo: bigint | undefined
}

/** Asks the person at the client; `undefined` if the client has no way to ask. */
export type Ask = ((question: string) => Promise<boolean>) | undefined

/** @throws AgentFailure `approval_required`, `approval_refused` */
export async function approve(
  call: Pick<AgentCall, 'method' | 'maxMicro' | 'url'>,
  policy: ApprovalPolicy,
  ask: Ask,
): Promise<void> {
  if (call.method === 'GET' || policy.always) return
  if (policy.upTo !== undefined && call.maxMicro <= policy.upTo) return
  const most = formatUsd(call.maxMicro)
  if (!ask)
    throw new AgentFailure(
      'approval_required',
      `A POST that may cost ${most} USDC needs a person's approval, and this client cannot ask. Start tollway mcp with --yes or a higher --approve-above, or pay by hand: tollway pay. Nothing was sent.`,
    )
  const { origin, pathname } = call.url
  if (await ask(`Pay up to ${most} USDC for POST ${origin}${pathname}?`)) return
  throw new AgentFailure('approval_refused', 'The payment was not approved; nothing was sent.')
}

/**
 * Asks about a price above `policy.approve_above_usd`, which neither `--yes` nor a cap approves.
 * @throws AgentFailure `approval_required`, `approval_refused`
 */
export function approvePrice(ask: Ask): (call: CallToApprove) => Promise<void> {
  return async ({ microUsd, seller }) => {
    const price = microUsd === undefined ? 'a price without a USD value' : `${formatUsd(microUsd)} USD`
    if (!ask)
      throw new AgentFailure(
        'approval_required',
        `${seller} asks ${price}, above policy.approve_above_usd, which needs a person's approval, and this client cannot ask. Pay it by hand: tollway pay. Nothing was sent.`,
      )
    if (await ask(`${seller} asks ${price}, above policy.approve_above_usd. Pay it?`)) return
    throw new AgentFailure('approval_refused', 'The payment was not approved; nothing was sent.')
  }
}
