/** Asks the application and a person before anything is reserved: both may take their time, and a client that leaves ends the wait. */
import { callToApprove, type PaymentToApprove } from '../core/approval/approval.ts'
import { TollwayError } from '../core/errors.ts'
import { paymentToSign } from '../core/hooks/hook-facts.ts'
import { formatUnits } from '../core/money/money.ts'
import type { Quote } from '../core/policy/gate.ts'
import type { MeteredApproval } from '../core/request/exchange.ts'
import { ClientLeftError, type CandidateCall, type PayingCall } from './payment-context.ts'
import { awaited } from './timing.ts'
import type { Vetted } from './vet-offers.ts'

/** A person approved the payment, but the terms are from before the wait: the seller has to be asked for them again. */
export class ApprovedLateError extends Error {
  override readonly name = 'ApprovedLateError'
  readonly approved: PaymentToApprove

  constructor(approved: PaymentToApprove) {
    super('approved: the seller is asked again')
    this.approved = approved
  }
}

/**
 * For a payment that passed the policy. No person is asked for what the budgets do not allow now; the reservation decides.
 * @throws TollwayError `hook_refused`, `hook_unavailable`, `budget_exhausted`, `approval_refused`; ClientLeftError; ApprovedLateError
 */
export async function askFirst(
  call: PayingCall,
  { quote, isAnyPayee }: Pick<Vetted, 'quote' | 'isAnyPayee'>,
): Promise<void> {
  const { context, exchange, candidate, leaving, approved } = call
  const { beforeSign, approval } = context
  if (beforeSign) await patiently(call, beforeSign(paymentToSign(exchange, candidate, quote), leaving))
  if (approved) return refuseOtherTerms(approved, quote)
  // A request that is paid a second time is approved for what it costs in all.
  const { earlier } = exchange.payment
  const microUsd = earlier ? sumOf(earlier.microUsd, quote.microUsd) : quote.microUsd
  if (!approval?.isNeeded(microUsd)) return
  await exchange.payment.guard?.check?.(quote, candidate)
  const payment = paymentOf(quote)
  await patiently(call, approval.ask(callToApprove(exchange, candidate, { microUsd, payment }), leaving))
  // A seller that names a payee for each request would name another one: those terms are paid that were approved.
  if (approval.takesTime === true && !isAnyPayee) throw new ApprovedLateError(payment)
}

function sumOf(a: bigint | undefined, b: bigint | undefined): bigint | undefined {
  return a === undefined || b === undefined ? undefined : a + b
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

function paymentOf({ amount, payTo, asset }: Quote): PaymentToApprove {
  const { symbol, decimals, network, address } = asset
  return { amount, symbol, decimals, network, asset: address, payTo }
}

/** What was approved is what is signed: at most as much, of the same token, to the same payee. */
function refuseOtherTerms(approved: PaymentToApprove, quote: Quote): void {
  const now = paymentOf(quote)
  const isSame =
    now.network === approved.network && now.asset === approved.asset && now.payTo === approved.payTo
  if (isSame && now.amount <= approved.amount) return
  throw new TollwayError({
    code: 'approval_refused',
    message: `The seller changed its terms while the call waited for approval: ${termsOf(approved)} was approved, and it asks ${termsOf(now)} now. No payment was sent.`,
    advice: ['Send the request again: a person is asked about the new terms.'],
    details: { approval_result: 'changed' },
  })
}

function termsOf({ amount, decimals, symbol, network, payTo }: PaymentToApprove): string {
  return `${formatUnits(amount, decimals)} ${symbol} on ${network} to ${payTo}`
}

/** The wait is not the gateway's own time. */
async function patiently({ exchange, leaving }: CandidateCall, asked: Promise<void>): Promise<void> {
  await awaited(exchange, asked).catch((error: unknown) => {
    throw leaving.aborted ? new ClientLeftError() : error
  })
}
