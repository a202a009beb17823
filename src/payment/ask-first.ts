/** Asks the application and a person before anything is reserved: both may take their time, and a client that leaves ends the wait. */
import { callToApprove } from '../core/approval/approval.ts'
import { paymentToSign } from '../core/hooks/hook-facts.ts'
import type { Quote } from '../core/policy/gate.ts'
import type { MeteredApproval } from '../core/request/exchange.ts'
import { ClientLeftError, type CandidateCall, type PayingCall } from './payment-context.ts'
import { awaited } from './timing.ts'

/**
 * For a payment that passed the policy. No person is asked for what the budgets do not allow now; the reservation decides.
 * @throws TollwayError `hook_refused`, `hook_unavailable`, `budget_exhausted`, `approval_refused`; ClientLeftError
 */
export async function askFirst(call: PayingCall, quote: Quote): Promise<void> {
  const { context, exchange, candidate, leaving } = call
  const { beforeSign, approval } = context
  if (beforeSign) await patiently(call, beforeSign(paymentToSign(exchange, candidate, quote), leaving))
  const { microUsd, amount, payTo } = quote
  if (!approval?.isNeeded(microUsd)) return
  await exchange.payment.guard?.check?.(quote, candidate)
  const { symbol, decimals, network } = quote.asset
  const payment = { amount, symbol, decimals, network, payTo }
  await patiently(call, approval.ask(callToApprove(exchange, candidate, { microUsd, payment }), leaving))
}

/** The same for a call that an upstream bills to a key. */
export function meteredApproval(call: CandidateCall): MeteredApproval | undefined {
  const { context, exchange, candidate, leaving } = call
  const { approval } = context
  return (
    approval && {
      isNeeded: (microUsd) => approval.isNeeded(microUsd),
      ask: async (microUsd) =>
        await patiently(call, approval.ask(callToApprove(exchange, candidate, { microUsd }), leaving)),
    }
  )
}

/** The wait is not the gateway's own time. */
async function patiently({ exchange, leaving }: CandidateCall, asked: Promise<void>): Promise<void> {
  await awaited(exchange, asked).catch((error: unknown) => {
    throw leaving.aborted ? new ClientLeftError() : error
  })
}
